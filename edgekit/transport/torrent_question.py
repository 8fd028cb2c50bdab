"""Question: a blob's torrent from the peers that have it, where no channel gives it out.

Peers send the info dictionary (BEP 9), which the signed infohash holds, and the piece layer (BEP 52), which the root in
it holds. Not a byte of the file is asked for before both are whole and were looked at: nobody but the publisher says
what is written where. Also, libtorrent 2.1 does better among liars where it knows every hash from the beginning.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgekit.addressing.torrent import Torrent, read_info, read_torrent
from edgekit.errors import TrustError
from edgekit.transport.torrent_library import lt
from edgekit.transport.torrent_params import ask_params, introduce, introduce_peers
from edgekit.transport.torrent_record import Notes, counts_of
from edgekit.transport.torrent_session import TorrentSession
from edgekit.transport.torrent_url import TorrentPlace
from edgekit.types.blob import Addresses, Blob

_LOOK_S = 0.1
_RETRY_S = 2.0


class Question:
    """One torrent that is asked for. Asked by one thread, answered by the session's."""

    def __init__(self, blob: Blob, addresses: Addresses, folder: Path, session: TorrentSession, notes: Notes) -> None:
        """Prepare.

        Args:
            blob: What.
            addresses: Its addresses.
            folder: For libtorrent, which writes nothing there before it knows what.
            session: Who takes part in swarms.
            notes: Who failed, and how.
        """
        self.met_peers = False
        self._blob = blob
        self._addresses = addresses
        self._folder = folder
        self._session = session
        self._notes = notes
        self._changed = threading.Condition()
        self._handle: Any = None
        self._info: Torrent | None = None
        self._torrent: Torrent | None = None
        self._fault: TrustError | None = None

    def ask(self, places: Callable[[], tuple[TorrentPlace, ...]], ended: Callable[[], bool]) -> Torrent | None:
        """Ask until there is an answer.

        Args:
            places: Whom; may become more.
            ended: Whether nobody needs an answer any more.

        Returns:
            The torrent with its piece layer; None where nobody needs it.

        Raises:
            TrustError: The torrent that was signed is none of this blob.
            TransferError: It cannot be asked for.
        """
        with self._changed:  # alerts come at once, and need the handle
            self._handle = self._session.add(ask_params(self._addresses, self._folder), self._hear)
        try:
            self._wait(places, ended)
        finally:
            with self._changed:
                handle, self._handle = self._handle, None
            self._session.remove(handle)
        if self._fault is not None:
            raise self._fault
        return self._torrent

    def _wait(self, places: Callable[[], tuple[TorrentPlace, ...]], ended: Callable[[], bool]) -> None:
        introduced, looks = 0, 0
        while not ended():
            known = places()
            for place in known[introduced:]:
                introduce(place, self._blob, self._session.names, act=self._act, note=self._notes.add)
            if looks and looks % round(_RETRY_S / _LOOK_S) == 0:
                for place in known:
                    introduce_peers(place, self._session.names, act=self._act, note=self._notes.add)
            introduced, looks = len(known), looks + 1
            with self._changed:
                self.met_peers = self.met_peers or counts_of(self._handle).peers > 0
                if self._info is not None:
                    self._handle.save_resume_data(lt.save_resume_flags_t.save_info_dict)
                self._changed.wait(_LOOK_S)
                if self._torrent is not None or self._fault is not None:
                    return

    def _act(self, do: Callable[[Any], object]) -> None:
        with self._changed:
            if self._handle is not None:
                do(self._handle)

    def _hear(self, alert: Any) -> None:
        with self._changed:
            if self._handle is None:
                return
            match alert:
                case lt.metadata_received_alert():
                    self._take_info()
                case lt.save_resume_data_alert():
                    self._take_layer(alert.params)
                case _:
                    self._notes.hear(alert)
            if self._torrent is not None or self._fault is not None:
                self._changed.notify_all()

    def _take_info(self) -> None:
        """Peers sent the info dictionary."""
        try:
            info = read_info(bytes(self._handle.torrent_file().info_section()), blob=self._blob)
        except TrustError as error:
            self._fault = error
            return
        if info.piece_count == 1:
            self._torrent = info
        else:
            self._info = info

    def _take_layer(self, params: Any) -> None:
        """Peers sent the piece layer, or part of it."""
        try:
            whole: Any = lt.write_torrent_file(params)
            data = lt.bencode({key: whole[key] for key in (b"info", b"piece layers")})
            self._torrent = read_torrent(data, blob=self._blob)
        except (RuntimeError, TrustError):  # not all of it is there yet
            return
