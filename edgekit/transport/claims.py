"""Claim: the pieces of a blob that one source is sending right now, and how fast.

Times are those of the source's own clock, by which it is not judged for what our own limit makes it wait
(`edgekit.transport.inflow`).
"""

from __future__ import annotations

import math
import threading

from edgekit.transport.pieces import Piece
from edgekit.transport.sources import Source


class Claim:
    """A run of pieces that are asked for in one request.

    The board changes `end` and `live`; the thread that carries the claim out changes the rest.

    Attributes:
        source: Who sends.
        pieces: The run; `pieces[at]` is on its way.
        at: How many are there and verified.
        end: How many are still wanted of it: others may have taken the last ones over.
        challenges: It is for a piece that another source holds, and goes to memory at first.
        live: It may write. Changed under `lock` only, so that no byte comes late.
        received: Bytes of the piece on its way.
        began: When that piece was begun.
        heard: When the last bytes came.
    """

    def __init__(self, source: Source, pieces: tuple[Piece, ...], *, challenges: bool = False) -> None:
        self.source = source
        self.pieces = pieces
        self.at = 0
        self.end = len(pieces)
        self.challenges = challenges
        self.lock = threading.Lock()
        self.live = True
        self.received = 0
        self.began = self.heard = source.waits.clock()

    @property
    def piece(self) -> Piece:
        """The piece on its way."""
        return self.pieces[self.at]

    @property
    def spare(self) -> tuple[Piece, ...]:
        """Pieces that it has not come to yet."""
        return self.pieces[self.at + 1 : self.end]

    def hear(self, size_bytes: int) -> None:
        """Bytes of the piece came."""
        self.received += size_bytes
        self.heard = self.source.waits.clock()

    def step(self) -> None:
        """The piece is there and verified: go on to the next."""
        self.at += 1
        self.received = 0
        self.began = self.source.waits.clock()

    def age_s(self) -> float:
        """How long the piece has been on its way."""
        return self.source.waits.clock() - self.began

    def silent_s(self) -> float:
        """For how long nothing came."""
        return self.source.waits.clock() - self.heard

    def rest_s(self, *, patience_s: float) -> float:
        """How much longer the piece will take at the pace so far; infinite where it is silent or nothing came yet."""
        if not self.received or self.silent_s() > patience_s:
            return math.inf
        return (self.piece.size_bytes - self.received) * self.age_s() / self.received

    def kill(self) -> None:
        """Have it write no more. Returns once no write is under way."""
        with self.lock:
            self.live = False
