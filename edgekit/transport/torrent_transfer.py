"""Transfer: pieces of one torrent on their way, and the readers that wait for them.

libtorrent keeps the file in a folder of its own, holds each piece against the torrent's hashes, and sends on what is
there while the rest comes. What it gives is hashed once more by whoever fetches the blob.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

from edgekit.addressing.torrent import Torrent
from edgekit.errors import TransferError
from edgekit.transport.inflow import INFLOW, own_waits
from edgekit.transport.patience import Patience
from edgekit.transport.torrent_library import lt
from edgekit.transport.torrent_params import fetch_params, introduce, introduce_peers
from edgekit.transport.torrent_record import Counts, Notes, counts_of, holds_back
from edgekit.transport.torrent_session import TorrentSession
from edgekit.transport.torrent_spans import UNWANTED, Span, Standing, Vigil, Wants
from edgekit.transport.torrent_url import TorrentPlace
from edgekit.types.blob import Blob

LOOK_S = 0.1
RETRY_S = 2.0
SILENT_S, MOST_HURRIED = 1.0, 16
MOST_RESTARTS = 8


class Transfer:
    """A torrent whose hashes are known. Used by any number of readers, and by the session's thread."""

    def __init__(self, blob: Blob, torrent: Torrent, folder: Path, session: TorrentSession, notes: Notes) -> None:
        """Begin.

        Args:
            blob: What.
            torrent: Its torrent, with the piece layer.
            folder: Where libtorrent keeps the file; what an earlier run left there is hashed and kept.
            session: Who takes part in swarms.
            notes: Who failed, and how.

        Raises:
            TransferError: It cannot be added.
        """
        self.torrent = torrent
        self._blob = blob
        self._folder = folder
        self._session = session
        self._notes = notes
        self._changed = threading.Condition()
        self._places: list[TorrentPlace] = []
        self._wants = Wants(torrent.piece_count, torrent.piece_length)
        self._have: set[int] = set()
        self._asked: dict[int, list[list[bytes]]] = {}
        self._wrong_pieces = self._wrong_bytes = self._restarts = 0
        self._before = Counts()
        self._met_peers = self._healthy = False
        self._retried = self._heard = time.monotonic()
        self._received = 0
        self._fault: TransferError | None = None
        with self._changed:  # alerts come at once, and need the handle
            self._handle: Any = session.add(fetch_params(torrent, folder), self._hear)

    def introduce(self, place: TorrentPlace) -> None:
        """Tell libtorrent whom a place names."""
        with self._changed:
            self._places.append(place)
            introduce(place, self._blob, self._session.names, act=self._act, note=self._notes.add)

    def read(self, start: int, stop: int, patience: Patience, *, source: str) -> Generator[bytes]:
        """Some bytes, in order, a piece of the torrent at a time.

        Args:
            start: First byte.
            stop: One past the last byte.
            patience: Bounds on waiting.
            source: URL of who reads, for messages.

        Raises:
            AbsentError: Nobody is there who could send anything.
            StalledError: Nothing came for too long.
            TransferError: What comes is wrong, the disk fails, or the transfer was closed.
        """
        length = self.torrent.piece_length
        span, vigil = Span(start // length, -(-stop // length)), Vigil(patience, length, source=source)
        self._want(lambda: self._wants.add(span))
        try:
            while span.at < span.stop:
                data, begin = self._piece(span.at, vigil, source), span.at * length
                span.at += 1
                self._want()
                yield data[max(start - begin, 0) : stop - begin]
        finally:
            self._want(lambda: self._wants.drop(span))

    def close(self) -> None:
        """Leave the swarm; readers end with an error. Nothing is written to the folder any more once this returns."""
        handle = self.end()
        if handle is not None:
            self._session.remove(handle)

    def end(self) -> Any:
        """Have readers end with an error; whoever takes the handle leaves the swarm."""
        with self._changed:
            self._fault = self._fault or TransferError("the transfer was ended")
            self._before = self.counts()
            handle, self._handle = self._handle, None
            self._changed.notify_all()
            return handle

    def fault(self) -> str:
        """What is wrong with it; "" for nothing."""
        with self._changed:
            return str(self._fault or "")

    def pieces(self) -> frozenset[int]:
        """Those that are here and right."""
        with self._changed:
            return frozenset(self._have)

    def counts(self) -> Counts:
        """How much went."""
        with self._changed:
            return counts_of(self._handle).after(self._before)

    def _piece(self, number: int, vigil: Vigil, source: str) -> bytes:
        """Wait for a piece."""
        slot: list[bytes] = []
        vigil.begin()
        looked = time.monotonic()
        with self._changed:
            while not slot:
                if self._fault is not None:
                    raise TransferError(str(self._fault), source=source, hint=self._fault.hint)
                asked = any(one is slot for one in self._asked.get(number, ()))
                if number in self._have and not asked:
                    self._asked.setdefault(number, []).append(slot)
                    self._handle.read_piece(number)
                self._changed.wait(LOOK_S)
                now = time.monotonic()
                if not slot and now - looked >= LOOK_S and self._handle is not None:
                    passed_s, looked = now - looked, now
                    self._look(vigil, number, passed_s)
            return slot[0]

    def _look(self, vigil: Vigil, number: int, passed_s: float) -> None:
        """How is it going, some seconds after the last look? Tries again what may have to be, or ends the wait."""
        counts, now = counts_of(self._handle), time.monotonic()
        self._met_peers = self._met_peers or counts.peers > 0
        healthy = not self._wrong_pieces and 0 < counts.peers <= 3 * counts.seeds
        if healthy != self._healthy:
            self._healthy = healthy
            self._want()
        is_held = bool(INFLOW.bytes_per_s) and holds_back(self._handle)
        if is_held:
            own_waits().excuse(passed_s)
        if is_held or counts.downloaded_bytes != self._received:
            self._received, self._heard = counts.downloaded_bytes, now
        elif number not in self._have and now - self._heard >= SILENT_S:
            # Somebody holds it who says nothing; libtorrent asks others for the same only where it is told to hurry.
            for missing in self._missing():
                self._handle.set_piece_deadline(missing, 0)
        elif number not in self._have and self._wrong_bytes:
            self._ask_again()
        if number not in self._have and now - self._retried >= RETRY_S:
            self._retried = now
            if self._wrong_pieces and not counts.peers and self._restarts < MOST_RESTARTS:
                self._restart()
            for place in self._places:
                introduce_peers(place, self._session.names, act=self._act, note=self._notes.add)
        standing = Standing(counts.downloaded_bytes, self._wrong_bytes, met=self._met_peers)
        vigil.look(standing, str(self._notes))

    def _ask_again(self) -> None:
        """Have peers asked for what came and was wrong: those that had nothing to be asked for meanwhile are idle.

        libtorrent has them look again whenever a piece becomes wanted, and says nothing of it to peers where it was so
        before.
        """
        for missing in self._missing():
            self._handle.reset_piece_deadline(missing)
            self._handle.prioritize_pieces([(missing, UNWANTED), (missing, self._wants.priority(missing))])

    def _missing(self) -> list[int]:
        """The first of the pieces that are waited for."""
        return [number for number in self._wants.numbers() if number not in self._have][:MOST_HURRIED]

    def _restart(self) -> None:
        """Forget whom libtorrent banned, and go on with the pieces that are there.

        Where liars and honest peers sent blocks of the same pieces it bans some of either before it knows better.
        """
        self._before, self._restarts = self.counts(), self._restarts + 1
        self._session.remove(self._handle)
        self._have.clear()
        self._asked.clear()
        self._wants.forget()
        self._handle = self._session.add(fetch_params(self.torrent, self._folder), self._hear)
        self._want()
        for place in self._places:
            introduce(place, self._blob, self._session.names, act=self._act, note=self._notes.add)

    def _want(self, change: Callable[[], None] | None = None) -> None:
        with self._changed:
            if change is not None:
                change()
            changes = self._wants.changes(in_order=self._healthy)
            if changes and self._handle is not None:
                self._handle.prioritize_pieces(changes)

    def _act(self, do: Callable[[Any], object]) -> None:
        with self._changed:
            if self._handle is not None:
                do(self._handle)

    # The session's thread.

    def _hear(self, alert: Any) -> None:
        with self._changed:
            if self._handle is None:
                return
            match alert:
                case lt.piece_finished_alert():
                    self._have.add(alert.piece_index)
                    self._wrong_bytes = 0
                case lt.read_piece_alert():
                    self._give(alert)
                case lt.hash_failed_alert():
                    self._met_peers = True  # it may be banned before anybody looks
                    self._wrong_pieces += 1
                    self._wrong_bytes += self.torrent.piece_length
                case lt.torrent_checked_alert() | lt.alerts_dropped_alert():
                    pieces = self._handle.status(lt.status_flags_t.query_pieces).pieces
                    self._have |= {number for number, there in enumerate(pieces) if there}
                case lt.torrent_error_alert():
                    self._fault = TransferError(f"the torrent failed: {alert.error.message()}")
                case lt.file_error_alert():
                    self._fault = TransferError(f"{alert.filename()}: {alert.error.message()}")
                case _:
                    self._notes.hear(alert)
                    return
            self._changed.notify_all()

    def _give(self, alert: Any) -> None:
        slots = self._asked.pop(alert.piece, [])
        if alert.error.value():
            self._have.discard(alert.piece)
        else:
            for slot in slots:
                slot.append(alert.buffer)
