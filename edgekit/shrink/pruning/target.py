"""Target: what pruning has to reach, asked for in one of four ways."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from edgekit import units
from edgekit.errors import RecipeError

Kind = Literal["speedup", "macs", "size", "latency"]

_COUNT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kKmMgG]?)\s*")


@dataclass(frozen=True)
class Target:
    """One limit.

    Attributes:
        kind: "speedup": MACs divided by `value`; "macs": at most `value` MACs; "size": at most `value` bytes of
            parameters in float32; "latency": at most `value` times the unpruned time.
        value: See `kind`.
    """

    kind: Kind
    value: float

    def __str__(self) -> str:
        if self.kind == "speedup":
            return f"{self.value:g} times fewer MACs"
        if self.kind == "macs":
            return f"{count(self.value)} MACs"
        if self.kind == "size":
            return f"{units.size(int(self.value))} of weights"
        return f"{self.value:g} of the unpruned time"


def read_target(
    *,
    speedup: float | None = None,
    macs: float | str | None = None,
    size: int | str | None = None,
    latency: float | None = None,
) -> Target:
    """Exactly one of the four, as the user wrote it.

    Args:
        speedup: Above 1.
        macs: A number of MACs, or a text such as "20M".
        size: Bytes of float32 weights, or a text such as "1MB".
        latency: A share of the unpruned time, above 0 and below 1.

    Raises:
        RecipeError: None, several, or a value that makes no sense.
    """
    asked = {"speedup": speedup, "macs": macs, "size": size, "latency": latency}
    given = {name: value for name, value in asked.items() if value is not None}
    if len(given) != 1:
        found = " and ".join(given) or "none"
        raise RecipeError(
            f"prune takes exactly one of speedup, macs, size and latency, found {found}", hint="for example speedup=1.5"
        )
    if speedup is not None:
        return Target("speedup", _number("speedup", speedup, 1.0, 1e6))
    if latency is not None:
        return Target("latency", _number("latency", latency, 0.0, 1.0))
    if macs is not None:
        value = _count(macs) if isinstance(macs, str) else macs
        return Target("macs", _number("macs", value, 0.0, 1e18))
    assert size is not None
    if isinstance(size, str):
        try:
            size = units.parse_size(size)
        except ValueError as error:
            raise RecipeError(f"size='{size}' is not a size", hint='for example size="1MB"') from error
    return Target("size", _number("size", size, 0.0, 1e15))


def _number(name: str, value: float, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low < value < high:
        raise RecipeError(f"{name} must be a number above {low:g} and below {high:g}, found {value!r}")
    return float(value)


def _count(text: str) -> float:
    found = _COUNT.fullmatch(text)
    if not found:
        raise RecipeError(f"macs='{text}' is not a number of MACs", hint='for example macs="20M"')
    return float(found[1]) * float(1000 ** (" kmg".index(found[2].lower() or " ")))


def count(value: float) -> str:
    """A number of MACs or parameters for people.

    >>> count(40_551_040), count(269_722), count(812)
    ('40.6 M', '269.7 k', '812')
    """
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:.1f} {name}"
    return f"{value:.0f}"
