"""What is remembered of a torrent: how much went, and who failed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edgekit.transport.torrent_library import lt

_MOST_NOTES = 8
_LONGEST_NOTE = 200


@dataclass(frozen=True)
class Counts:
    """How much went, of the file alone.

    Attributes:
        peers: Connections at present; one that died counts for some seconds more.
        seeds: Those of them that have the whole file.
        uploaded_bytes: Sent.
        downloaded_bytes: Received, right or wrong.
        failed_bytes: Received, and wrong.
    """

    peers: int = 0
    seeds: int = 0
    uploaded_bytes: int = 0
    downloaded_bytes: int = 0
    failed_bytes: int = 0

    def after(self, before: Counts) -> Counts:
        """The same with the bytes of an earlier time on top."""
        return Counts(
            self.peers,
            self.seeds,
            self.uploaded_bytes + before.uploaded_bytes,
            self.downloaded_bytes + before.downloaded_bytes,
            self.failed_bytes + before.failed_bytes,
        )


def counts_of(handle: Any) -> Counts:
    """What libtorrent says of a torrent; nothing for None."""
    if handle is None:
        return Counts()
    status = handle.status(0)
    return Counts(
        status.num_peers,
        status.num_seeds,
        status.total_payload_upload,
        status.total_payload_download,
        status.total_failed_bytes,
    )


def holds_back(handle: Any) -> bool:
    """Whether peers would send more, and libtorrent does not let them because of its limit."""
    return any(peer.read_state & lt.peer_info.bw_limit for peer in handle.get_peer_info())


class Notes:
    """Who failed, and how; the last word of each. Texts may be a stranger's. Used from any thread."""

    def __init__(self) -> None:
        self._notes: dict[str, str] = {}
        self._lock = threading.Lock()

    def add(self, who: str, what: str) -> None:
        """Remember; of too many nothing."""
        text = "".join(letter if letter.isprintable() else "?" for letter in what.removeprefix(f"{who}: "))
        with self._lock:
            if len(self._notes) < _MOST_NOTES or who in self._notes:
                self._notes[who] = text[:_LONGEST_NOTE]

    def hear(self, alert: Any) -> None:
        """Remember what an alert of libtorrent says of a tracker or a web seed that failed, if it is of that kind."""
        match alert:
            case lt.tracker_error_alert():
                self.add(_text(lambda: alert.url), _text(alert.failure_reason) or alert.error.message())
            case lt.url_seed_alert():
                self.add(_text(alert.server_url), _text(alert.error_message) or alert.error.message())

    def __str__(self) -> str:
        """As the end of a message."""
        with self._lock:
            return "".join(f"; {who}: {what}" for who, what in self._notes.items())


def _text(read: Callable[[], str]) -> str:
    """What a stranger wrote, which libtorrent hands on as it came: UTF-8, or anything else."""
    try:
        return read()
    except UnicodeDecodeError as error:
        return error.object.decode(errors="replace")
