"""The job that has `edgekit.agent` run one file on golden inputs, and write what came of it: `pack` and nodes give it.

Floor 2, so that stages that never import one another say it in the same words; docs/devices.md has the language.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekit.types.spec import TensorSpec
from edgekit.types.target import SESSION_OPTIONS

SCHEMA = "edgekit.job/1"


@dataclass(frozen=True)
class Subject:
    """What is run.

    Attributes:
        file: The file; its external data lies beside it.
        runtime: "onnxruntime" or "litert".
        inputs: What it takes, in the file's order.
        outputs: What it gives, in the file's order.
        provider: Execution provider, the agent's word.
        threads: Of the runtime.
    """

    file: Path
    runtime: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    provider: str = "cpu"
    threads: int = 1


def golden_job(subject: Subject, *, inputs: Path, outputs: str) -> str:
    """One line of JSON, with its end.

    Args:
        subject: What is run, one sample an inference.
        inputs: An .npz: input name -> array of shape (samples, *input's shape).
        outputs: Where the agent writes an .npz with the arrays output_0, output_1, ... of shape
            (samples, *output's shape); relative to the folder that it runs in.
    """
    entry = {
        "name": subject.file.name,
        "file": str(subject.file.absolute()),
        "runtime": subject.runtime,
        "provider": subject.provider,
        "threads": subject.threads,
        "batch": 1,
        "border": _border(subject),
        "session": SESSION_OPTIONS,
    }
    document = {
        "schema": SCHEMA,
        "subjects": [entry],
        "inputs": str(inputs.absolute()),
        "samples": 0,
        "seed": 0,
        "golden": {"outputs": [outputs]},
        "steady": None,
        "profile": None,
        "sensors": None,
        "probes": {"files": [], "commands": []},
    }
    return json.dumps(document, separators=(",", ":"), allow_nan=False) + "\n"


def _border(subject: Subject) -> dict[str, Any]:
    """Names and axis orders, which a .tflite file does not tell its runtime; no scales, integers stay integers."""
    if subject.runtime != "litert":
        return {}
    return {"inputs": _side(subject.inputs), "outputs": _side(subject.outputs), "scales": {}}


def _side(specs: Sequence[TensorSpec]) -> list[dict[str, Any]]:
    return [{"name": spec.name, "permutation": spec.permutation and list(spec.permutation)} for spec in specs]
