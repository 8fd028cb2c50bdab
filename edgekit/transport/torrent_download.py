"""Download: one blob that is fetched from a swarm: first its torrent is found, then its pieces come."""

from __future__ import annotations

import threading
from collections.abc import Generator
from pathlib import Path

from edgekit.addressing.torrent import Torrent
from edgekit.errors import AbsentError, EdgekitError, StalledError, TransferError
from edgekit.transport.inflow import Waits, own_time, own_waits
from edgekit.transport.patience import Patience
from edgekit.transport.torrent_finding import channel_torrent, keep_torrent, kept_torrent
from edgekit.transport.torrent_question import Question
from edgekit.transport.torrent_record import Counts, Notes
from edgekit.transport.torrent_session import TorrentSession
from edgekit.transport.torrent_transfer import LOOK_S, Transfer
from edgekit.transport.torrent_url import TorrentPlace
from edgekit.types.blob import Addresses, Blob

_LEAVE_S = 3.0
_CHANNEL_SHARE = 0.15
"""Of the time that an answer may take: then peers are asked for the torrent, whatever the channel does."""


class Download:
    """One blob. Used by any number of readers, and by a thread that finds the torrent."""

    def __init__(
        self, blob: Blob, addresses: Addresses, folder: Path, session: TorrentSession, patience: Patience
    ) -> None:
        """Prepare; `join` begins.

        Args:
            blob: What.
            addresses: Its addresses.
            folder: Where libtorrent keeps its file, and where this keeps the torrent; it need not exist.
            session: Who takes part in swarms.
            patience: Bounds on waiting.
        """
        self.blob = blob
        self.folder = folder
        self._kept = folder / f"{blob.sha256}.torrent"
        self._addresses = addresses
        self._session = session
        self._patience = patience
        self._notes = Notes()
        self._changed = threading.Condition()
        self._places: list[TorrentPlace] = []
        self._finding = False
        self._question: Question | None = None
        self._met_peers = False
        self._transfer: Transfer | None = None
        self._fault: EdgekitError | None = None
        self._closed = False

    def join(self, place: TorrentPlace) -> None:
        """Look for the blob there too, if that is not done yet.

        Raises:
            TransferError: The folder cannot be made.
        """
        with self._changed:
            if place in self._places or self._closed:
                return
            self._places.append(place)
            if self._transfer is not None:
                self._transfer.introduce(place)
            elif not self._finding:
                try:
                    self.folder.mkdir(parents=True, exist_ok=True)
                except OSError as error:
                    raise TransferError(f"{self.folder} cannot be made: {error.strerror}") from error
                self._finding, self._fault = True, None
                threading.Thread(target=self._find, args=(own_waits(),), name="edgekit-torrent", daemon=True).start()

    def read(self, start: int, stop: int, *, source: str) -> Generator[bytes]:
        """Some bytes, in order.

        Args:
            start: First byte.
            stop: One past the last byte.
            source: URL of who reads, for messages.

        Raises:
            AbsentError: Nobody is known who has the blob.
            StalledError: Nothing came for too long.
            TransferError: What comes is wrong, the disk fails, or the download was closed.
            TrustError: What is given out as its torrent is another one.
        """
        yield from self._await_transfer(source).read(start, stop, self._patience, source=source)

    def close(self) -> None:
        """Leave the swarm; readers end with an error. Nothing is written to the folder any more once this returns."""
        transfer = self._end()
        if transfer is not None:
            transfer.close()
        with self._changed:  # whoever asks for the torrent next has to find that nobody asks for it any more
            self._changed.wait_for(lambda: self._question is None, _LEAVE_S)

    def end(self) -> None:
        """Have readers end with an error; whoever closes the session leaves the swarm."""
        transfer = self._end()
        if transfer is not None:
            transfer.end()

    def fault(self) -> str:
        """What is wrong with it; "" for nothing."""
        with self._changed:
            return str(self._fault or "") or (self._transfer.fault() if self._transfer else "")

    def pieces(self) -> frozenset[int]:
        """Those of the torrent that are here and right."""
        with self._changed:
            return self._transfer.pieces() if self._transfer else frozenset()

    def counts(self) -> Counts:
        """How much went."""
        with self._changed:
            return self._transfer.counts() if self._transfer else Counts()

    def _end(self) -> Transfer | None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            return self._transfer

    def _await_transfer(self, source: str) -> Transfer:
        began = own_time()
        with self._changed:
            while self._transfer is None:
                waited_s = own_time() - began
                if self._closed:
                    raise TransferError("the transfer was ended", source=source)
                if self._fault is not None:
                    raise self._fault
                if waited_s >= self._patience.answer_s:
                    met = self._question.met_peers if self._question else self._met_peers
                    if met:
                        raise StalledError(
                            f"no peer gave out its torrent in {waited_s:.0f} s{self._notes}", source=source
                        )
                    raise AbsentError(f"nobody who has it was found in {waited_s:.0f} s{self._notes}", source=source)
                self._changed.wait(LOOK_S)
            return self._transfer

    # Finding the torrent: the work of a thread of its own.

    def _find(self, waits: Waits) -> None:
        """Get the torrent, from an earlier run or a channel; otherwise have peers asked for it."""
        try:
            with waits.here():
                torrent = kept_torrent(self.blob, self._kept) or self._from_channels() or self._from_peers()
            if torrent is not None:
                self._begin(torrent)
        except EdgekitError as error:
            self._fail(error)
        finally:
            with self._changed:
                self._finding = False
                self._changed.notify_all()

    def _from_channels(self) -> Torrent | None:
        """The torrent of the first channel that has it.

        Raises:
            EdgekitError: None has, and there is nobody else to ask.
        """
        tried: list[TorrentPlace] = []
        fault: EdgekitError = AbsentError("nobody is named who could have it")
        while True:
            with self._changed:
                left = [place for place in self._places if place not in tried]
                if not left and any(place.finds_peers for place in self._places):
                    return None
                if not left:
                    raise fault
            tried.append(left[0])
            if left[0].channel is None:
                continue
            try:
                return channel_torrent(self.blob, left[0].channel, wait_s=self._patience.answer_s * _CHANNEL_SHARE)
            except EdgekitError as error:
                fault = error
                self._notes.add(left[0].channel, str(error))

    def _from_peers(self) -> Torrent | None:
        question = Question(self.blob, self._addresses, self.folder, self._session, self._notes)
        with self._changed:
            if self._closed:
                return None
            self._question = question
        try:
            return question.ask(lambda: tuple(self._places), lambda: self._closed)
        finally:
            with self._changed:
                self._question, self._met_peers = None, question.met_peers
                self._changed.notify_all()

    def _begin(self, torrent: Torrent) -> None:
        with self._changed:
            if self._closed:
                return
            keep_torrent(torrent, self._kept)
            self._transfer = Transfer(self.blob, torrent, self.folder, self._session, self._notes)
            for place in self._places:
                self._transfer.introduce(place)
            self._changed.notify_all()

    def _fail(self, error: EdgekitError) -> None:
        with self._changed:
            self._fault = error
            self._changed.notify_all()
