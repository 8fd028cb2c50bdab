"""Artifacts as a benchmark takes them: any .onnx or .tflite file, and what lies beside it.

Only the file's bytes are looked at, never its graph: a machine that drives devices needs no runtime of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekit import digest
from edgekit.errors import InputError
from edgekit.runtime.flatbuffer import metadata_entry
from edgekit.types.artifact import parts_of
from edgekit.types.bench import BenchArtifact

SUFFIXES = {".onnx": "onnxruntime", ".tflite": "litert"}
REPORT = "report.json"
_LARGEST_REPORT_BYTES = 64_000_000


@dataclass(frozen=True)
class BenchFile:
    """One file to be measured.

    Attributes:
        artifact: What the report says of it.
        path: Where it is.
        border: Names, axis orders and scales of a .tflite file's inputs and outputs; empty for others.
    """

    artifact: BenchArtifact
    path: Path
    border: Mapping[str, Any]

    @property
    def parts(self) -> Sequence[Path]:
        """The file, and its external data."""
        return parts_of(self.path)


def collect(places: Iterable[Path]) -> tuple[BenchFile, ...]:
    """The files of some places, each with a name of its own.

    Args:
        places: Files, or folders whose .onnx and .tflite files are meant.

    Raises:
        InputError: Nothing is there, a file is of another kind, or a folder holds none.
    """
    paths: dict[Path, None] = {}
    for place in places:
        if place.is_dir():
            found = sorted(path for path in place.iterdir() if path.suffix in SUFFIXES and path.is_file())
            if not found:
                raise InputError(f"there is no .onnx or .tflite file in {place}")
            paths.update(dict.fromkeys(found))
        elif place.is_file() and place.suffix in SUFFIXES:
            paths[place] = None
        elif place.is_file():
            raise InputError(
                f"{place.name} is neither .onnx nor .tflite", hint="bench takes what edgekit compress writes"
            )
        else:
            raise InputError(f"there is no file {place}")
    if not paths:
        raise InputError("no artifact is named", hint="for example: edgekit bench model.int8.onnx --on local:")
    return tuple(_open(path, name) for path, name in zip(paths, _names(list(paths)), strict=True))


def _names(paths: Sequence[Path]) -> list[str]:
    """File names; with as many folders before them as it takes to tell them apart."""
    depth = 1
    while True:
        names = ["/".join(path.absolute().parts[-depth:]) for path in paths]
        if len(set(names)) == len(names) or depth > 64:
            return names
        depth += 1


def _open(path: Path, name: str) -> BenchFile:
    parts = parts_of(path)
    if not path.stat().st_size:
        raise InputError(f"{path.name} is empty", hint="was it written to its end?")
    whole = digest.of_files(parts)
    quality, quality_name = _quality(path.with_name(REPORT), whole)
    artifact = BenchArtifact(
        name=name,
        file=path.name,
        digest=whole,
        size_bytes=sum(part.stat().st_size for part in parts),
        runtime=SUFFIXES[path.suffix],
        quality=quality,
        quality_name=quality_name,
        quality_source=REPORT if quality is not None else "",
    )
    return BenchFile(artifact, path, _border(path) if path.suffix == ".tflite" else {})


def _border(path: Path) -> Mapping[str, Any]:
    """What edgekit's emitter wrote about the inputs and outputs; empty for files of others."""
    try:
        text = metadata_entry(path.read_bytes(), "edgekit")
        description = json.loads(text) if text else {}
        scales = json.loads(description.get("metadata", {}).get("edgekit.scales", "{}"))
        sides = {side: list(description[side]) for side in ("inputs", "outputs") if side in description}
        return {**sides, "scales": scales if isinstance(scales, dict) else {}}
    except (ValueError, TypeError, AttributeError):
        return {}


def _quality(report: Path, whole: str) -> tuple[float | None, str]:
    """The task metric of the file with that digest in a report of `edgekit compress`, else its agreement with float."""
    try:
        if report.stat().st_size > _LARGEST_REPORT_BYTES:
            return None, ""
        entries = json.loads(report.read_text(encoding="utf-8"))["check"]["artifacts"]
        entry = next(entry for entry in entries if entry["artifact"]["digest"] == whole)
        if entry.get("accuracy"):
            return float(entry["accuracy"]["accuracy"]), str(entry["accuracy"].get("metric", "top-1"))
        agreement = (entry.get("signal") or {}).get("top1_agreement")
        return (float(agreement["estimate"]), "agreement with float") if agreement else (None, "")
    except (OSError, ValueError, KeyError, TypeError, StopIteration):
        return None, ""
