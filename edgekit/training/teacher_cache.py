"""What the teacher said, kept on disk: it is asked once for each sample instead of once in each epoch.

A row is found by the digest of the sample's own bytes, in a folder named by the digest of the teacher's weights. So
the order of the data does not matter, and what belongs to other data or to another teacher is never found: nothing
can be stale. Rows are memory-mapped; each has a checksum, and a damaged one is asked for again.
"""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from edgekit import digest
from edgekit.errors import InputError, StorageError
from edgekit.training.batches import Batch, Outputs
from edgekit.training.checkpoints import as_bytes, state_digest
from edgekit.types.finding import Finding

_RECORD = np.dtype([("key", "V16"), ("checksum", "<u4")])
_LARGEST_SHAPE_FILE = 1000

Array = np.ndarray[Any, np.dtype[np.float32]]


class TeacherCache:
    """Outputs of one teacher.

    Attributes:
        folder: Of this teacher and process; made when the first row is written.
        hits: Samples found in it.
        misses: Samples the teacher was asked for.
    """

    def __init__(
        self, folder: str | os.PathLike[str], teacher: nn.Module, *, precision: str = "no", rank: int = 0
    ) -> None:
        """Use `folder`, and what an earlier run left there.

        Args:
            folder: May serve several teachers.
            teacher: Its weights and its printed structure name the folder inside.
            precision: In which it computes, as in `TrainingSettings.mixed_precision`; names the folder too.
            rank: Process; each writes files of its own.
        """
        name = digest.of_bytes(f"{state_digest(teacher.state_dict())} {teacher} {precision}".encode())[:16]
        self.folder = Path(folder) / f"teacher-{name}" / f"process-{rank}"
        self.hits = self.misses = 0
        self._useless = False
        self._places: dict[bytes, tuple[int, int]] = {}
        self._mapped: Array | None = None
        self._shape = self._read_shape()
        self._count = self._read_records()

    def said(self, batch: Batch, ask: Callable[[], Outputs]) -> Tensor:
        """The teacher's output for a batch, float32: from the files when every sample is there.

        Raises:
            InputError: The teacher has several outputs, or not one row for each sample.
            StorageError: The folder cannot be written.
        """
        keys = [] if self._useless else sample_digests(batch)
        found = self._find(keys)
        if found is not None:
            self.hits += len(keys)
            return torch.from_numpy(found).to(batch.first.device)
        output = ask()
        if not isinstance(output, Tensor) or len(output) != batch.size:
            raise InputError(
                "the cache holds one output with one row a sample; this teacher gives others", hint="leave cache out"
            )
        self.misses += batch.size
        output = output.detach().float()
        if keys:
            self._append(keys, np.ascontiguousarray(output.cpu().numpy()))
        return output

    def review(self, epoch: int) -> None:
        """Called before each epoch (from 0): after two without one hit it is given up, before it fills the disk."""
        self._useless = self._useless or (epoch >= 2 and self.misses > 0 and self.hits == 0)

    def findings(self) -> tuple[Finding, ...]:
        """A finding when it was given up."""
        if not self._useless:
            return ()
        message = (
            f"none of {self.misses} samples came twice: the data differs in each epoch, and the cache was given up"
        )
        return (Finding("teacher-cache-useless", message, where=str(self.folder), hint="leave cache out"),)

    def _find(self, keys: list[bytes]) -> Array | None:
        if not keys or any(key not in self._places for key in keys):
            return None
        rows = self._rows()
        found = np.stack([rows[self._places[key][0]] for key in keys])
        for key, row in zip(keys, found, strict=True):
            if zlib.crc32(row.tobytes()) != self._places[key][1]:
                del self._places[key]
                return None
        return found

    def _append(self, keys: list[bytes], rows: Array) -> None:
        """Rows first, then the records that make them count; what was cut off by a kill is overwritten."""
        shape = tuple(int(size) for size in rows.shape[1:])
        checksums = [zlib.crc32(row.tobytes()) for row in rows]
        records = np.array(list(zip(keys, checksums, strict=True)), _RECORD)
        try:
            if self._shape != shape:
                self._begin(shape)
            _write_at(self.folder / "outputs.f32", self._count * rows[0].nbytes, rows.tobytes())
            _write_at(self.folder / "records", self._count * _RECORD.itemsize, records.tobytes())
        except OSError as error:
            raise StorageError(
                f"cannot write what the teacher said to {self.folder}: {error}",
                hint="free some space, choose another folder, or leave cache out",
            ) from error
        for place, (key, checksum) in enumerate(zip(keys, checksums, strict=True), self._count):
            self._places[key] = (place, checksum)
        self._count += len(keys)

    def _begin(self, shape: tuple[int, ...]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        for name in ("records", "outputs.f32"):
            (self.folder / name).write_bytes(b"")
        (self.folder / "shape.json").write_text(json.dumps(shape), encoding="utf-8")
        self._shape, self._count, self._mapped = shape, 0, None
        self._places.clear()

    def _rows(self) -> Array:
        if self._mapped is None or len(self._mapped) < self._count:
            assert self._shape is not None
            self._mapped = np.memmap(self.folder / "outputs.f32", np.float32, "r", shape=(self._count, *self._shape))
        return self._mapped

    def _read_shape(self) -> tuple[int, ...] | None:
        """Shape of a row, or None when there are no rows or the file is not what this class writes."""
        try:
            with (self.folder / "shape.json").open("rb") as stream:
                found = json.loads(stream.read(_LARGEST_SHAPE_FILE))
        except (OSError, ValueError):
            return None
        if not (isinstance(found, list) and all(type(size) is int and size > 0 for size in found)):
            return None
        return tuple(found)

    def _read_records(self) -> int:
        """Take in the records whose rows are there; how many."""
        try:
            data = (self.folder / "records").read_bytes()
            stored = (self.folder / "outputs.f32").stat().st_size // (4 * prod(self._shape or (1,)))
        except OSError:
            return 0
        if self._shape is None:
            return 0
        records = np.frombuffer(data, _RECORD, count=min(len(data) // _RECORD.itemsize, stored))
        for place, record in enumerate(records):
            self._places[record["key"].tobytes()] = (place, int(record["checksum"]))
        return len(records)


def sample_digests(batch: Batch) -> list[bytes]:
    """One digest for each sample: of the types, shapes and bytes of its inputs; labels do not matter."""
    parts = {**{str(place): value for place, value in enumerate(batch.args)}, **batch.named}
    arrays = {name: value.detach().cpu().contiguous() for name, value in sorted(parts.items())}
    kinds = " ".join(f"{name} {value.dtype} {tuple(value.shape[1:])}" for name, value in arrays.items()).encode()
    found = []
    for place in range(batch.size):
        hashed = hashlib.sha256(kinds)
        for value in arrays.values():
            hashed.update(as_bytes(value[place]))
        found.append(hashed.digest()[:16])
    return found


def _write_at(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as stream:
        stream.truncate(offset)
        stream.seek(offset)
        stream.write(data)
