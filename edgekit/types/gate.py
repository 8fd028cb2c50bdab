"""What a gate decided: base against head, one judgement per thing that was compared."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

from edgekit.errors import RecipeError
from edgekit.types.interval import Interval
from edgekit.types.strict_table import between, read

SCHEMA = "edgekit.gate/1"


@dataclass(frozen=True)
class GateRecipe:
    """The limits of a gate: table `[gate]` of a TOML file.

    Attributes:
        wall_min_effect: Smallest slowdown that counts, as a share: 0.025 is 2.5 %. Half of what is to be caught for
            sure is a good choice: an estimate misses the truth upwards and downwards alike.
        confidence: Of the interval of the wall-time ratio, 0..1.
        budget_s: Longest time for one wall comparison, seconds.
        instructions_limit: Largest growth of the instruction count, as a share.
        instructions_limits: File name -> limit of its own, as `edgekit bench calibrate` finds it.
        size_limit: Largest growth of the file, as a share.
        accuracy_limit: Largest loss of the task metric, in its own unit (0.005 is half a point of top-1).
        fail_on_undecided: Whether a comparison that came to no verdict fails the gate.
    """

    wall_min_effect: float = 0.025
    confidence: float = 0.95
    budget_s: float = 50.0
    instructions_limit: float = 0.005
    instructions_limits: Mapping[str, float] = field(default_factory=dict)
    size_limit: float = 0.01
    accuracy_limit: float = 0.005
    fail_on_undecided: bool = False

    def __post_init__(self) -> None:
        between("gate.wall_min_effect", self.wall_min_effect, 0.001, 10.0)
        between("gate.confidence", self.confidence, 0.5, 0.9999)
        between("gate.budget_s", self.budget_s, 1.0, 3600.0)
        for key, limit in (("instructions_limit", self.instructions_limit), *self.instructions_limits.items()):
            between(f"gate.{key}", limit, 0.0, 10.0)
        between("gate.size_limit", self.size_limit, 0.0, 10.0)
        between("gate.accuracy_limit", self.accuracy_limit, 0.0, 1.0)

    def limit_of(self, file: str) -> float:
        """Limit of the instruction count of files of that name."""
        return self.instructions_limits.get(file, self.instructions_limit)

    @classmethod
    def load(cls, path: Path) -> GateRecipe:
        """Read a TOML file; tables other than `[gate]` are another tool's, so that one recipe serves a project.

        Raises:
            RecipeError: Missing, no TOML, without `[gate]`, or with a key or value that there is not.
        """
        try:
            tables = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise RecipeError(f"cannot read {path}: {error.strerror or error}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise RecipeError(f"{path.name} is no TOML: {error}") from error
        table = tables.get("gate")
        if not isinstance(table, dict):
            raise RecipeError(f"{path.name} has no table [gate]", hint="docs/ci.md shows one")
        plain = {key: value for key, value in table.items() if key != "instructions_limits"}
        recipe = read(cls, plain, where="gate")
        return replace(recipe, instructions_limits=_limits(table.get("instructions_limits", {})))


def _limits(table: object) -> dict[str, float]:
    if not isinstance(table, dict):
        raise RecipeError("gate.instructions_limits is no table", hint='for example: "model.int8.onnx" = 0.002')
    for name, limit in table.items():
        if not isinstance(limit, int | float) or isinstance(limit, bool):
            raise RecipeError(f"gate.instructions_limits.{name} is {limit!r}, not a number")
    return {name: float(limit) for name, limit in table.items()}


class Verdict(StrEnum):
    """How head compares with base."""

    PASS = "pass"
    IMPROVED = "improved"
    REGRESSED = "regressed"
    UNDECIDED = "undecided"
    """Could not be told apart within the time, or an invalid measurement: fails the gate only when it says so."""
    SKIPPED = "skipped"
    """Not compared; the reason says why."""


class Measure(StrEnum):
    """What was compared."""

    WALL = "wall time"
    INSTRUCTIONS = "instructions"
    SIZE = "size"
    ACCURACY = "accuracy"


@dataclass(frozen=True)
class GateJudgement:
    """One thing that was compared, and what came of it.

    Attributes:
        artifact: Name of the artifact.
        device: Name of the device; "" for what has none (size).
        configuration: "cpu, 2 threads"; "" for what has none.
        measure: What was compared.
        verdict: What came of it.
        base: Base's value, in `unit`; None when not measured.
        head: Head's.
        unit: "ms", "instructions", "B" or "share".
        change: Head over base less 1 with its interval, or head - base for accuracy; an exact change has a
            degenerate interval. None when skipped.
        limit: What `change` may at most be (at least, for accuracy: the largest loss, as a positive share).
        reason: One sentence on how the verdict was reached.
        pairs: Processes (wall) or inferences (instructions) behind it.
        seconds: Wall time it took.
    """

    artifact: str
    device: str
    configuration: str
    measure: Measure
    verdict: Verdict
    base: float | None
    head: float | None
    unit: str
    change: Interval | None
    limit: float
    reason: str = ""
    pairs: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class GateReport:
    """All judgements of one comparison.

    Attributes:
        base: What head was compared with, as the user named it.
        head: What was judged.
        judgements: In the order of the artifacts.
        fail_on_undecided: Whether an undecided judgement fails the gate.
    """

    base: str
    head: str
    judgements: tuple[GateJudgement, ...]
    fail_on_undecided: bool = False

    @property
    def failed(self) -> tuple[GateJudgement, ...]:
        """What fails the gate."""
        bad = {Verdict.REGRESSED, Verdict.UNDECIDED} if self.fail_on_undecided else {Verdict.REGRESSED}
        return tuple(judgement for judgement in self.judgements if judgement.verdict in bad)

    @property
    def passed(self) -> bool:
        """Whether nothing fails it."""
        return not self.failed
