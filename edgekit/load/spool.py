"""Batches that can be walked only once, written to a temporary file so that they can be walked again.

Calibration, bias correction and the check each walk the samples. A generator is gone after the first walk and a
shuffling loader gives another order each time, so both are written out once, sample by sample; memory stays at one
batch whatever their number.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol, runtime_checkable

import numpy as np

from edgekit.errors import CalibrationError, EdgekitError, StorageError
from edgekit.load.array_files import ArrayFile
from edgekit.load.batches import Batch, fit_batch
from edgekit.types.finding import Finding
from edgekit.types.preprocessing import Preprocessing
from edgekit.types.qparams import Array
from edgekit.types.spec import TensorSpec

MAX_SPOOL_BYTES = 32 * 2**30
"""Where an endless generator is stopped."""


@dataclass(frozen=True, eq=False)
class Spooled:
    """Samples on disk.

    Attributes:
        arrays: input name -> file of shape (count, *input shape), the input's dtype.
        count: How many samples.
        classes: int64 (count,) labels, when every batch had them.
        findings: Those of all batches, each once.
    """

    arrays: dict[str, ArrayFile]
    count: int
    classes: Array | None
    findings: tuple[Finding, ...]

    def read(self, index: int) -> dict[str, Array]:
        """One sample: input name -> array."""
        return {name: array.take(index, index + 1)[0] for name, array in self.arrays.items()}


@runtime_checkable
class SizedMap(Protocol):
    """A map-style dataset."""

    def __len__(self) -> int:
        """How many items."""
        ...

    def __getitem__(self, index: int, /) -> object:
        """One item."""
        ...


def spool(
    batches: Iterable[object] | SizedMap,
    inputs: Sequence[TensorSpec],
    *,
    preprocessing: Preprocessing | None,
    limit: int | None,
    workdir: Path,
    source: str,
) -> Spooled:
    """Walk `batches` once and write their samples to a new folder in `workdir`.

    Args:
        batches: What `fit_batch` understands, each.
        inputs: The model's inputs.
        preprocessing: For uint8 images.
        limit: Stop after this many samples; the rest is not asked for.
        workdir: Where the files go; whoever owns it removes them.
        source: What to call the batches in messages.

    Raises:
        CalibrationError: The source raises, a batch does not fit, or there is no end to it.
        StorageError: No space left.
    """
    workdir.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="samples-", dir=workdir))
    with ExitStack() as stack:
        files = {
            spec.name: stack.enter_context((folder / f"{place}.bin").open("wb")) for place, spec in enumerate(inputs)
        }
        recorder = _Recorder(files)
        for batch in _fitted(batches, inputs, preprocessing, source):
            recorder.add(batch, batch.count if limit is None else limit - recorder.count)
            if recorder.count == limit:
                break
            if recorder.written_bytes > MAX_SPOOL_BYTES:
                raise CalibrationError(
                    f"{source} gave {recorder.count} samples, {recorder.written_bytes} bytes, and goes on",
                    hint="give a limit of samples",
                )
    return recorder.result(inputs)


class _Recorder:
    """Writes batches to open files and keeps what is small: count, labels, findings."""

    def __init__(self, files: Mapping[str, IO[bytes]]) -> None:
        self.files = files
        self.count = 0
        self.classes: list[int] | None = []
        self.findings: dict[tuple[str, str], Finding] = {}

    @property
    def written_bytes(self) -> int:
        return sum(file.tell() for file in self.files.values())

    def add(self, batch: Batch, most: int) -> None:
        """Write the first samples of the batch, `most` at most."""
        taken = min(batch.count, most)
        for index in range(taken):
            for name, piece in batch.read(index).items():
                _write(self.files[name], piece)
        self.count += taken
        if batch.classes is None:
            self.classes = None
        elif self.classes is not None:
            self.classes += batch.classes[:taken].tolist()
        for finding in batch.findings:
            self.findings.setdefault((finding.code, finding.where), finding)

    def result(self, inputs: Sequence[TensorSpec]) -> Spooled:
        arrays = {
            spec.name: ArrayFile(Path(self.files[spec.name].name), 0, (self.count, *spec.shape), np.dtype(spec.dtype))
            for spec in inputs
        }
        classes = np.array(self.classes, np.int64) if self.classes else None
        return Spooled(arrays, self.count, classes, tuple(self.findings.values()))


def _fitted(
    batches: Iterable[object] | SizedMap, inputs: Sequence[TensorSpec], preprocessing: Preprocessing | None, source: str
) -> Iterator[Batch]:
    """The batches, fitted; whatever the user's code raises becomes a CalibrationError that says after which batch."""
    done = 0
    try:
        for value in _walk(batches):
            yield fit_batch(value, inputs, preprocessing, where=f"batch {done} of {source}")
            done += 1
    except EdgekitError:
        raise
    except (Exception, SystemExit) as error:
        raise CalibrationError(
            f"{source} raised {type(error).__name__} after {done} batch(es): {error}",
            hint="iterate over it once by itself to find the cause",
        ) from error


def _walk(batches: Iterable[object] | SizedMap) -> Iterator[object]:
    """Iterate; a dataset with only `__len__` and `__getitem__` by index, as it need not raise IndexError."""
    walk = iter(batches) if isinstance(batches, Iterable) else (batches[index] for index in range(len(batches)))
    while True:
        with redirect_stdout(sys.stderr):  # what the user's code prints must not end in machine output
            try:
                value = next(walk)
            except StopIteration:
                return
        yield value


def _write(file: IO[bytes], piece: Array) -> None:
    try:
        file.write(piece.data)
    except OSError as error:
        raise StorageError(
            f"the calibration samples cannot be kept in {file.name}: {error}",
            hint="free some space, give a smaller limit, or hand over an .npz, which is read in place",
        ) from error
