"""Progress bars on a terminal, and one line per finished stage where there is none (a log file, CI)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TaskID, TextColumn
from rich.progress import Progress as Bars

from edgekit.types.progress import Progress, Stage
from edgekit.units import duration


@dataclass(frozen=True)
class Bar:
    """One stage as a bar."""

    bars: Bars
    task: TaskID

    def advance(self, n: int = 1) -> None:
        """Move the bar by `n` units."""
        self.bars.advance(self.task, n)


@dataclass(frozen=True)
class Watcher:
    """The Progress of the command line; a finished stage leaves a line with its time."""

    bars: Bars
    console: Console

    @contextmanager
    def stage(self, name: str, total: int | None = None) -> Iterator[Stage]:
        """Show a bar while the block runs, a line when it is done, and nothing more when it failed."""
        task = self.bars.add_task(name, total=total)
        start = time.perf_counter()
        try:
            yield Bar(self.bars, task)
        finally:
            self.bars.remove_task(task)
        self.console.print(f"[green]✓[/] {name} [dim]{duration(time.perf_counter() - start)}[/]", highlight=False)


@contextmanager
def watch(console: Console) -> Iterator[Progress]:
    """Progress shown on `console` while the block runs; the bars are gone afterwards."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Bars(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        yield Watcher(bars, console)
