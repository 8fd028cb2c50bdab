"""Wants: which pieces of a torrent somebody waits for, and Vigil: for how long that is worth it. Both without a swarm.

A piece here is one of the torrent's, 16 KiB or more; the pieces of `transport.pieces`, which a blob is fetched in, are
larger.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edgekit.errors import AbsentError, StalledError, TransferError
from edgekit.transport.inflow import own_time
from edgekit.transport.patience import Pace, Patience
from edgekit.units import size

UNWANTED, WANTED, NEXT = 0, 4, 7
"""Priorities of libtorrent: not at all, rarest first, and before all others."""
NEXT_BYTES = 2**18
MOST_WRONG_BYTES = 2**26
MOST_WRONG_PIECES = 16
"""Wrong in a row, of one or the other, whichever is more: whoever is in this swarm, it leads nowhere."""


class Span:
    """Some pieces that one reader waits for. Changed by whoever holds the lock of the download.

    Attributes:
        at: The piece that it needs now.
        stop: One past its last piece.
    """

    def __init__(self, start: int, stop: int) -> None:
        self.at = start
        self.stop = stop


class Wants:
    """The spans of all readers of one torrent, as priorities of its pieces."""

    def __init__(self, piece_count: int, piece_length: int) -> None:
        """Begin with nothing.

        Args:
            piece_count: How many pieces the torrent has.
            piece_length: Bytes of each.
        """
        self._told = [UNWANTED] * piece_count
        self._next = max(2, NEXT_BYTES // piece_length)
        self._spans: list[Span] = []

    def add(self, span: Span) -> None:
        """A reader comes."""
        self._spans.append(span)

    def drop(self, span: Span) -> None:
        """A reader leaves."""
        self._spans.remove(span)

    def numbers(self) -> list[int]:
        """The pieces that somebody waits for, as was last told."""
        return [number for number, priority in enumerate(self._told) if priority != UNWANTED]

    def priority(self, number: int) -> int:
        """Of a piece, as was last told."""
        return self._told[number]

    def forget(self) -> None:
        """Nothing was told yet: libtorrent begins anew."""
        self._told = [UNWANTED] * len(self._told)

    def changes(self, *, in_order: bool) -> list[tuple[int, int]]:
        """Pieces whose priority is another one than was last told, with the new priority.

        Args:
            in_order: The next pieces of each reader come first, and others rarest first; otherwise all come rarest
                first. That is better for a swarm with few seeds, which would otherwise move in single file behind
                them, and where somebody lies, who would otherwise have a part in the same pieces as everybody else.
        """
        now = [UNWANTED] * len(self._told)
        for span in self._spans:
            first = min(span.at + self._next * in_order, span.stop)
            now[span.at : span.stop] = [max(WANTED, priority) for priority in now[span.at : span.stop]]
            now[span.at : first] = [NEXT] * (first - span.at)
        changed = [(number, new) for number, (old, new) in enumerate(zip(self._told, now, strict=True)) if old != new]
        self._told = now
        return changed


@dataclass(frozen=True)
class Standing:
    """How a torrent is doing.

    Attributes:
        received: Bytes of the file that came so far, right or wrong.
        wrong: Bytes of pieces that were wrong since the last one that was right.
        met: Whether there was a peer at any time.
    """

    received: int
    wrong: int
    met: bool


class Vigil:
    """The wait of one reader; ends it with an error when nothing comes of it."""

    def __init__(
        self, patience: Patience, piece_length: int, *, source: str, clock: Callable[[], float] = own_time
    ) -> None:
        """Begin.

        Args:
            patience: The bounds.
            piece_length: Bytes of the torrent's pieces.
            source: Who is waited for, for messages.
            clock: Seconds.
        """
        self._patience = patience
        self._source = source
        self._clock = clock
        self._pace = Pace(patience, source=source)
        self._most_wrong = max(MOST_WRONG_BYTES, MOST_WRONG_PIECES * piece_length)
        self._received: int | None = None
        self._heard = self._looked = clock()
        self._was_heard = False

    def begin(self) -> None:
        """The reader waits from now on; what passed since the last look was not spent waiting."""
        self._heard = self._looked = self._clock()

    def look(self, standing: Standing, notes: str) -> None:
        """Judge.

        Args:
            standing: How it is.
            notes: Who failed, and how: the end of a message.

        Raises:
            AbsentError: Nobody was there.
            StalledError: Nothing came for too long, or too little.
            TransferError: What comes is wrong time and again.
        """
        now = self._clock()
        if standing.wrong >= self._most_wrong:
            raise TransferError(
                f"{size(standing.wrong)} in a row were something else than was asked for{notes}",
                source=self._source,
            )
        came = standing.received - self._received if self._received is not None else 0
        self._received = standing.received
        if came > 0:
            self._was_heard, self._heard = True, now
        limit_s = self._patience.silence_s if self._was_heard else self._patience.answer_s
        if now - self._heard > limit_s:
            if not standing.met:
                raise AbsentError(f"nobody who has it was found in {limit_s:.0f} s{notes}", source=self._source)
            raise StalledError(f"no peer sent anything for {limit_s:.0f} s{notes}", source=self._source)
        self._looked, waited_s = now, now - self._looked
        if self._was_heard:
            self._pace.count(max(came, 0), waited_s)
