"""Applying a delta: what is not what was named is refused, and nothing is left behind."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from edgekit.delta import applying, codecs
from edgekit.delta.applying import apply_delta
from edgekit.delta.codecs import CODECS, Codec, available, makers
from edgekit.delta.index import Delta
from edgekit.errors import DigestError, EdgekitError, MalformedError, MissingExtraError, StorageError
from tests.delta.files import blob_of, delta_for, int8_model, written

BASE, NEW = int8_model(), int8_model(trained=2, ballast=b"x" * 900)


def make(codec: str, base: bytes = BASE, new: bytes = NEW) -> bytes:
    data = CODECS[codec].make(base, new)
    assert data
    return data


MADE = {name: make(name) for name in sorted(makers())}


@pytest.fixture(params=sorted(MADE))
def codec(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def run(folder: Path, delta: Delta, patch: bytes, *, base: bytes = BASE, new: bytes = NEW) -> bytes:
    """Apply, and see that nothing but the result is there afterwards."""
    old_file, patch_file = written(folder, base=base, patch=patch)
    out = folder / "out"
    before = sorted(os.listdir(folder))
    try:
        apply_delta(delta, base=old_file, patch=patch_file, out=out, blob=blob_of(new))
    except BaseException:
        assert sorted(os.listdir(folder)) == [name for name in before if name != "out"]
        raise
    assert old_file.read_bytes() == base
    return out.read_bytes()


def test_a_file_comes_out(codec: str, tmp_path: Path) -> None:
    assert run(tmp_path, delta_for(MADE[codec], codec, BASE, NEW), MADE[codec]) == NEW


def test_what_lies_in_its_place_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "precious").write_bytes(b"precious")
    (tmp_path / "out").symlink_to(tmp_path / "precious")
    assert run(tmp_path, delta_for(MADE["bsdiff"], "bsdiff", BASE, NEW), MADE["bsdiff"]) == NEW
    assert (tmp_path / "precious").read_bytes() == b"precious"


def test_a_folder_in_its_place(tmp_path: Path) -> None:
    """It is nobody's to remove."""
    base, patch, folder = *written(tmp_path, base=BASE, patch=MADE["bsdiff"]), tmp_path / "out"
    folder.mkdir()
    with pytest.raises(StorageError, match="cannot be removed"):
        apply_delta(
            delta_for(MADE["bsdiff"], "bsdiff", BASE, NEW), base=base, patch=patch, out=folder, blob=blob_of(NEW)
        )
    assert folder.is_dir()


def test_another_base(codec: str, tmp_path: Path) -> None:
    with pytest.raises(DigestError, match="the base"):
        run(tmp_path, delta_for(MADE[codec], codec, BASE, NEW), MADE[codec], base=BASE[::-1])


def test_other_bytes_of_the_delta(codec: str, tmp_path: Path) -> None:
    with pytest.raises(DigestError, match="the delta"):
        run(tmp_path, delta_for(MADE[codec], codec, BASE, NEW), MADE[codec][:-1])


def test_signed_and_truncated(codec: str, tmp_path: Path) -> None:
    cut = MADE[codec][: len(MADE[codec]) // 2]
    with pytest.raises(MalformedError, match="cannot be applied"):
        run(tmp_path, delta_for(cut, codec, BASE, NEW), cut)


def test_signed_and_of_another_file(codec: str, tmp_path: Path) -> None:
    """It makes a file of the right length, and not the right one."""
    patch = make(codec, new=int8_model(trained=9, ballast=b"x" * 900))
    with pytest.raises(DigestError, match="what the delta makes"):
        run(tmp_path, delta_for(patch, codec, BASE, NEW), patch)


def test_signed_and_too_long(codec: str, tmp_path: Path) -> None:
    patch = make(codec, new=int8_model(trained=2, ballast=b"x" * 901))
    with pytest.raises(MalformedError):
        run(tmp_path, delta_for(patch, codec, BASE, NEW), patch)


def test_for_another_target(tmp_path: Path) -> None:
    delta = dataclasses.replace(delta_for(MADE["bsdiff"], "bsdiff", BASE, NEW), target="a" * 64)
    with pytest.raises(DigestError, match="makes"):
        run(tmp_path, delta, MADE["bsdiff"])


def test_a_codec_that_nobody_knows(tmp_path: Path) -> None:
    delta = dataclasses.replace(delta_for(MADE["bsdiff"], "bsdiff", BASE, NEW), codec="better")
    with pytest.raises(MalformedError, match="'better' is not known"):
        run(tmp_path, delta, MADE["bsdiff"])


def test_a_file_that_is_too_large_for_deltas(tmp_path: Path) -> None:
    huge = dataclasses.replace(blob_of(NEW), size_bytes=2**40)
    old_file, patch = written(tmp_path, base=BASE, patch=MADE["bsdiff"])
    delta = delta_for(MADE["bsdiff"], "bsdiff", BASE, NEW)
    with pytest.raises(MalformedError, match="are the most"):
        apply_delta(delta, base=old_file, patch=patch, out=tmp_path / "out", blob=huge)


def test_files_that_are_not_there(tmp_path: Path) -> None:
    delta = delta_for(MADE["bsdiff"], "bsdiff", BASE, NEW)
    with pytest.raises(DigestError, match="cannot be read"):
        apply_delta(delta, base=tmp_path / "base", patch=tmp_path / "p", out=tmp_path / "out", blob=blob_of(NEW))


@pytest.fixture
def rogue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], EdgekitError]:
    """Applies by a codec of any behaviour, a file for the child to import; gives the error."""

    def run_it(body: str) -> EdgekitError:
        folder = tmp_path / "modules"
        folder.mkdir()
        (folder / "sitecustomize.py").write_text(
            "import sys, types\n"
            "module = types.ModuleType('rogue')\n"
            f"exec('''def apply_bsdiff(old, delta, *, size_bytes):\\n    {body}''', module.__dict__)\n"
            "sys.modules['edgekit.delta.bsdiff_patch'] = module\n"
        )
        monkeypatch.setenv("PYTHONPATH", str(folder))
        with pytest.raises(EdgekitError) as caught:
            run(tmp_path, delta_for(MADE["bsdiff"], "bsdiff", BASE, NEW), MADE["bsdiff"])
        return caught.value

    return run_it


@pytest.mark.parametrize(
    ("body", "kind", "told"),
    [
        ("return bytes(size_bytes)", DigestError, "what the delta makes"),
        ("return bytes(size_bytes - 1)", DigestError, "what the delta makes"),
        ("return bytes(size_bytes + 1)", MalformedError, "File too large"),
        ("return bytearray(10 ** 9)", MalformedError, "within 1"),
        ("raise ValueError('odd')", MalformedError, "code 1: ValueError: odd"),
        ("import os; os.kill(os.getpid(), 11)", MalformedError, "signal 11"),
        ("import os; os._exit(3)", MalformedError, "it said nothing"),
        ("raise OSError(28, 'No space left on device')", StorageError, "no room"),
        ("import sys; print('\\x1b[31m' * 500, file=sys.stderr); sys.exit(9)", MalformedError, "code 9: "),
    ],
)  # fmt: skip
def test_a_decoder_that_goes_astray(
    rogue: Callable[[str], EdgekitError], body: str, kind: type[EdgekitError], told: str
) -> None:
    error = rogue(body)
    assert type(error) is kind
    assert told in str(error)
    assert str(error).isprintable()
    assert len(str(error)) < 600


def test_a_decoder_that_comes_to_no_end(rogue: Callable[[str], EdgekitError], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(applying, "LEAST_S", 0.5)
    error = rogue("import time; time.sleep(600)")
    assert type(error) is MalformedError
    assert "not applied within" in str(error)


def test_secrets_are_not_told_to_the_process(
    rogue: Callable[[str], EdgekitError], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEKIT_PASSPHRASE", "open sesame")
    error = rogue("import os, sys; print(sorted(os.environ), file=sys.stderr); sys.exit(9)")
    assert "PATH" in str(error)
    assert "PASSPHRASE" not in str(error)


def test_a_package_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codecs, "find_spec", lambda name: None)
    assert available() == {"bsdiff", "residual"} & CODECS.keys()
    assert makers() == {"residual"} & CODECS.keys()
    with pytest.raises(MissingExtraError, match="zstandard") as caught:
        _ = CODECS["zstd"].applier
    assert "edgekit-ml[delta]" in caught.value.hint


def test_every_codec_keeps_its_claim_of_memory(codec: str) -> None:
    """What it says is what the limit of its process is made of; a claim that is too small would show at once."""
    entry: Codec = CODECS[codec]
    assert entry.memory(len(BASE), len(NEW), len(MADE[codec])) > 0
    assert entry.memory(5_000_000, 5_000_000, 5_000_000) < 400_000_000
