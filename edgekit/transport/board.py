"""Board: which source sends which pieces of one blob, so that none of them can hold the blob up.

A source gets a run of pieces. Who is idle takes over, from the slowest, what that one has not come to yet; when nothing
but single pieces is left on its way, it challenges: it fetches a piece that another holds, into memory, and whoever has
it whole and right first wins. A challenge is open to one source after a quarter of a second, and to twice as many after
each further one, so that a good source among many that stall is found soon, and a healthy transfer is not doubled. Of a
small piece copies cost little: it is open to three sources after less time, and then to four times as many.

A piece larger than what a challenger may hold in memory changes hands instead, once the challenger has shown with its
first bytes that it is faster. One source writes into a piece at any time: a liar cannot spoil what is right.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterable, Sequence

from edgekit.errors import StorageError
from edgekit.transport.claims import Claim
from edgekit.transport.inflow import INFLOW
from edgekit.transport.pieces import Piece
from edgekit.transport.sources import Source
from edgekit.types.blob import SMALLEST_PIECE_BYTES

WAIT_S = 0.05
LEAST_HEDGE_S = 0.1
LIMITED_HEDGE_S, LIMITED_SHARE = (1.0, 5.0), 0.25
"""Where there is a limit on what is received, a second copy takes its share from the first one, and silence is borne
for a part of the time that the piece takes at that limit: within these bounds."""
SLACK = 3.0
"""How much longer than the best source a piece may take before others try it."""
MOST_OVERTAKEN = 2
"""A source that was as often much slower challenges nobody any more: it would only take pieces back and forth."""
TOLD_AFTER_S = 1.0
"""A source that kept a piece for longer without finishing it is named."""


class Board:
    """Pieces of one blob, and the sources that are at them. Used by one thread per source, and by one that waits."""

    def __init__(
        self,
        sha256: str,
        pieces: Sequence[Piece],
        sources: Sequence[Source],
        *,
        done: Iterable[int],
        hedge_s: float,
        rest_s: float,
    ) -> None:
        """Begin.

        Args:
            sha256: Of the blob.
            pieces: All of them.
            sources: Who may be asked.
            done: Numbers of the pieces that are there already.
            hedge_s: Silence after which a piece may be challenged, in seconds.
            rest_s: How long a source is left alone after its first failure in a row, in seconds.
        """
        self._sha256 = sha256
        self._pieces = pieces
        self._done = set(done)
        self._sources = sources
        self._hedge_s = hedge_s
        self._growth = 4 if pieces[0].size_bytes < SMALLEST_PIECE_BYTES else 2
        self._rest_s = rest_s
        self._changed = threading.Condition()
        self._holders: dict[int, Claim] = {}
        self._challengers: dict[int, set[Claim]] = {}
        self._declined: set[tuple[Source, Claim]] = set()
        self._stopped = False
        self.error: StorageError | None = None

    def wait(self, seconds: float) -> tuple[int, bool]:
        """Wait for a change.

        Returns:
            Bytes that are there and verified, and whether the work is over: everything is there, no source is left,
            or the disk failed.
        """
        with self._changed:
            if not self._is_over():
                self._changed.wait(seconds)
            return sum(self._pieces[number].size_bytes for number in self._done), self._is_over()

    def is_complete(self) -> bool:
        """Whether every piece is there."""
        with self._changed:
            return len(self._done) == len(self._pieces)

    def stop(self) -> None:
        """End the work: once this returns, nobody writes any more."""
        with self._changed:
            self._stopped = True
            claims = {*self._holders.values(), *(claim for some in self._challengers.values() for claim in some)}
            for claim in claims:
                claim.kill()
                self._tell_late(claim)
            self._changed.notify_all()

    def next(self, source: Source) -> Claim | None:
        """Wait for something that a source can do.

        Returns:
            Its next claim, to be given back with `release`; None when there is nothing more for it.
        """
        with self._changed:
            while not self._is_over() and source.is_usable(self._sha256):
                claim = None
                if time.monotonic() >= source.rest_until:
                    claim = self._fresh(source) or self._stolen(source) or self._challenge(source)
                if claim:
                    return claim
                self._changed.wait(WAIT_S)
            return None

    def settle(self, claim: Claim) -> bool:
        """The piece that a claim was at is there and verified.

        Returns:
            Whether the claim goes on to another piece.
        """
        with self._changed:
            source, piece = claim.source, claim.piece
            if not claim.live:
                return False
            self._done.add(piece.number)
            self._holders.pop(piece.number, None)
            took_s = max(claim.age_s(), 1e-6)
            source.pace = piece.size_bytes / took_s
            source.strikes = 0
            claim.step()
            self._changed.notify_all()
            return claim.at < claim.end

    def take_over(self, claim: Claim, *, whole: bool) -> bool:
        """Have a challenger hold its piece from now on, and write it.

        Args:
            claim: A challenge.
            whole: It has the piece in memory and verified; otherwise it has shown how fast it is.

        Returns:
            False where the piece is there already, or its holder is expected to have it sooner.
        """
        with self._changed:
            number = claim.piece.number
            holder = self._holders.get(number)
            if number in self._done or not claim.live:
                return False
            if holder is not None:
                mine = claim.rest_s(patience_s=self._hedge_now())
                if not whole and holder.rest_s(patience_s=self._hedge_now()) <= mine:
                    self._declined.add((claim.source, holder))
                    return False
                self._overtake(holder)
            self._challengers[number].discard(claim)
            self._holders[number] = claim
            claim.challenges = False
            return True

    def release(self, claim: Claim) -> None:
        """A claim has ended, whatever the reason: what it has not brought is free again."""
        with self._changed:
            claim.kill()
            for piece in claim.pieces[claim.at : claim.end]:
                if self._holders.get(piece.number) is claim:
                    del self._holders[piece.number]
                self._challengers.get(piece.number, set()).discard(claim)
            self._changed.notify_all()

    def bar(self, source: Source, fault: str) -> None:
        """A source lied: it is asked for nothing any more."""
        with self._changed:
            source.barred, source.fault = True, fault
            self._changed.notify_all()

    def excuse(self, source: Source, fault: str) -> None:
        """A source does not have this blob, or does not give it out."""
        with self._changed:
            source.lacks.add(self._sha256)
            source.fault = fault
            self._changed.notify_all()

    def strike(self, source: Source, fault: str) -> None:
        """A source failed in a way that may pass; after the end it was cut off, and did nothing wrong."""
        with self._changed:
            if self._stopped:
                return
            source.strikes += 1
            source.fault = fault
            source.rest_until = time.monotonic() + self._rest_s * 2 ** (source.strikes - 1)
            self._changed.notify_all()

    def fail(self, error: StorageError) -> None:
        """The disk failed: nobody need go on."""
        with self._changed:
            self.error = self.error or error
            self._stopped = True
            self._changed.notify_all()

    def _is_over(self) -> bool:
        return (
            self._stopped
            or len(self._done) == len(self._pieces)
            or not any(source.is_usable(self._sha256) for source in self._sources)
        )

    def _fresh(self, source: Source) -> Claim | None:
        """Pieces that nobody holds: the first ones in a row, at most this source's share."""
        free = [piece for piece in self._pieces if piece.number not in self._done | self._holders.keys()]
        if not free:
            return None
        askers = sum(one.is_usable(self._sha256) for one in self._sources)
        share = math.ceil(len(free) / askers)
        run = [piece for at, piece in enumerate(free[:share]) if piece.number == free[0].number + at]
        return self._hold(Claim(source, tuple(run)))

    def _stolen(self, source: Source) -> Claim | None:
        """Half of what the slowest source has not come to yet; all of it where that one is silent."""
        victims = [claim for claim in set(self._holders.values()) if claim.spare and claim.live]
        if not victims:
            return None
        rests = {claim: self._run_rest_s(claim) for claim in victims}
        victim = max(victims, key=lambda claim: rests[claim])
        spare = victim.spare
        if source.pace and spare[-1].size_bytes / source.pace > rests[victim]:
            return None
        count = len(spare) if rests[victim] == math.inf else math.ceil(len(spare) / 2)
        taken = spare[len(spare) - count :]
        victim.end -= count
        return self._hold(Claim(source, taken))

    def _challenge(self, source: Source) -> Claim | None:
        """The piece whose holder will be longest, as far as another try at it is allowed yet."""
        if source.overtaken >= MOST_OVERTAKEN:
            return None
        open_ones = [
            claim
            for claim in set(self._holders.values())
            if claim.source is not source and (source, claim) not in self._declined and self._is_slow(claim, source)
        ]
        if not open_ones:
            return None
        holder = max(open_ones, key=lambda claim: (claim.rest_s(patience_s=self._hedge_now()), claim.age_s()))
        claim = Claim(source, (holder.piece,), challenges=True)
        self._challengers.setdefault(holder.piece.number, set()).add(claim)
        return claim

    def _is_slow(self, holder: Claim, source: Source) -> bool:
        """Whether a source may try to be faster with the piece that another one holds."""
        hedge_s, limit = self._hedge_now(), INFLOW.bytes_per_s
        rest_s, age_s = holder.rest_s(patience_s=hedge_s), holder.age_s()
        expected_s = holder.piece.size_bytes / source.pace if source.pace else 4 * hedge_s
        if limit:  # nobody is faster than that; and a piece takes long, in which a short silence means little
            expected_s = max(expected_s, SLACK * holder.piece.size_bytes / limit)
            age_s = holder.silent_s() if rest_s == math.inf else age_s
        already = 1 + len(self._challengers.get(holder.piece.number, ()))
        return already < self._growth ** min(int(age_s / hedge_s), 10) and rest_s > expected_s

    def _hedge_now(self) -> float:
        """Silence after which a piece may be challenged: less where some source has shown how fast a piece can be."""
        best, hedge_s = max(source.pace for source in self._sources), self._hedge_s
        if best:
            hedge_s = min(hedge_s, max(LEAST_HEDGE_S, SLACK * self._pieces[0].size_bytes / best))
        if limit := INFLOW.bytes_per_s:
            least, most = LIMITED_HEDGE_S
            hedge_s = max(hedge_s, least, min(most, LIMITED_SHARE * self._pieces[0].size_bytes / limit))
        return hedge_s

    def _run_rest_s(self, claim: Claim) -> float:
        """How much longer a source will take with all that it holds."""
        rest_s = claim.rest_s(patience_s=self._hedge_now())
        if rest_s == math.inf and claim.age_s() <= self._hedge_now():
            rest_s = 4 * self._hedge_now()  # it has only just been asked
        spare_bytes = sum(piece.size_bytes for piece in claim.spare)
        pace = claim.source.pace
        return rest_s + (spare_bytes / pace if pace else rest_s * len(claim.spare))

    def _hold(self, claim: Claim) -> Claim:
        for piece in claim.pieces:
            self._holders[piece.number] = claim
        return claim

    def _overtake(self, holder: Claim) -> None:
        """Another source is faster with the piece that a claim is at; its claim is over."""
        holder.kill()
        self._tell_late(holder)
        for piece in holder.pieces[holder.at : holder.end]:
            if self._holders.get(piece.number) is holder:
                del self._holders[piece.number]

    def _tell_late(self, claim: Claim) -> None:
        """Note that a source was overtaken, or cut off at the end, if it was much slower than the best one."""
        best = max(source.pace for source in self._sources)
        late_s = SLACK * claim.piece.size_bytes / best if claim.at < claim.end and best else math.inf
        told_after_s = TOLD_AFTER_S
        if claim.at < claim.end and (limit := INFLOW.bytes_per_s):  # others were not faster than that either
            limited_s = SLACK * claim.piece.size_bytes / limit
            late_s, told_after_s = max(late_s, limited_s), max(told_after_s, limited_s)
        if claim.rest_s(patience_s=self._hedge_now()) <= late_s:
            return
        claim.source.overtaken += 1
        took_s = claim.age_s()
        if took_s > told_after_s and not claim.source.barred:
            claim.source.fault = (
                f"overtaken: it had sent {claim.received} of {claim.piece.size_bytes} bytes in {took_s:.1f} s"
            )
