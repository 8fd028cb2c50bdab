"""Progress: how long work tells whoever watches where it stands, without knowing who that is."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol


class Stage(Protocol):
    """One named piece of the work, while it runs."""

    def advance(self, n: int = 1) -> None:
        """`n` more units are done."""
        ...


class Progress(Protocol):
    """Someone who watches. The command line draws bars; a training script may log."""

    def stage(self, name: str, total: int | None = None) -> AbstractContextManager[Stage]:
        """Open a stage; leaving the block closes it, also when it failed.

        Args:
            name: What is being done, as a person would say it: "calibrate".
            total: Units of work, or None when that is not known beforehand.
        """
        ...


class _Unseen:
    """A stage that nobody looks at."""

    def advance(self, n: int = 1) -> None:
        """Forget it."""


class Silent:
    """Nobody watches: the default of the library."""

    def stage(self, name: str, total: int | None = None) -> AbstractContextManager[Stage]:
        """Open a stage that shows nothing."""
        return nullcontext(_Unseen())
