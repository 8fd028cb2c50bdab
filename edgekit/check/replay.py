"""Recordings: what a file returned for a few samples, kept after its runtime has let go of the file.

A large model does not fit into memory once per file. So each file is opened, run and closed in turn, and every
comparison is made on what was recorded, by the same code that compares open files.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from edgekit.check.subject import Subject
from edgekit.errors import EdgekitError
from edgekit.runtime.session import Session
from edgekit.types.qparams import Array

Result = Mapping[str, Array] | EdgekitError
"""What one run returned, by the file's own output names, or raised."""


class Replay:
    """A Session that hands out recorded results in their order, whatever it is fed."""

    def __init__(self, session: Session, results: Iterable[Result]) -> None:
        """Take over the border of the recorded session, not the session."""
        self.inputs, self.outputs = session.inputs, session.outputs
        self._results = iter(results)

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """The next result.

        Raises:
            EdgekitError: The recorded run raised it.
        """
        result = next(self._results)
        if isinstance(result, EdgekitError):
            raise result
        return dict(result)


def record(subject: Subject, samples: Iterable[Mapping[str, Array]], *, at_least: int, seconds: float) -> list[Result]:
    """Run samples until they or the time run out, or the file fails.

    Args:
        subject: An open file.
        samples: What to run.
        at_least: Samples that are run however long they take.
        seconds: Wall time to aim for.
    """
    results: list[Result] = []
    deadline = time.perf_counter() + seconds
    for sample in samples:
        if len(results) >= at_least and time.perf_counter() > deadline:
            break
        try:
            results.append(subject.session.run(subject.feeds(sample)))
        except EdgekitError as error:
            return [*results, error]
    return results


def close(subject: Subject, results: Sequence[Result]) -> Subject:
    """The same file with its results in the place of its session, which nothing holds any longer."""
    return replace(subject, session=Replay(subject.session, results))
