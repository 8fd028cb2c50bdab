"""How costs are written for people: wall time in milliseconds, instructions as counts, never one as the other."""

from __future__ import annotations

import math

from edgekit.types.bench import Kind
from edgekit.types.interval import Interval
from edgekit.units import count

NONE = "–"
"""Not measured, or without meaning here."""
UNITS = {Kind.WALL_NS: "ms", Kind.INSTRUCTIONS: "instructions"}
HEADINGS = {Kind.WALL_NS: "wall time", Kind.INSTRUCTIONS: "instructions"}


def in_unit(value: float, kind: Kind) -> float:
    """A cost in the unit it is shown in: ms of wall time, or instructions."""
    return value / 1e6 if kind is Kind.WALL_NS else value


def cost(value: float, kind: Kind) -> str:
    """Three digits.

    >>> cost(1_838_213, Kind.WALL_NS), cost(23_500, Kind.WALL_NS), cost(1_505_576, Kind.INSTRUCTIONS)
    ('1.84 ms', '0.0235 ms', '1.51 M')
    """
    if not math.isfinite(value):
        return NONE
    return f"{millis(value / 1e6)} ms" if kind is Kind.WALL_NS else count(value)


def cost_with_interval(interval: Interval, kind: Kind) -> str:
    """A cost and the ends of its interval.

    >>> cost_with_interval(Interval(1_838_213, 1_829_004, 1_851_930), Kind.WALL_NS)
    '1.84 ms (1.83–1.85)'
    >>> cost_with_interval(Interval(1_505_576, 1_505_574, 1_505_577), Kind.INSTRUCTIONS)
    '1.51 M (1,505,574–1,505,577)'
    """
    return f"{cost(interval.estimate, kind)} ({ends(interval, kind)})"


def ends(interval: Interval, kind: Kind) -> str:
    """The ends of an interval, with the decimals of the value; instructions to the last one.

    >>> ends(Interval(1_838_213, 1_829_004, 1_851_930), Kind.WALL_NS)
    '1.83–1.85'
    """
    digits = decimals(interval.estimate / 1e6) if kind is Kind.WALL_NS else 0
    low, high = (f"{in_unit(end, kind):,.{digits}f}" for end in (interval.low, interval.high))
    return f"{low}–{high}"


def millis(value: float) -> str:
    """Milliseconds with three digits, without the unit.

    >>> millis(0.000412), millis(4.1), millis(1834.2)
    ('0.000412', '4.10', '1,834')
    """
    return f"{value:,.{decimals(value)}f}"


def decimals(value: float) -> int:
    """Decimals that show three digits of a value, six at most."""
    return min(6, max(0, 2 - math.floor(math.log10(abs(value))))) if value and math.isfinite(value) else 0


def amount(number: int, noun: str) -> str:
    """A number of things.

    >>> amount(1, "device"), amount(3, "device")
    ('1 device', '3 devices')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
