"""Arrays in .npy and .npz files, read a piece at a time and never unpickled.

Neither `np.load` nor a memory map is used: a map counts towards the process's memory as it is walked and dies with a
bus error when the file shrinks, and `np.load` reads an .npz member whole. An uncompressed member is read in place; a
compressed one is unpacked once to a file in the work directory. Everything a header claims is checked against the
bytes that are there, since the file may come from anybody.

Format: numpy's NEP 1 (the .npy header) and the zip application note, section 4.3.7 (local file header).
"""

from __future__ import annotations

import io
import math
import shutil
import struct
import zipfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import IO

import numpy as np

from edgekit.errors import CalibrationError, StorageError
from edgekit.types.qparams import Array

MAX_MEMBERS = 4096
SUSPECT_BYTES = 2**30
SUSPECT_RATIO = 100
"""A compressed member above `SUSPECT_BYTES` that expands more than this is refused as a zip bomb: pixels and
activations compress 2 to 20-fold."""
_CHUNK_BYTES = 2**20
_HEADER_BYTES = 2**14
_NO_PICKLE = "save plain numbers with numpy.savez; edgekit never unpickles a data file"


@dataclass(frozen=True, eq=False)
class ArrayFile:
    """An array stored somewhere in a file.

    Attributes:
        path: The file.
        offset: Where the first element is, in bytes.
        shape: As the header says, checked against the file's size.
        dtype: A numeric or bool dtype.
        is_fortran: Stored column-major.
    """

    path: Path
    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    is_fortran: bool = False

    def take(self, start: int, stop: int, *, axis: int = 0) -> Array:
        """Elements start..stop along `axis`, as a new array.

        Along axis 0 of a row-major file only those bytes are read; otherwise the file is mapped for the moment.
        """
        if axis == 0 and not self.is_fortran:
            row = math.prod(self.shape[1:])
            flat = self._read(start * row, (stop - start) * row)
            return flat.reshape(stop - start, *self.shape[1:])
        order = "F" if self.is_fortran else "C"
        mapped = np.memmap(self.path, self.dtype, "r", self.offset, self.shape, order)  # type: ignore[call-overload]
        index = [slice(None)] * len(self.shape)
        index[axis] = slice(start, stop)
        piece: Array = np.array(mapped[tuple(index)], order="C")
        return piece

    def _read(self, first: int, count: int) -> Array:
        offset = self.offset + first * self.dtype.itemsize
        flat: Array = np.fromfile(self.path, self.dtype, count, offset=offset)
        if flat.size != count:
            raise CalibrationError(f"{self.path} became shorter while it was read")
        return flat


def open_npy(path: Path) -> ArrayFile:
    """Open an .npy file.

    Raises:
        CalibrationError: Not an .npy file, pickled objects, or a header that claims another size than the file has.
    """
    with path.open("rb") as file:
        return _described(file, path, where=str(path), size_bytes=path.stat().st_size)


def open_npz(path: Path, *, workdir: Path, needed: Collection[str] = ()) -> dict[str, ArrayFile]:
    """Open the numeric members of an .npz; other members of text or objects are left out.

    Args:
        path: The .npz file.
        workdir: Where compressed members are unpacked.
        needed: Members that must be numbers if they are there.

    Returns:
        Member name (without ".npy") -> array.

    Raises:
        CalibrationError: Not a zip, damaged, a zip bomb, pickled objects where numbers are needed, or a false header.
        StorageError: `workdir` has no room for the unpacked members.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = [info for info in archive.infolist() if info.filename.endswith(".npy")]
            _check_members(members, path)
            return _numeric_members(archive, members, workdir, needed)
    except (zipfile.BadZipFile, NotImplementedError, EOFError, struct.error) as error:
        raise CalibrationError(f"{path} is not a readable .npz: {error}", hint="write it again") from error


def _numeric_members(
    archive: zipfile.ZipFile, members: list[zipfile.ZipInfo], workdir: Path, needed: Collection[str]
) -> dict[str, ArrayFile]:
    assert archive.filename is not None
    path = Path(archive.filename)
    arrays: dict[str, ArrayFile] = {}
    refused: CalibrationError | None = None
    for number, info in enumerate(members):
        name = info.filename.removesuffix(".npy")
        try:
            arrays[name] = _open_member(archive, info, path, workdir / f"{path.stem}-{number}.npy")
        except _NotNumericError as error:
            if name in needed:
                raise
            refused = error
    if not arrays:
        raise refused or CalibrationError(f"{path} holds no array", hint="write it with numpy.savez")
    return arrays


class _NotNumericError(CalibrationError):
    """A member of text, objects or records: no input of a model."""


def _check_members(members: list[zipfile.ZipInfo], path: Path) -> None:
    if len(members) > MAX_MEMBERS:
        raise CalibrationError(f"{path} has {len(members)} members, at most {MAX_MEMBERS} are read")
    names = [info.filename for info in members]
    if len(set(names)) != len(names):
        raise CalibrationError(f"{path} has two members of one name", hint="write it again with numpy.savez")
    for info in members:
        if info.flag_bits & 0x1:
            raise CalibrationError(f"{path}: member {info.filename} is encrypted", hint="write it without a password")
        if info.file_size > SUSPECT_BYTES and info.file_size > SUSPECT_RATIO * max(info.compress_size, 1):
            raise CalibrationError(
                f"{path}: member {info.filename} would unpack {info.compress_size} bytes to {info.file_size} bytes, "
                f"more than {SUSPECT_RATIO}-fold: refused as a zip bomb",
                hint="store it uncompressed with numpy.savez if it is meant",
            )


def _open_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path, target: Path) -> ArrayFile:
    where = f"{path}, member {info.filename}"
    if info.compress_type != zipfile.ZIP_STORED:
        with archive.open(info) as member:
            _described(member, path, where=where, size_bytes=info.file_size)  # refuse before unpacking
        unpacked = _unpack(archive, info, target)
        with unpacked.open("rb") as file:
            return _described(file, unpacked, where=where, size_bytes=unpacked.stat().st_size)
    with path.open("rb") as file:
        file.seek(info.header_offset)
        local = file.read(30)
        if len(local) < 30 or local[:4] != b"PK\x03\x04":
            raise CalibrationError(f"{where}: its local header is damaged", hint="write the .npz again")
        name_bytes, extra_bytes = struct.unpack("<HH", local[26:30])
        file.seek(name_bytes + extra_bytes, 1)
        rest = path.stat().st_size - file.tell()
        return _described(file, path, where=where, size_bytes=file.tell() + min(info.file_size, rest))


def _unpack(archive: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(target.parent).free
    if info.file_size > free:
        raise StorageError(
            f"{info.filename} unpacks to {info.file_size} bytes and {target.parent} has {free} bytes free",
            hint="free some space, or store the .npz uncompressed (numpy.savez)",
        )
    written = 0
    with archive.open(info) as member, target.open("wb") as file:
        while chunk := member.read(_CHUNK_BYTES):
            written += len(chunk)
            if written > info.file_size:
                raise CalibrationError(f"member {info.filename} holds more than the {info.file_size} bytes it declares")
            file.write(chunk)
    return target


def _described(file: IO[bytes], path: Path, *, where: str, size_bytes: int) -> ArrayFile:
    """Read the .npy header at the file's place; `size_bytes` is where the array's last byte must be."""
    start = file.tell()
    head = io.BytesIO(file.read(_HEADER_BYTES))
    try:
        version = np.lib.format.read_magic(head)
        if version == (1, 0):
            shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(head)
        elif version == (2, 0):
            shape, is_fortran, dtype = np.lib.format.read_array_header_2_0(head)
        else:
            raise _NotNumericError(f"{where}: .npy version {version} holds records, not numbers", hint=_NO_PICKLE)
    except (ValueError, EOFError, SyntaxError, TokenError, TypeError) as error:  # numpy parses it as Python
        if isinstance(error, CalibrationError):
            raise
        raise CalibrationError(f"{where} is not a readable .npy array: {error}", hint="write it again") from error
    if dtype.hasobject:
        raise _NotNumericError(f"{where} holds pickled Python objects, which could run code", hint=_NO_PICKLE)
    if dtype.kind not in "biuf" or dtype.names is not None or dtype.subdtype is not None:
        raise _NotNumericError(f"{where} holds {dtype}, not numbers", hint=_NO_PICKLE)
    offset = start + head.tell()
    declared = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or offset + declared > size_bytes:
        raise CalibrationError(
            f"{where} declares shape {shape} of {dtype}, {declared} bytes, but has {size_bytes - offset}",
            hint="the file is cut short or forged; write it again",
        )
    return ArrayFile(path, offset, tuple(shape), dtype, is_fortran)
