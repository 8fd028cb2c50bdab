"""Kind: one kind of input from outside, how it is mutated, and what holds of a mutant that is accepted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Generic, TypeVar

from edgekit.errors import EdgekitError

T = TypeVar("T")


class LawError(Exception):
    """A mutant was accepted that should not have been, or says something else afterwards."""


@dataclass(frozen=True)
class Kind(Generic[T]):
    """One kind of case.

    Attributes:
        name: For the table and the command line.
        law: What a mutant that is accepted is held to.
        draw: Makes a mutant, always the same of the same random numbers.
        judge: Hands it to the functions that read such input, in an empty folder; raises EdgekitError where it is
            refused, LawError where it is accepted against the law.
        share: How many of ten thousand cases are of it.
        most_bytes: Peak growth of the resident set in one case.
        allowed: The same, of each mutant by itself; instead of `most_bytes`.
    """

    name: str
    law: str
    draw: Callable[[Random], T]
    judge: Callable[[T, Path], None]
    share: int
    most_bytes: int = 64 * 2**20
    allowed: Callable[[T], int] | None = None


def hold(holds: bool, what: str) -> None:
    """A law.

    Raises:
        LawError: It does not hold.
    """
    if not holds:
        raise LawError(what)


@contextmanager
def refusing_is_a_fault() -> Iterator[None]:
    """For what a judge reads again, of what was accepted.

    Raises:
        LawError: It is refused.
    """
    try:
        yield
    except EdgekitError as error:
        raise LawError(f"it was accepted, and is refused afterwards: {error}") from error
