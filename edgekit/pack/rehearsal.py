"""Rehearsal: every file is run on this machine as a node will run it, before anything is signed.

Takes the files that compress left, hands on their answers to the golden inputs, what memory they took, and which of
them failed.
"""

from __future__ import annotations

import io
import platform
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edgekit.errors import CheckError, EdgekitError, StorageError
from edgekit.pack.borders import Border, read_border
from edgekit.pack.compressed import Compressed, FileCheck
from edgekit.pack.golden import choose_rule, gap_lsb, judge, reported_lsb
from edgekit.pack.golden_inputs import as_taken, draw_inputs, read_given
from edgekit.pack.onnx_header import OnnxHeader, read_header
from edgekit.pack.refusals import as_record
from edgekit.pack.settings import PackSettings
from edgekit.pack.trial import run_trial
from edgekit.pack.variants import ARM, AUDIT, ROWS, Place
from edgekit.runtime.agent_process import Trial
from edgekit.runtime.array_archive import write_arrays
from edgekit.runtime.golden_job import Subject
from edgekit.types.manifest import Rule
from edgekit.types.progress import Progress
from edgekit.types.qparams import Array
from edgekit.types.spec import TensorSpec

SAME_INTEGERS = ("onnx-int8", "onnx-x86", "tflite-int8", AUDIT)
"""Files of one table of integers: on every machine they differ by no more than their kernels' rounding."""
PACKAGES = ("onnxruntime", "ai-edge-litert", "tflite-runtime")


@dataclass(frozen=True, eq=False)
class Rehearsed:
    """One file that answered, twice the same.

    Attributes:
        entry: What the report says of it.
        header: Of an ONNX file.
        border: Its inputs, and its outputs with a scale only where the answers lie on its grid.
        inputs: Path of its golden inputs in the bundle.
        samples: How many those are.
        trial: Its answers and what it took.
    """

    entry: FileCheck
    header: OnnxHeader | None
    border: Border
    inputs: str
    samples: int
    trial: Trial


@dataclass(frozen=True, eq=False)
class Rehearsal:
    """All of them.

    Attributes:
        files: Format -> file, of those that passed.
        inputs: Path in the bundle -> contents of each file of golden inputs.
        packages: Runtime package -> version that gave the answers.
        failed: What did not pass, as the manifest records it.
    """

    files: Mapping[str, Rehearsed]
    inputs: Mapping[str, bytes]
    packages: Mapping[str, str]
    failed: tuple[str, ...] = ()

    def answers_for(self, place: Place) -> Mapping[str, Array]:
        """The answers that a variant's own are held against.

        ARM kernels compute the canonical file as the file for audits says, bit for bit in our tests; x86 computes half
        of it in float. So an x86 machine takes the answers for ARM from the latter.
        """
        own, audit = self.files[place.format], self.files.get(AUDIT)
        is_foreign = place.arch == ARM and platform.machine().lower() not in ("aarch64", "arm64")
        if place.format != "onnx-int8" or not is_foreign or audit is None:
            return own.trial.answers
        same = own.border == audit.border and own.inputs == audit.inputs
        return audit.trial.answers if same else own.trial.answers

    def rule_for(self, place: Place, compressed: Compressed) -> Rule:
        """How a node compares: by what was measured on the report's samples and on the golden inputs."""
        own, audit = self.files[place.format], self.files.get(AUDIT)
        measured = reported_lsb(place.format, own.entry.reference, compressed.told.check.pairs)
        if place.format in SAME_INTEGERS and audit is not None and own.inputs == audit.inputs:
            measured = max(measured, gap_lsb(own.border.outputs, own.trial.answers, audit.trial.answers))
        model = compressed.told.model
        return choose_rule(
            place.format,
            place.runtime,
            own.border.outputs,
            own.trial.answers,
            measured_lsb=measured,
            is_all_integer=model.int8_nodes == model.nodes,
        )


def rehearse(compressed: Compressed, formats: Sequence[str], settings: PackSettings, progress: Progress) -> Rehearsal:
    """Run files on golden inputs.

    Args:
        compressed: Where they are.
        formats: Which; each is in the report, and there.
        settings: Whose golden inputs, or which draw.
        progress: Who watches.

    Raises:
        InputError: The golden inputs cannot be used, or a file not be read.
        MissingExtraError: A runtime is not installed.
        StorageError: There is no room for temporary files.
    """
    headers = {name: _header(compressed, name) for name in formats}
    borders = {name: _border(compressed, name, headers[name]) for name in formats}
    given = _inputs(borders, settings)
    files: dict[str, Rehearsed] = {}
    contents: dict[str, bytes] = {}
    packages: dict[str, str] = {}
    failed: list[str] = []
    with _scratch() as scratch, progress.stage("run", len(formats)) as stage:
        for name in formats:
            arrays = as_taken(given, borders[name].inputs)
            path = _store(arrays, borders[name].inputs, contents)
            (scratch / "inputs.npz").write_bytes(contents[path])
            try:
                trial, outputs = _run_twice(compressed, name, borders[name], scratch)
            except CheckError as error:
                failed.append(as_record(str(error)))
                continue
            finally:
                stage.advance()
            entry = compressed.check_of(name)
            assert entry is not None  # the formats are those of the report
            border = Border(borders[name].inputs, outputs)
            files[name] = Rehearsed(entry, headers[name], border, path, len(next(iter(arrays.values()))), trial)
            packages |= _packages(trial, ROWS[name].runtime)
    used = {file.inputs for file in files.values()}
    kept = {path: data for path, data in contents.items() if path in used}
    return Rehearsal(files, kept, packages, tuple(failed))


def _run_twice(
    compressed: Compressed, format: str, border: Border, scratch: Path
) -> tuple[Trial, tuple[TensorSpec, ...]]:
    """Its first answers, and its outputs as `judge` sees them.

    Raises:
        CheckError: It does not run, or not twice the same.
    """
    entry = compressed.check_of(format)
    assert entry is not None
    file = compressed.folder / entry.artifact.path
    subject = Subject(file, ROWS[format].runtime, border.inputs, border.outputs)
    first, second = (run_trial(subject, scratch / "inputs.npz") for _ in range(2))
    return first, judge(first, second, border, name=entry.artifact.path)


@contextmanager
def _scratch() -> Iterator[Path]:
    """A folder for what the processes read and write, removed in the end.

    Raises:
        StorageError: There is no room for it.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="edgekit.", ignore_cleanup_errors=True) as place:
            yield Path(place)
    except OSError as error:
        if isinstance(error, EdgekitError):
            raise
        raise StorageError(
            f"cannot write temporary files to {tempfile.gettempdir()}: {error.strerror or error}",
            hint="free some space, or name another place with the environment variable TMPDIR",
        ) from error


def _header(compressed: Compressed, format: str) -> OnnxHeader | None:
    entry = compressed.check_of(format)
    if entry is None or entry.artifact.is_tflite:
        return None
    return read_header(compressed.folder / entry.artifact.path)


def _border(compressed: Compressed, format: str, header: OnnxHeader | None) -> Border:
    entry = compressed.check_of(format)
    assert entry is not None
    return read_border(entry.artifact, compressed.folder / entry.artifact.path, header)


def _inputs(borders: Mapping[str, Border], settings: PackSettings) -> dict[str, Array]:
    """Golden inputs for all files; drawn on the grid of one that has scales, which they share."""
    if not borders:
        return {}
    scaled = [border for border in borders.values() if any(spec.scale is not None for spec in border.inputs)]
    specs = (scaled or list(borders.values()))[0].inputs
    return read_given(settings.golden, specs) if settings.golden else draw_inputs(specs, seed=settings.seed)


def _store(arrays: Mapping[str, Array], specs: Sequence[TensorSpec], contents: dict[str, bytes]) -> str:
    """Path of a file of golden inputs; files that take the same share one, others are told apart by element type."""
    buffer = io.BytesIO()
    write_arrays(buffer, arrays)
    data = buffer.getvalue()
    types = "-".join(dict.fromkeys(spec.dtype for spec in specs))
    path, number = f"golden/inputs.{types}.npz", 2
    while contents.setdefault(path, data) != data:
        path, number = f"golden/inputs.{types}.{number}.npz", number + 1
    return path


def _packages(trial: Trial, runtime: str) -> dict[str, str]:
    """What ran it, by the name of its distribution."""
    names = ("onnxruntime", "onnxruntime-gpu") if runtime == "onnxruntime" else PACKAGES[1:]
    return next(({name: trial.packages[name]} for name in names if name in trial.packages), {})
