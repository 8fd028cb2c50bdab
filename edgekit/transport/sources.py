"""Source: one of several places that offer the same blobs, and what is known of it so far."""

from __future__ import annotations

import threading

from edgekit.transport.inflow import Waits
from edgekit.transport.transport import Transport

MOST_STRIKES = 3


class Source:
    """A transport and its standing. Changed by whoever holds the board's lock.

    Attributes:
        transport: Where it is read.
        turn: Held by the thread that reads there: one transfer at a time.
        waits: Those of the thread that reads there; its clock is the one by which the source is judged.
        pace: Bytes/s of its last verified pieces, by that clock; 0 where none came yet.
        barred: It lied, and is not asked again.
        lacks: Digests of blobs that it does not have, or does not give out.
        strikes: Failures since its last verified piece; out of the game at three.
        overtaken: How often it was much slower than another one with the same piece.
        rest_until: `time.monotonic` before which it is left alone.
        fault: What was last wrong with it; "" while nothing was.
    """

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.turn = threading.Lock()
        self.waits = Waits()
        self.pace = 0.0
        self.barred = False
        self.lacks: set[str] = set()
        self.strikes = 0
        self.overtaken = 0
        self.rest_until = 0.0
        self.fault = ""

    @property
    def standing(self) -> tuple[bool, int, int]:
        """How it did with the blob before, the better the smaller; one that is still busy with that comes last."""
        return self.turn.locked(), self.strikes, self.overtaken

    def is_usable(self, sha256: str) -> bool:
        """Whether it may still be asked for a blob."""
        return not self.barred and self.strikes < MOST_STRIKES and sha256 not in self.lacks

    def forgive(self) -> None:
        """Give it another chance, at the begin of a new blob; not if it lied."""
        self.strikes = min(self.strikes, MOST_STRIKES - 1)
        self.overtaken = 0
        self.rest_until = 0.0
