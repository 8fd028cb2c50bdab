"""Which pieces are asked for, and for how long they are waited for; without a swarm."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import AbsentError, StalledError, TransferError
from edgekit.transport.patience import Patience
from edgekit.transport.torrent_spans import MOST_WRONG_BYTES, NEXT, UNWANTED, WANTED, Span, Standing, Vigil, Wants

PATIENCE = Patience(answer_s=20, silence_s=10, slowest_bytes_per_s=1000, window_s=15)
PIECE = 2**15


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def vigil(clock: Clock) -> Vigil:
    return Vigil(PATIENCE, PIECE, source="torrent:?dht=on", clock=clock)


def standing(received: int = 0, wrong: int = 0, *, met: bool = True) -> Standing:
    return Standing(received, wrong, met=met)


@given(
    st.integers(1, 60),
    st.lists(st.tuples(st.integers(0, 59), st.integers(0, 59), st.booleans(), st.booleans()), max_size=12),
)
def test_what_is_told_is_what_is_wanted(count: int, steps: list[tuple[int, int, bool, bool]]) -> None:
    """Whoever comes and goes: libtorrent, told of the changes alone, has the same priorities."""
    wants, told = Wants(count, PIECE), [UNWANTED] * count
    spans: list[Span] = []
    for one, other, in_order, leaves in steps:
        start, stop = sorted((one % count, other % count))
        if leaves and spans:
            wants.drop(spans.pop())
        else:
            spans.append(Span(start, stop + 1))
            wants.add(spans[-1])
        for number, priority in wants.changes(in_order=in_order):
            assert told[number] != priority
            told[number] = priority
        wanted = {number for span in spans for number in range(span.at, span.stop)}
        assert {number for number, priority in enumerate(told) if priority != UNWANTED} == wanted
        assert wants.numbers() == sorted(wanted)
        first = {number for span in spans for number in range(span.at, min(span.at + 8, span.stop))}
        assert {number for number, priority in enumerate(told) if priority == NEXT} == (first if in_order else set())


def test_what_is_behind_a_reader_is_unwanted() -> None:
    wants, span = Wants(4, PIECE), Span(0, 4)
    wants.add(span)
    assert wants.changes(in_order=False) == [(number, WANTED) for number in range(4)]
    span.at = 2
    assert wants.changes(in_order=False) == [(0, UNWANTED), (1, UNWANTED)]
    wants.forget()
    assert wants.changes(in_order=False) == [(2, WANTED), (3, WANTED)]


def test_the_first_word_may_take_as_long_as_an_answer() -> None:
    clock = Clock()
    watch = vigil(clock)
    clock.now = 19.0
    watch.look(standing(), "")
    clock.now = 21.0
    with pytest.raises(StalledError, match="20 s; a: b"):
        watch.look(standing(), "; a: b")
    with pytest.raises(AbsentError, match="nobody who has it"):
        watch.look(standing(met=False), "")


def test_silence_afterwards_is_borne_for_less_long() -> None:
    clock = Clock()
    watch = vigil(clock)
    watch.look(standing(), "")
    clock.now = 1.0
    watch.look(standing(10**6), "")
    clock.now = 10.9
    watch.look(standing(10**6), "")
    clock.now = 11.1
    with pytest.raises(StalledError, match="10 s"):
        watch.look(standing(10**6), "")


def test_a_trickle_is_not_borne() -> None:
    clock = Clock()
    watch = vigil(clock)
    watch.look(standing(), "")
    with pytest.raises(StalledError, match="bytes/s"):  # noqa: PT012
        for second in range(1, 40):
            clock.now = float(second)
            watch.look(standing(second * 900), "")
    assert clock.now < 32


def test_time_that_was_not_spent_waiting_does_not_count() -> None:
    clock = Clock()
    watch = vigil(clock)
    for _ in range(20):
        clock.now += 100.0
        watch.begin()
        clock.now += 5.0
        watch.look(standing(), "")


def test_wrong_pieces_without_an_end_are_not_borne() -> None:
    watch = vigil(Clock())
    watch.look(standing(2 * MOST_WRONG_BYTES, MOST_WRONG_BYTES - PIECE), "")
    with pytest.raises(TransferError, match="something else"):
        watch.look(standing(2 * MOST_WRONG_BYTES, MOST_WRONG_BYTES), "")


def test_of_long_pieces_more_may_be_wrong() -> None:
    watch = Vigil(PATIENCE, 2**24, source="torrent:?dht=on", clock=Clock())
    watch.look(standing(2**30, 15 * 2**24), "")
    with pytest.raises(TransferError):
        watch.look(standing(2**30, 16 * 2**24), "")
