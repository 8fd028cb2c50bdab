"""TorrentSession: one session of libtorrent, with what has to be known about it in one place.

Its alerts are read by one thread, which hands each to whoever added the torrent. It is never waited for without a
bound: libtorrent's own end blocks the interpreter for as long as a name server does not answer, see `close`.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from edgekit.errors import TransferError
from edgekit.transport.host_names import HostNames
from edgekit.transport.swarm_settings import SwarmSettings, session_settings
from edgekit.transport.torrent_library import lt
from edgekit.transport.torrent_meter import Meter
from edgekit.transport.torrent_url import Endpoint

Hear = Callable[[Any], None]
"""Takes an alert of libtorrent; called by the session's thread, and must not wait."""

_LOOK_MS = 200
_REMOVE_S = 2.0
_CLOSE_S = 2.0
_EVERYBODY = (("0.0.0.0", "255.255.255.255"), ("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"))
_ALERTS = (
    lt.alert_category.error
    | lt.alert_category.status
    | lt.alert_category.storage
    | lt.alert_category.tracker
    | lt.alert_category.piece_progress
)


class TorrentSession:
    """A session, its thread, and its torrents by their infohash of v2."""

    def __init__(self, settings: SwarmSettings) -> None:
        """Start; nobody is contacted before a torrent is added, except the nodes of a hash table that was asked for.

        Args:
            settings: How to take part.
        """
        self.names = HostNames()
        self._pid = os.getpid()
        self._meter = Meter(settings.download_bytes_per_s)
        pack: Any = {**session_settings(settings), "alert_mask": _ALERTS, "download_rate_limit": self._meter.rate()}
        self._session = lt.session(pack)
        self._limit_everybody()
        self._torrents: dict[bytes, tuple[Any, Hear]] = {}
        self._listening: dict[Endpoint, None] = {}
        self._faults: dict[str, str] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="edgekit-swarm", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    @property
    def listening(self) -> tuple[Endpoint, ...]:
        """Where peers can connect."""
        with self._lock:
            return tuple(self._listening)

    @property
    def faults(self) -> dict[str, str]:
        """Address that could not be listened at -> why."""
        with self._lock:
            return dict(self._faults)

    def apply(self, settings: SwarmSettings) -> None:
        """Go on with other settings; the addresses to listen at stay."""
        self._meter.own_bytes_per_s = settings.download_bytes_per_s
        pack: Any = {**session_settings(settings), "download_rate_limit": self._meter.rate()}
        del pack["listen_interfaces"]
        self._session.apply_settings(pack)

    def add(self, params: Any, hear: Hear) -> Any:
        """Take part in a torrent.

        Args:
            params: libtorrent's `add_torrent_params`.
            hear: Who is told about it.

        Returns:
            libtorrent's handle.

        Raises:
            TransferError: It is there already, cannot be used, or the session was closed.
        """
        params.flags |= lt.torrent_flags.duplicate_is_error
        key = _key(params)
        with self._lock:
            if self._closing.is_set():
                raise TransferError("the swarm was closed")
            try:
                handle = self._session.add_torrent(params)
            except RuntimeError as error:
                raise TransferError(f"the torrent {key.hex()[:12]} cannot be added: {error}") from error
            self._torrents[key] = handle, hear
        return handle

    def remove(self, handle: Any) -> None:
        """Leave a torrent. Once this has returned nothing is written to its files, if the disk works at all."""
        with self._lock:
            found = [key for key, (known, _) in self._torrents.items() if known == handle]
            for key in found:
                del self._torrents[key]
            if not found or self._closing.is_set():
                return
            self._session.remove_torrent(handle)
        deadline = time.monotonic() + _REMOVE_S
        while handle.is_valid() and time.monotonic() < deadline:  # it lives as long as the disk's threads need it
            time.sleep(0.005)

    def close(self) -> None:
        """Leave everything; takes seconds at most, and never raises.

        libtorrent waits in its destructor for lookups of names that are under way, with the interpreter locked. Where
        such a lookup may be stuck, the session is emptied and then left alone instead of being destroyed.
        """
        if self._pid != os.getpid():  # a fork has none of its threads, and perhaps a lock that nobody will open
            self._forget()
            return
        with self._lock:
            if self._closing.is_set():
                return
            self._closing.set()
            handles = [handle for handle, _ in self._torrents.values()]
            self._torrents.clear()
        atexit.unregister(self.close)
        with suppress(RuntimeError):
            for handle in handles:
                self._session.remove_torrent(handle)
        self._thread.join(_CLOSE_S)
        handles.clear()
        if not self._thread.is_alive() and self.names.answers(_CLOSE_S):
            del self._session
            return
        self._session.pause()
        self._forget()

    def _forget(self) -> None:
        """See that the session is never destroyed, not even at the end of the interpreter."""
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._session))

    def _limit_everybody(self) -> None:
        """Have the limits count for everybody; libtorrent exempts its own network and machine otherwise."""
        classes = lt.ip_filter()
        for first, last in _EVERYBODY:
            classes.add_rule(first, last, 1 << self._session.global_peer_class_id)
        self._session.set_peer_class_filter(classes)

    def _listen(self) -> None:
        while not self._closing.is_set():
            self._session.wait_for_alert(_LOOK_MS)
            self._meter.look(self._session)
            for alert in self._session.pop_alerts():
                try:
                    self._hand_on(alert)
                except Exception:  # a bug in what hears of one torrent: told as such, and no end of all the others
                    threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), self._thread)))

    def _hand_on(self, alert: Any) -> None:
        if isinstance(alert, lt.torrent_alert):
            with self._lock:
                found = (
                    self._torrents.get(alert.handle.info_hashes().v2.to_bytes()) if alert.handle.is_valid() else None
                )
            if found:
                found[1](alert)
        elif isinstance(alert, lt.session_stats_alert):
            self._meter.hear(alert)
        elif isinstance(alert, lt.listen_succeeded_alert):
            with self._lock:
                self._listening[(alert.address, alert.port)] = None
        elif isinstance(alert, lt.listen_failed_alert):
            with self._lock:
                self._faults[f"{alert.address}:{alert.port}"] = alert.error.message()
        elif isinstance(alert, lt.alerts_dropped_alert):
            with self._lock:
                everybody = [hear for _, hear in self._torrents.values()]
            for hear in everybody:
                hear(alert)


def _key(params: Any) -> bytes:
    hashes = params.ti.info_hashes() if params.ti is not None else params.info_hashes
    found: bytes = hashes.v2.to_bytes()
    return found
