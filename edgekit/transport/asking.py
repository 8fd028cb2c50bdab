"""Asking several places the same, all at once: answers come as they arrive, and nobody is waited for in vain."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from edgekit.errors import EdgekitError, StalledError
from edgekit.transport.inflow import Waits
from edgekit.transport.transport import Transport

T = TypeVar("T")
PATIENCE_S = 5.0
"""How long the others are waited for once one has answered."""
LONGEST_S = 60.0
"""How long the first answer is waited for."""


def ask_all(
    places: Sequence[Transport],
    ask: Callable[[Transport], T],
    *,
    patience_s: float = PATIENCE_S,
    longest_s: float = LONGEST_S,
    is_good: Callable[[T], bool] = lambda answer: True,
) -> Iterator[tuple[Transport, T | EdgekitError]]:
    """What each place answers, in the order in which they do.

    Whoever has heard enough stops listening. A thread that is given up goes on reading until its transport is closed.

    Args:
        places: Whom to ask; one is asked without a thread.
        ask: The question; an EdgekitError that it raises is an answer too.
        patience_s: How long the others are waited for after the first good answer.
        longest_s: How long the first good answer is waited for.
        is_good: Whether an answer is worth waiting no longer for others; an error never is.

    Yields:
        A place, and its answer or what was wrong; StalledError for those that were not waited for any longer.
    """
    if len(places) == 1:
        yield places[0], _answer(places[0], ask)
        return
    arrived: queue.SimpleQueue[tuple[int, T | Exception]] = queue.SimpleQueue()

    def work(number: int, place: Transport) -> None:
        try:
            with waits[number].here():
                arrived.put((number, _answer(place, ask)))
        except Exception as error:  # raised below, where somebody sees it
            arrived.put((number, error))

    waits = [Waits() for _ in places]
    for number, place in enumerate(places):
        threading.Thread(target=work, args=(number, place), daemon=True).start()
    silent = dict(enumerate(places))
    # Each by its own clock: a place is not to blame for what our own limit makes its answer wait.
    deadlines = {number: waits[number].clock() + longest_s for number in silent}
    while silent:
        left_s = max(deadlines[number] - waits[number].clock() for number in silent)
        try:
            number, answer = arrived.get(timeout=max(0.0, left_s))
        except queue.Empty:
            if left_s > 0:
                continue
            break
        if isinstance(answer, Exception) and not isinstance(answer, EdgekitError):
            raise answer
        if not isinstance(answer, EdgekitError) and is_good(answer):
            for other in silent:
                deadlines[other] = min(deadlines[other], waits[other].clock() + patience_s)
        yield silent.pop(number), answer
    for place in silent.values():
        yield place, StalledError("it did not answer in time, and was not waited for", source=place.url)


def _answer(place: Transport, ask: Callable[[Transport], T]) -> T | EdgekitError:
    try:
        return ask(place)
    except EdgekitError as error:
        return error


def told(fault: EdgekitError, place: Transport) -> str:
    """A place's fault without its URL, which stands beside it wherever faults are shown."""
    return str(fault).removeprefix(f"{place.url}: ")
