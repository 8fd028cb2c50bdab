"""Compressed: the folder that `edgekit compress` left, read as far as a bundle needs it.

Only what is told here is taken from report.json; later versions may add to it.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path

from edgekit.errors import InputError, MalformedError
from edgekit.types.artifact import parts_of
from edgekit.types.finding import Finding
from edgekit.types.ladder import Judgement
from edgekit.types.plain import from_plain
from edgekit.types.preprocessing import Preprocessing
from edgekit.types.recipe import FILES, Recipe
from edgekit.types.report import SCHEMA, Accuracy, CalibrationSummary, Latency, LsbGap, Machine, Signal
from edgekit.types.spec import TensorSpec
from edgekit.types.strict_json import read_strict

REPORT, RECIPE = "report.json", "recipe.toml"
LARGEST_REPORT_BYTES = 16 * 2**20
MOST_ELEMENTS = 2**28
"""Of an input or output; one golden sample of the largest has 1 GiB."""
_NOT_OURS = "pack takes the folder that `edgekit compress` or `edgekit demo` wrote; name that one"
ARCHITECTURES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
"""What machines call themselves -> the manifest's word."""


@dataclass(frozen=True)
class WrittenFile:
    """A model file as report.json tells it; see `edgekit.types.artifact.Artifact`."""

    path: str
    format: str
    size_bytes: int
    digest: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    @property
    def is_tflite(self) -> bool:
        """Whether LiteRT runs it; ONNX Runtime runs all the others."""
        return self.format.startswith("tflite")


@dataclass(frozen=True)
class FileCheck:
    """What was measured on it; see `edgekit.types.report.ArtifactCheck`."""

    artifact: WrittenFile
    error: str = ""
    signal: Signal | None = None
    reference: LsbGap | None = None
    latency: Latency | None = None
    accuracy: Accuracy | None = None


@dataclass(frozen=True)
class Check:
    """What the files say; see `edgekit.types.report.CheckReport`."""

    machine: Machine
    samples: int
    artifacts: tuple[FileCheck, ...]
    pairs: tuple[LsbGap, ...] = ()
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class Source:
    """The float model; see `edgekit.types.report.ModelSummary`."""

    name: str
    digest: str
    parameters: int
    nodes: int
    int8_nodes: int


@dataclass(frozen=True)
class Told:
    """report.json; see `edgekit.types.report.Report`."""

    version: str
    model: Source
    calibration: CalibrationSummary
    check: Check
    findings: tuple[Finding, ...] = ()
    preprocessing: Preprocessing | None = None
    judgements: tuple[Judgement, ...] = ()

    @property
    def all_findings(self) -> tuple[Finding, ...]:
        """Of every stage."""
        return (*self.findings, *self.calibration.lint, *self.check.findings)


@dataclass(frozen=True)
class Compressed:
    """The folder.

    Attributes:
        folder: Where it is.
        told: Its report.
        recipe: Its recipe, without the folders in which anything lay; None where there is no recipe.toml.
    """

    folder: Path
    told: Told
    recipe: Recipe | None

    @property
    def architecture(self) -> str:
        """Of the machine that its files were measured on: "amd64", "arm64" or "" for any other."""
        return ARCHITECTURES.get(self.told.check.machine.system.rpartition(" ")[2].lower(), "")

    @property
    def is_pair_safe(self) -> bool:
        """Whether its weights are right on CPUs that add int8 products in 16 bits."""
        return self.recipe is not None and self.recipe.quantize.pair_safe

    def check_of(self, format: str) -> FileCheck | None:
        """What was measured on the file of that format; None when there is none."""
        return next((entry for entry in self.told.check.artifacts if entry.artifact.format == format), None)

    def parts(self, file: WrittenFile) -> list[Path]:
        """The file, and its external data where it has some."""
        return parts_of(self.folder / file.path)


def open_compressed(folder: Path) -> Compressed:
    """Read the report and the recipe of a folder.

    Raises:
        InputError: There is no report.json, or it was not written by `edgekit compress`, or is damaged.
    """
    if not os.path.isdir(folder):  # unlike Path.is_dir, it answers for a path that cannot be looked at
        raise InputError(f"there is no folder {folder}", hint=_NOT_OURS)
    told = _read_report(folder / REPORT)
    for entry in told.check.artifacts:
        known = FILES.get(entry.artifact.format)  # type: ignore[call-overload]  # any text may stand in a file
        if entry.artifact.path != known:
            raise InputError(
                f"{REPORT} names a file {entry.artifact.path[:80]!r} of format {entry.artifact.format[:40]!r}, which "
                "compress does not write",
                hint=_NOT_OURS,
            )
        for spec in (*entry.artifact.inputs, *entry.artifact.outputs):
            _check_tensor(spec, entry.artifact.path)
    recipe = folder / RECIPE
    return Compressed(folder, told, _without_folders(Recipe.from_file(recipe)) if recipe.is_file() else None)


def _read_report(path: Path) -> Told:
    try:
        if path.stat().st_size > LARGEST_REPORT_BYTES:
            raise InputError(f"{path} has {path.stat().st_size} bytes; at most {LARGEST_REPORT_BYTES} are read")
        value = read_strict(path.read_bytes(), where=str(path), limit_bytes=LARGEST_REPORT_BYTES)
    except FileNotFoundError as error:
        raise InputError(f"there is no {REPORT} in {path.parent}", hint=_NOT_OURS) from error
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except MalformedError as error:
        raise InputError(str(error), hint=_NOT_OURS) from error
    if not isinstance(value, dict) or value.get("schema") != SCHEMA:
        raise InputError(f"{path} is no report of `edgekit compress` ({SCHEMA})", hint=_NOT_OURS)
    return from_plain(Told, value, where=REPORT)


def _check_tensor(spec: TensorSpec, file: str) -> None:
    """Sizes that a golden input may have."""
    elements = math.prod(spec.shape)
    if min(spec.shape, default=1) < 1 or elements > MOST_ELEMENTS:
        raise InputError(f"{REPORT} says that '{spec.name[:80]}' of {file} has the shape {spec.shape}")


def _without_folders(recipe: Recipe) -> Recipe:
    """The recipe with names instead of paths: where a project lies is nobody's business and changes no byte.

    >>> _without_folders(Recipe().with_fields({"calibration.data": "/home/me/photos"})).calibration.data
    'photos'
    """
    places = ("model.factory", "calibration.data", "evaluation.data", "evaluation.metric", "train.data", "train.loss")
    fields: dict[str, object] = {}
    for place in (*places, "distill.teacher"):
        table, _, key = place.partition(".")
        text = str(getattr(getattr(recipe, table), key))
        fields[place] = text.rstrip("/").rpartition("/")[2]
    return recipe.with_fields(fields)
