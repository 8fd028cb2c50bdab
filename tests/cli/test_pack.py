"""`edgekit pack` as a person calls it: on what `edgekit compress` wrote, with a key of `edgekit keys`."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from edgekit.bundle.verify import verify_bundle
from edgekit.cli.app import run
from edgekit.seal.key_files import write_key
from edgekit.seal.keys import MemoryKey, generate
from tests.interruption import hear_interrupts

QUICK = ["--effort", "fast", "--set", "check.seconds=1", "--formats", "onnx-fp32,onnx-qop,tflite-int8", "--quiet"]
KEY = generate("p256")
NAMED = ["--key", "it.key", "--name", "demo/net", "--version", "2"]


@pytest.fixture
def place(model: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with `edgekit-out/` in it, a key in `it.key`, and one with a passphrase in `locked.key`."""
    monkeypatch.chdir(model.parent)
    monkeypatch.delenv("EDGEKIT_PASSPHRASE", raising=False)
    assert run(["compress", "net.onnx", "--calibration", "x.npz", *QUICK]) == 0
    write_key(KEY, Path("it.key"), None)
    write_key(KEY, Path("locked.key"), b"open sesame")
    return model.parent


def edgekit(*words: str) -> list[str]:
    return [sys.executable, "-m", "edgekit", *words]


def test_packs_and_says_what(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["pack", "edgekit-out", *NAMED, "--license", "MIT"]) == 0
    shown = capsys.readouterr().out
    verdict = verify_bundle(place / "net.edgekit", [KEY.public])
    assert verdict.version == 2
    assert shown.startswith("net.edgekit  demo/net 2.0.0, version 2, ")
    assert verdict.bundle_digest in shown
    assert verdict.release_digest in shown
    for variant in verdict.release.manifest.variants:
        assert variant.name in shown


def test_as_json_and_as_a_tar(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, name in ((["--tar"], "net.edgekit.tar"), (["-o", "b.tar"], "b.tar"), (["-o", "c"], "c")):
        assert run(["pack", "edgekit-out", *NAMED, *words, "--json", "--quiet"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert found["path"] == name
        assert found["manifest"]["schema"] == "edgekit.manifest/1"
        assert verify_bundle(place / name, [KEY.public]).release_digest == found["release_digest"]


@pytest.mark.parametrize("words", [["-o", "."], ["-o", "..", "--tar"], ["-o", ".", "--tar"]])
def test_a_bundle_needs_a_name(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Said before the key is opened or anything is run."""
    assert run(["pack", "edgekit-out", *NAMED, *words]) == 2
    assert "names no new folder or file" in capsys.readouterr().err


def test_names_that_no_disk_takes(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Said before anything is run, and nothing is left."""
    assert run(["pack", "a" * 300, *NAMED]) == 2
    assert capsys.readouterr().err.startswith("error: there is no folder aaa")
    before = sorted(place.iterdir())
    for words in (["-o", "a" * 300], ["-o", "a" * 300, "--tar"], ["-o", "it.key/net.tar"]):
        assert run(["pack", "edgekit-out", *NAMED, *words]) == 5
        err = capsys.readouterr().err
        assert "error: cannot write " in err
        assert "check" not in err
    assert sorted(place.iterdir()) == before


def test_a_key_with_a_passphrase(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["pack", "edgekit-out", "--key", "locked.key", *NAMED[2:], "--quiet"]
    monkeypatch.setenv("EDGEKIT_PASSPHRASE", "wrong horse")
    assert run(words) == 2
    said = capsys.readouterr()
    assert "wrong horse" not in said.out + said.err
    assert not (place / "net.edgekit").exists()
    monkeypatch.setenv("EDGEKIT_PASSPHRASE", "open sesame")
    assert run(words) == 0


def test_what_failed_is_refused_and_forced(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "edgekit-out" / "model.int8.tflite").unlink()
    assert run(["pack", "edgekit-out", *NAMED]) == 4
    assert "model.int8.tflite is missing" in capsys.readouterr().err
    assert run(["pack", "edgekit-out", *NAMED, "--force"]) == 0
    assert "forced: model.int8.tflite is missing" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["absent", *NAMED], "there is no folder absent"),
        (["edgekit-out", *NAMED[:2], "--name", "net", "--version", "1"], "a bundle cannot be called 'net'"),
        (["edgekit-out", *NAMED, "--semver", "1"], "'1' is no semantic version"),
        (["edgekit-out", *NAMED, "--license", "free"], "'free' is no SPDX licence expression"),
        (["edgekit-out", *NAMED, "--license-file", "absent"], "cannot read the licence absent"),
        (["edgekit-out", *NAMED, "--golden", "absent.npz"], "golden inputs absent.npz cannot be read"),
        (["edgekit-out", *NAMED, "--bench", "edgekit-out/report.json"], "edgekit.bench/1"),
        (["edgekit-out", "--key", "absent.key", *NAMED[2:]], "absent.key"),
        (["edgekit-out", *NAMED, "-o", "x.npz"], "x.npz exists"),
    ],
)
def test_what_cannot_be_used_says_why(
    words: Sequence[str], message: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["pack", *words]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert "hint:" in said or "absent" in message
    assert not (place / "net.edgekit").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_leaves_nothing(number: signal.Signals, place: Path) -> None:
    before = sorted(path.name for path in place.iterdir())
    process = subprocess.Popen(
        edgekit("pack", "edgekit-out", *NAMED), stderr=subprocess.PIPE, text=True, preexec_fn=hear_interrupts
    )
    with process:
        assert process.stderr
        for line in process.stderr:
            if "check" in line:  # the files are being run now
                process.send_signal(number)
                break
        said = process.stderr.read()
    assert process.returncode == (130 if number is signal.SIGINT else 143), said
    assert "nothing was left half-written" in said
    assert sorted(path.name for path in place.iterdir()) == before


def test_the_help_needs_nothing_that_pack_needs() -> None:
    program = (
        "import sys\nfor name in ('cyclonedx', 'onnxruntime', 'ai_edge_litert', 'numpy'): sys.modules[name] = None\n"
        "from edgekit.cli.app import main; main()"
    )
    shown = subprocess.run(
        [sys.executable, "-c", program, "pack", "--help"], capture_output=True, text=True, check=False
    )
    assert shown.returncode == 0, shown.stderr
    assert "--golden FILE.npz" in shown.stdout


def test_a_missing_package_is_named_by_its_extra(place: Path) -> None:
    program = "import sys; sys.modules['cyclonedx'] = None; from edgekit.cli.app import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "pack", "edgekit-out", *NAMED], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "pip install 'edgekit-ml[pack]'" in done.stderr


def test_no_private_key_is_ever_shown(place: Path) -> None:
    secret = Path("it.key").read_text()
    body = secret.splitlines()[1]
    for words in ((), ("--verbose",), ("--json",)):
        done = subprocess.run(
            edgekit("pack", "edgekit-out", *NAMED, *words), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert body not in done.stdout + done.stderr
    assert isinstance(KEY, MemoryKey)
