"""Making deltas: all codecs are tried, and the smallest that works is kept."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from edgekit.delta import codecs, making
from edgekit.delta.applying import apply_delta
from edgekit.delta.codecs import CODECS
from edgekit.delta.making import SMALLEST_BYTES, best_delta
from edgekit.errors import MalformedError
from edgekit.transport.pieces import pieces_of
from tests.delta.files import BASE, blob_of, int8_model, moved, nudged, written


def pair(folder: Path, new: bytes, *, old: bytes = BASE) -> tuple[Path, Path]:
    first, second = written(folder, old=old, new=new)
    return first, second


@pytest.mark.parametrize(
    ("old", "new", "codec"),
    [
        (BASE, nudged(), "bsdiff"),
        (BASE, moved(), "zstd"),
        (int8_model(), int8_model(trained=2, ballast=b"x" * 900), "residual"),
    ],
)
def test_the_smallest_is_kept(tmp_path: Path, old: bytes, new: bytes, codec: str) -> None:
    made = best_delta(*pair(tmp_path, new, old=old))
    assert made
    assert made.delta.codec == codec
    assert {"zstd", "bsdiff"} <= made.sizes.keys()
    assert len(made.data) == made.delta.size_bytes == made.sizes[codec] == min(made.sizes.values())
    assert made.delta.blob == blob_of(made.data)
    (patch,) = written(tmp_path, patch=made.data)
    apply_delta(made.delta, base=tmp_path / "old", patch=patch, out=tmp_path / "out", blob=blob_of(new))
    assert (tmp_path / "out").read_bytes() == new


def test_the_same_files_give_the_same_delta(tmp_path: Path) -> None:
    files = pair(tmp_path, nudged())
    assert best_delta(*files) == best_delta(*files)


def test_none_where_nothing_is_saved(tmp_path: Path) -> None:
    assert best_delta(*pair(tmp_path, random.Random(5).randbytes(40_000))) is None


def test_none_for_small_files(tmp_path: Path) -> None:
    assert best_delta(*pair(tmp_path, BASE[: SMALLEST_BYTES - 1])) is None
    assert best_delta(*pair(tmp_path, BASE, old=BASE[: SMALLEST_BYTES - 1])) is None
    assert best_delta(*pair(tmp_path, BASE[:SMALLEST_BYTES])) is not None


def test_none_for_large_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(making, "LARGEST_BYTES", 2**14)
    assert best_delta(*pair(tmp_path, nudged())) is None


def test_what_cannot_be_applied_within_its_limits_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(delta: object, **_: object) -> None:
        if getattr(delta, "codec", "") == "bsdiff":
            raise MalformedError("too much memory")

    monkeypatch.setattr(making, "apply_delta", refuse)
    made = best_delta(*pair(tmp_path, nudged(every=90)))
    assert made
    assert min(made.sizes, key=lambda name: made.sizes[name]) == "bsdiff"
    assert made.delta.codec != "bsdiff"


def test_a_codec_that_is_not_installed_is_not_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codecs, "find_spec", lambda name: None if name == "bsdiff4" else object())
    made = best_delta(*pair(tmp_path, nudged(every=90)))
    assert made
    assert "bsdiff" not in made.sizes


def test_a_large_delta_has_pieces(tmp_path: Path) -> None:
    old = random.Random(6).randbytes(3_000_000)
    new = old[:1_000_000] + random.Random(7).randbytes(1_500_000) + old[1_000_000:]
    made = best_delta(*pair(tmp_path, new, old=old))
    assert made
    assert made.delta.size_bytes > 2**20
    spans = [(piece.start, piece.stop, piece.sha256) for piece in pieces_of(made.delta.blob)]
    assert [(start, stop, blob_of(made.data[start:stop]).sha256) for start, stop, _ in spans] == spans


def test_each_codec_has_functions_of_its_name() -> None:
    for name, codec in CODECS.items():
        assert codec.name == name
        assert callable(codec.applier)
