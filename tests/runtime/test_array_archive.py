"""Arrays from strangers: what numpy writes is read, and nothing else, within a limit."""

from __future__ import annotations

import io
import os
import struct
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from edgekit.runtime.array_archive import digest_arrays, read_array, read_arrays, write_arrays

KB = 1024


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def archive(path: Path, entries: dict[str, bytes], **settings) -> Path:
    with zipfile.ZipFile(path, "w", **settings) as packed:
        for name, contents in entries.items():
            packed.writestr(name, contents)
    return path


@given(
    st.dictionaries(
        st.sampled_from(["x", "serving_default_x:0", "/layer/out", "é"]),
        arrays_of.arrays(
            st.sampled_from([np.float32, np.int8, np.uint8, np.int64, np.bool_, np.float16, np.dtype(">i4")]),
            arrays_of.array_shapes(min_dims=0, min_side=0, max_side=4),
        ),
        max_size=3,
    )
)
@settings(max_examples=60)
def test_what_is_written_is_read(tmp_path_factory, found):
    path = tmp_path_factory.mktemp("arrays") / "a.npz"
    with path.open("wb") as stream:
        write_arrays(stream, found)
    back = read_arrays(path, limit_bytes=64 * KB)
    assert list(back) == list(found)
    for name, array in found.items():
        assert (back[name].dtype, back[name].shape) == (array.dtype.newbyteorder("="), array.shape)
        assert np.array_equal(back[name], array, equal_nan=array.dtype.kind == "f")
    with np.load(path, allow_pickle=False) as numpys:
        assert sorted(numpys.files) == sorted(found)


def test_what_numpy_writes_is_read(tmp_path):
    grid = np.asfortranarray(np.arange(12, dtype=np.int16).reshape(3, 4))
    np.savez(tmp_path / "plain.npz", grid=grid, scalar=np.float32(2))
    np.savez_compressed(tmp_path / "packed.npz", grid=grid, scalar=np.float32(2))
    np.save(tmp_path / "grid.npy", grid)
    for name in ("plain.npz", "packed.npz"):
        found = read_arrays(tmp_path / name, limit_bytes=KB)
        assert found["grid"].tolist() == grid.tolist()
        assert found["scalar"] == 2
    assert read_array(tmp_path / "grid.npy", limit_bytes=KB).tolist() == grid.tolist()


def test_the_bytes_depend_on_names_and_values_alone(tmp_path, monkeypatch):
    array = np.arange(4)
    first, second = io.BytesIO(), io.BytesIO()
    write_arrays(first, {"a": array})
    monkeypatch.setattr("time.time", lambda: 2e9)
    write_arrays(second, {"a": array[::-1][::-1]})
    assert first.getvalue() == second.getvalue()


def test_the_digest_is_over_row_major_bytes():
    grid = np.arange(6, dtype=np.int8).reshape(2, 3)
    assert digest_arrays([grid, grid]) == digest_arrays([np.asfortranarray(grid), grid])
    assert digest_arrays([grid]) != digest_arrays([grid.T])


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"x.npy": b""}, "is no array as numpy writes it"),
        ({"x.npy": b"\x93NUMPY\x09\x00" + b"\0" * 99}, "is no array as"),
        ({"x.npy": npy(np.array([{}]))}, "holds object, which are no numbers"),
        ({"x.npy": npy(np.array(["text"]))}, "which are no numbers"),
        ({"x.npy": npy(np.zeros(2, [("a", "i4")]))}, "no array as numpy writes it"),
        ({"x.npy": npy(np.zeros(2, np.complex64))}, "which are no numbers"),
        ({"x.npy": npy(np.zeros(4))[:-1]}, "has 31 bytes"),
        ({"x.npy": npy(np.zeros(4)) + b"more"}, "has 36 bytes"),
        ({"x.npy": npy(np.zeros(4)).replace(b"(4,)", b"(-4)")}, "no array as"),
        ({"x.npy": npy(np.zeros(4)).replace(b"'<f8'", b"'<f9'")}, "which numpy does not know"),
        ({"x.npy": npy(np.zeros(4)).replace(b"(4,), }", b"(4,), '")}, "no array as"),
        ({"x.npy": npy(np.zeros(100 * KB))}, "at most 1024 are read"),
        ({"x.txt": b"text"}, "something that is no array: 'x.txt'"),
        ({"\x1b[31m.npy": npy(np.zeros(1))}, "no array"),
        ({f"{number}.npy": b"" for number in range(257)}, "holds 257 arrays"),
    ],
)
def test_what_holds_no_numbers(tmp_path, entries, message):
    with pytest.raises(ValueError, match=message):
        read_arrays(archive(tmp_path / "x.npz", entries), limit_bytes=KB)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_what_numpy_never_compresses_with(tmp_path, method):
    """Each method is a decompressor more, with errors of its own; a damaged LZMA stream raised none of ours."""
    path = archive(tmp_path / "x.npz", {"x.npy": npy(np.zeros(100))}, compression=method)
    with pytest.raises(ValueError, match="as numpy never does"):
        read_arrays(path, limit_bytes=KB)


def test_a_header_that_claims_more_than_there_is_takes_no_memory(tmp_path):
    header = "{'descr': '<f8', 'fortran_order': False, 'shape': (1099511627776, 4096), }"
    contents = b"\x93NUMPY\x01\x00" + struct.pack("<H", 118) + header.ljust(117).encode() + b"\n"
    with pytest.raises(ValueError, match="claims"):
        read_arrays(archive(tmp_path / "x.npz", {"x.npy": contents + bytes(8)}), limit_bytes=KB)


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path):
    bomb = archive(tmp_path / "x.npz", {"x.npy": npy(np.zeros(8_000_000))}, compression=zipfile.ZIP_DEFLATED)
    assert bomb.stat().st_size < 100 * KB
    with pytest.raises(ValueError, match="it unpacks to 64000128 bytes; at most 1024 are read"):
        read_arrays(bomb, limit_bytes=KB)


def test_a_bomb_that_lies_about_its_size_is_cut_off(tmp_path):
    """The stream holds 8 MB, the directory says 200 bytes."""
    path = archive(tmp_path / "x.npz", {"x.npy": bytes(8_000_000)}, compression=zipfile.ZIP_DEFLATED)
    contents = path.read_bytes().replace(struct.pack("<I", 8_000_000), struct.pack("<I", 200))
    path.write_bytes(contents)
    with pytest.raises(ValueError, match=r"no readable \.npz|no array"):
        read_arrays(path, limit_bytes=KB)


def test_two_arrays_of_one_name(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as packed:
        packed.writestr("x.npy", npy(np.zeros(1)))
        with pytest.warns(UserWarning, match="Duplicate name"):
            packed.writestr("x.npy", npy(np.ones(1)))
    with pytest.raises(ValueError, match="two arrays of one name"):
        read_arrays(tmp_path / "x.npz", limit_bytes=KB)


@pytest.mark.parametrize("read", [read_arrays, read_array])
def test_what_is_no_file(tmp_path, read):
    os.mkfifo(tmp_path / "pipe")
    for place in ("pipe", "."):
        with pytest.raises(ValueError, match="no regular file"):
            read(tmp_path / place, limit_bytes=KB)
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "absent", limit_bytes=KB)


def test_an_npy_that_is_larger_is_not_read(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros(100 * KB))
    with pytest.raises(ValueError, match="more than 1024 bytes"):
        read_array(tmp_path / "x.npy", limit_bytes=KB)


@given(st.data())
@settings(max_examples=200)
def test_damaged_files_raise_nothing_else(tmp_path_factory, data):
    buffer = io.BytesIO()
    np.savez_compressed(buffer, x=np.arange(50, dtype=np.float32), y=np.zeros((2, 3), np.int8))
    contents = bytearray(buffer.getvalue())
    for _ in range(data.draw(st.integers(1, 4))):
        contents[data.draw(st.integers(0, len(contents) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("damaged") / "x.npz"
    path.write_bytes(contents[: data.draw(st.integers(0, len(contents)))] if data.draw(st.booleans()) else contents)
    with suppress(ValueError, OSError):
        read_arrays(path, limit_bytes=64 * KB)


def test_a_directory_of_nothing_but_entries_is_not_read(tmp_path):
    """Each of its 47 bytes an entry takes ten times as much in memory; it is refused by the size of the file."""
    entry = struct.pack("<4s6H3I5H2I", b"PK\x01\x02", 20, 20, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"a"
    count = 120_000
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, count & 0xFFFF, count & 0xFFFF, count * len(entry), 0, 0)
    (tmp_path / "a.npz").write_bytes(entry * count + end)
    with pytest.raises(ValueError, match="longer than 48 bytes of arrays can be"):
        read_arrays(tmp_path / "a.npz", limit_bytes=48)
