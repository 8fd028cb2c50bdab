"""Seed: one file that is given out to peers and never written to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

from edgekit.addressing.torrent import Torrent
from edgekit.errors import StorageError
from edgekit.transport.torrent_library import lt
from edgekit.transport.torrent_params import introduce, seed_params
from edgekit.transport.torrent_record import Counts, Notes, counts_of
from edgekit.transport.torrent_session import TorrentSession
from edgekit.transport.torrent_url import TorrentPlace
from edgekit.types.blob import Blob

_READ_BYTES = 2**18


class Seed:
    """A torrent whose whole file is here."""

    def __init__(
        self, blob: Blob, torrent: Torrent, path: Path, session: TorrentSession, places: Sequence[TorrentPlace]
    ) -> None:
        """Begin.

        Args:
            blob: What.
            torrent: Its torrent, made of the file.
            path: The file.
            session: Who takes part in swarms.
            places: Whom to tell.

        Raises:
            TransferError: It cannot be added.
        """
        self.blob = blob
        self._fault = ""
        self._path = path
        self._piece_count = torrent.piece_count
        self._session = session
        self._lock = threading.RLock()
        self._handle: Any = session.add(seed_params(torrent, path), self._hear)
        for place in places:
            introduce(place, blob, session.names, act=self._act, note=Notes().add)

    def read(self, start: int, stop: int, *, source: str) -> Generator[bytes]:
        """Some bytes of the file; see `Download.read`.

        Raises:
            StorageError: It cannot be read any more.
        """
        try:
            with self._path.open("rb") as file:
                file.seek(start)
                while start < stop and (chunk := file.read(min(_READ_BYTES, stop - start))):
                    start += len(chunk)
                    yield chunk
        except OSError as error:
            raise StorageError(f"{self._path}: {error.strerror}") from error

    def close(self) -> None:
        """Leave the swarm; the file is closed once this returns."""
        with self._lock:
            handle, self._handle = self._handle, None
        if handle is not None:
            self._session.remove(handle)

    def end(self) -> None:
        """Let go of it; whoever closes the session leaves the swarm."""
        with self._lock:
            self._handle = None

    def pieces(self) -> frozenset[int]:
        """All of them."""
        return frozenset(range(self._piece_count))

    def fault(self) -> str:
        """What is wrong with it; "" for nothing."""
        with self._lock:
            return self._fault

    def counts(self) -> Counts:
        """How much went."""
        with self._lock:
            return counts_of(self._handle)

    def _act(self, do: Callable[[Any], object]) -> None:
        with self._lock:
            if self._handle is not None:
                do(self._handle)

    def _hear(self, alert: Any) -> None:
        """Damage is found when a peer asks for the piece; then this gives out nothing any more."""
        match alert:
            case lt.torrent_error_alert():
                what = alert.error.message()
            case lt.file_error_alert():
                what = f"{alert.filename()}: {alert.error.message()}"
            case lt.hash_failed_alert():
                what = f"its file was changed: piece {alert.piece_index} is another one"
            case _:
                return
        with self._lock:
            self._fault = self._fault or what
