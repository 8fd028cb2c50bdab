"""How findings list and count things in sentences."""

from __future__ import annotations

from collections.abc import Sequence

SHOWN = 3
"""How many of a list are named."""


def join_names(names: Sequence[str]) -> str:
    """a; a and b; a, b and c."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def holds(names: Sequence[str]) -> str:
    """The verb that goes with so many subjects."""
    return "holds" if len(names) == 1 else "hold"


def count(number: int, noun: str) -> str:
    """1 sample; 2 samples."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def enumerate_some(labels: Sequence[str]) -> str:
    """The first few, and how many more there are."""
    rest = len(labels) - SHOWN
    return ", ".join(labels[:SHOWN]) + (f" and {rest} more" if rest > 0 else "")
