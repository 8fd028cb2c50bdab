"""Jobs for the agent: what a subject is and what is to be done with it, as the one line that the agent reads."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edgekit.bench.probes.environment import probes, sensors
from edgekit.types.bench import BenchSettings, Kind
from edgekit.types.target import SESSION_OPTIONS

SCHEMA = "edgekit.job/1"
GOLDEN_SAMPLES = 16
"""Random golden inputs per artifact when the user brings none."""
COUNTED_RUNS = 15
COUNTED_WARMUP_RUNS = 3
"""Inferences whose instructions are counted, and those before them; the smallest count is kept."""
SENSOR_SECONDS = 1.0
TURN_SECONDS = 0.008
"""Length of one subject's turn in an A/B comparison: long against the caches' refilling, short against drift."""
PROFILE_RUNS = 30


@dataclass(frozen=True)
class Subject:
    """One file in one configuration, as the agent gets it.

    Attributes:
        file: Name in the device's folder.
        runtime: "onnxruntime" or "litert".
        provider: Execution provider.
        threads: Threads of the runtime.
        batch: Samples per inference.
        border: Names, axis orders and scales of a .tflite file's inputs and outputs, from its metadata.
    """

    file: str
    runtime: str
    provider: str = "cpu"
    threads: int = 1
    batch: int = 1
    border: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As a job holds it."""
        return {
            "name": self.file,
            "file": self.file,
            "runtime": self.runtime,
            "provider": self.provider,
            "threads": self.threads,
            "batch": self.batch,
            "border": self.border,
            "session": SESSION_OPTIONS,
        }


def wall_plan(settings: BenchSettings, *, duration_s: float | None = None) -> dict[str, Any]:
    """The "steady" of a job that measures time.

    Args:
        settings: Of the benchmark.
        duration_s: Steady state of each subject, seconds; None takes the settings'. Given one, as many inferences are
            run as fit.
    """
    return {
        "kind": Kind.WALL_NS.value,
        "duration_s": settings.duration_s if duration_s is None else duration_s,
        "min_runs": settings.min_runs,
        "max_runs": settings.max_runs if duration_s is None else 10**9,
        "warmup_s": settings.warmup_s,
        "turn_s": TURN_SECONDS,
    }


def count_plan() -> dict[str, Any]:
    """The "steady" of a job that counts instructions."""
    return {"kind": Kind.INSTRUCTIONS.value, "min_runs": COUNTED_RUNS, "warmup_runs": COUNTED_WARMUP_RUNS}


def job(
    subjects: Sequence[Subject],
    *,
    seed: int,
    inputs: str | None = None,
    steady: Mapping[str, Any] | None = None,
    golden: Sequence[str] | None = None,
    profile: Sequence[str] | None = None,
    sensor_seconds: float | None = None,
) -> str:
    """One line of JSON, with its end.

    Args:
        subjects: Measured in turns when there are several.
        seed: Of the random inputs.
        inputs: Name of an .npz in the device's folder; None draws random inputs.
        steady: See `wall_plan` and `count_plan`; None measures nothing.
        golden: Names of the files that the outputs go to, one per subject; None runs no golden inputs.
        profile: Words that start Python there, for costs per operator, which are taken last; None takes none.
        sensor_seconds: Interval at which the sensors are read; None reads none.
    """
    document = {
        "schema": SCHEMA,
        "subjects": [subject.to_json() for subject in subjects],
        "inputs": inputs,
        "samples": GOLDEN_SAMPLES,
        "seed": seed,
        "golden": {"outputs": list(golden)} if golden else None,
        "steady": steady,
        "profile": {"runs": PROFILE_RUNS, "python": list(profile)} if profile else None,
        "sensors": {"interval_s": sensor_seconds, **sensors()} if sensor_seconds else None,
        "probes": probes(),
    }
    return json.dumps(document, separators=(",", ":"), allow_nan=False) + "\n"
