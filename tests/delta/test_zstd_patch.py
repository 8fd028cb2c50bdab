"""The codec "zstd": the same bytes as the `zstd` program's `--patch-from`, and no bomb unpacks."""

from __future__ import annotations

import subprocess
import tracemalloc
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from edgekit.delta.zstd_patch import apply_zstd, make_zstd
from edgekit.errors import MalformedError
from tests.delta.files import BASE, moved, nudged, written
from tests.interop.parts import program


def apply(old: bytes, patch: bytes, size_bytes: int) -> bytes:
    return apply_zstd(memoryview(old), memoryview(patch), size_bytes=size_bytes)


@pytest.mark.parametrize("new", [nudged(), moved(), b"", b"x", BASE, BASE[::-1]])
def test_round_trip(new: bytes) -> None:
    assert apply(BASE, make_zstd(BASE, new), len(new)) == new


def test_it_reaches_over_the_whole_base() -> None:
    """What the new file begins with stands at the base's end, and the other way round."""
    old = b"".join(seed.to_bytes(4, "big") for seed in range(600_000))
    new = old[1_800_000:] + old[:600_000]
    assert len(make_zstd(old, new)) < 200


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_law_round_trip(old: bytes, new: bytes) -> None:
    assert apply(old, make_zstd(old, new), len(new)) == new


def test_as_the_zstd_program_reads_and_writes_it(tmp_path: Path) -> None:
    zstd, new = program("zstd"), moved()
    old_file, new_file, patch = written(tmp_path, old=BASE, new=new, patch=make_zstd(BASE, new))
    out = tmp_path / "out"
    words = [zstd, "-q", "-f", f"--patch-from={old_file}"]
    subprocess.run([*words, "-d", patch, "-o", out], check=True, capture_output=True)
    assert out.read_bytes() == new
    subprocess.run([*words, "-19", new_file, "-o", patch], check=True, capture_output=True)
    assert apply(BASE, patch.read_bytes(), len(new)) == new


GOOD = make_zstd(BASE, moved())


@pytest.mark.parametrize(
    ("patch", "told"),
    [
        (b"", "no zstd frame"),
        (GOOD[:5], "no zstd frame"),
        (b"BSDIFF40" + bytes(24), "no zstd frame"),
        (GOOD[:-1], "cannot be unpacked"),
        (GOOD + b"x", "cannot be unpacked"),
        (GOOD + GOOD, "cannot be unpacked"),
        (make_zstd(BASE, moved() + b"x"), "of 40901 bytes, not 40900"),
        (zstandard.ZstdCompressor(write_content_size=False).compress(moved()), "does not say"),
    ],
)
def test_what_is_refused(patch: bytes, told: str) -> None:
    with pytest.raises(MalformedError, match=told):
        apply(BASE, patch, len(moved()))


def test_a_bomb_takes_no_memory() -> None:
    """A frame that announces what is expected and holds a gigabyte; and one that announces it."""
    honest = zstandard.ZstdCompressor(level=19).compress(bytes(2**28))
    parameters = zstandard.get_frame_parameters(honest)
    assert parameters.content_size == 2**28
    header = honest.index((2**28).to_bytes(4, "little"))
    lying = honest[:header] + (5000).to_bytes(4, "little") + honest[header + 4 :]
    tracemalloc.start()
    with pytest.raises(MalformedError, match="not 5000"):
        apply(BASE, honest, 5000)
    with pytest.raises(MalformedError, match="cannot be unpacked"):
        apply(BASE, lying, 5000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20


@given(st.integers(0, 8 * len(GOOD) - 1))
def test_law_a_flipped_bit_is_malformed_or_makes_another_file_of_that_size(at: int) -> None:
    patch = bytearray(GOOD)
    patch[at // 8] ^= 1 << at % 8
    try:
        found = apply(BASE, bytes(patch), len(moved()))
    except MalformedError:
        return
    assert len(found) == len(moved())
