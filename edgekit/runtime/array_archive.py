"""Arrays in an .npz or .npy that anybody may have written: read whole, into memory, never unpickled.

It is for what is small and passes between processes: golden inputs and answers, what a model said. Every size that a
header claims is held against the bytes that are there before memory is taken. Formats: numpy's NEP 1 for the arrays,
zip without encryption around them.
"""

from __future__ import annotations

import hashlib
import io
import math
import os
import re
import stat
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO

import numpy as np

from edgekit.types.qparams import Array

MOST_ARRAYS = 256
LONGEST_NAME = 512
_HEADER_BYTES = 2**14
_ENTRY_BYTES = 2**11
"""What zip writes about an entry, its name included. A file of nothing else would be millions of entries in memory."""
_NUMERIC = "fiub"
_SUFFIX = ".npy"
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_HEADER = re.compile(
    rb"\{'descr': '([<>|=]?[?bfiucOSUVmM][0-9]{0,8})', 'fortran_order': (True|False), "
    rb"'shape': \(((?:[0-9]{1,15}, ?)*(?:[0-9]{1,15})?)\),? ?\}\s*"
)
"""What numpy has always written: reading any Python literal would be more than is needed, of a stranger's file."""


def read_arrays(path: Path, *, limit_bytes: int) -> dict[str, Array]:
    """All arrays of an .npz, by name.

    Args:
        path: The file.
        limit_bytes: The most bytes that its arrays may have together once they are unpacked.

    Raises:
        ValueError: It is no such file, is damaged, is larger, or holds something other than numbers; says which.
        OSError: It cannot be read.
    """
    try:
        with _open_file(path) as stream:
            if os.fstat(stream.fileno()).st_size > limit_bytes + MOST_ARRAYS * (_HEADER_BYTES + _ENTRY_BYTES):
                raise ValueError(f"it is longer than {limit_bytes} bytes of arrays can be")
            with zipfile.ZipFile(stream) as archive:
                entries = archive.infolist()
                _check_entries(entries, limit_bytes)
                return {
                    entry.filename.removesuffix(_SUFFIX): _read_array(_contents(archive, entry), entry.filename)
                    for entry in entries
                }
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"it is no readable .npz: {error}") from error


def read_array(path: Path, *, limit_bytes: int) -> Array:
    """The array of an .npy.

    Raises:
        ValueError: It is no such file, is damaged, is larger, or holds something other than numbers; says which.
        OSError: It cannot be read.
    """
    with _open_file(path) as stream:
        contents = stream.read(limit_bytes + _HEADER_BYTES + 1)
    if len(contents) > limit_bytes + _HEADER_BYTES:
        raise ValueError(f"it has more than {limit_bytes} bytes")
    return _read_array(contents, path.name)


def write_arrays(stream: IO[bytes], arrays: Mapping[str, Array]) -> None:
    """Write an .npz whose bytes depend on names and values alone."""
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, np.asarray(array, order="C"), version=(1, 0), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}{_SUFFIX}", (1980, 1, 1, 0, 0, 0)), buffer.getvalue())


def digest_arrays(arrays: Iterable[Array]) -> str:
    """sha256 over the bytes of all arrays in order, row-major, hex: as `edgekit.agent` takes it of its outputs."""
    whole = hashlib.sha256()
    for array in arrays:
        whole.update(np.ascontiguousarray(array).tobytes())
    return whole.hexdigest()


def _open_file(path: Path) -> IO[bytes]:
    """A regular file: what another process left may be a pipe, which would be waited for without end.

    Raises:
        ValueError: It is something else.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise ValueError("it is no regular file")
    return os.fdopen(handle, "rb")


def _check_entries(entries: list[zipfile.ZipInfo], limit_bytes: int) -> None:
    if len(entries) > MOST_ARRAYS:
        raise ValueError(f"it holds {len(entries)} arrays; at most {MOST_ARRAYS} are read")
    names = {entry.filename for entry in entries}
    if len(names) != len(entries):
        raise ValueError("it holds two arrays of one name")
    for name in names:
        if not name.endswith(_SUFFIX) or len(name) > LONGEST_NAME or not name.isprintable():
            raise ValueError(f"it holds something that is no array: {name[:80]!r}")
    if any(entry.compress_type not in _METHODS for entry in entries):
        raise ValueError("it is compressed as numpy never does")
    size = sum(entry.file_size for entry in entries)
    if size > limit_bytes + _HEADER_BYTES * len(entries):
        raise ValueError(f"it unpacks to {size} bytes; at most {limit_bytes} are read")


def _contents(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """An entry's bytes: as many as it claims, which were counted, whatever its stream may hold."""
    with archive.open(entry) as stream:
        contents = stream.read(entry.file_size + 1)
    if len(contents) != entry.file_size:
        raise ValueError(f"{entry.filename[:80]!r} has not the {entry.file_size} bytes that it claims")
    return contents


def _read_array(contents: bytes, name: str) -> Array:
    width = {b"\x93NUMPY\x01\x00": 2, b"\x93NUMPY\x02\x00": 4}.get(contents[:8], 0)
    length = int.from_bytes(contents[8 : 8 + width], "little")
    start = 8 + width + length
    header = _HEADER.fullmatch(contents[8 + width : start]) if width and length <= _HEADER_BYTES else None
    if not header or start > len(contents):
        raise ValueError(f"{name[:80]!r} is no array as numpy writes it")
    described, is_fortran, sizes = (part.decode("ascii") for part in header.groups())
    try:
        dtype = np.dtype(described)
    except TypeError as error:
        raise ValueError(f"{name[:80]!r} holds {described}, which numpy does not know") from error
    if dtype.kind not in _NUMERIC:
        raise ValueError(f"{name[:80]!r} holds {dtype}, which are no numbers")
    shape = tuple(int(size) for size in sizes.replace(" ", "").split(",") if size)
    data = contents[start:]
    if math.prod(shape) * dtype.itemsize != len(data):
        raise ValueError(f"{name[:80]!r} claims {shape} of {dtype} and has {len(data)} bytes")
    flat: Array = np.frombuffer(data, dtype).astype(dtype.newbyteorder("="), copy=False)
    return flat.reshape(shape, order="F" if is_fortran == "True" else "C")
