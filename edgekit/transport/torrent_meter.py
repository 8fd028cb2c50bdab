"""Meter: has the limit on what a process receives (`inflow`) hold for its swarm, together with everything else.

libtorrent is told a limit of its own, several times a second: what the other transports leave, and half at least. What
it received is charged to them.
"""

from __future__ import annotations

import time
from typing import Any

from edgekit.transport.inflow import INFLOW

_LOOK_S = 0.2
_LARGEST_RATE = 2**31 - 1
_RECEIVED = "net.recv_bytes"
"""Everything that came by TCP and UDP: of files, of the protocol, and of web seeds."""


class Meter:
    """Of one session. Used by its thread; `rate` by others too."""

    def __init__(self, own_bytes_per_s: int) -> None:
        """Prepare.

        Args:
            own_bytes_per_s: Limit of the swarm alone; 0 for none.
        """
        self.own_bytes_per_s = own_bytes_per_s
        self._looked = 0.0
        self._was_limited = False
        self._received: int | None = None

    def rate(self) -> int:
        """What libtorrent is to be told now, bytes per second; 0 for no limit."""
        limits = [limit for limit in (self.own_bytes_per_s, INFLOW.swarm_bytes_per_s()) if limit]
        return min(_LARGEST_RATE, *limits) if limits else 0

    def look(self, session: Any) -> None:
        """Tell a session its limit, and ask it what it received; nothing where it is too early for that."""
        now = time.monotonic()
        if now - self._looked < _LOOK_S:
            return
        self._looked = now
        is_limited = bool(INFLOW.bytes_per_s)
        if is_limited or self._was_limited:
            session.apply_settings({"download_rate_limit": self.rate()})
        if is_limited:
            session.post_session_stats()
        else:
            self._received = None
        self._was_limited = is_limited

    def hear(self, alert: Any) -> None:
        """What the session received, of a `session_stats_alert`."""
        received = alert.values[_RECEIVED]
        if self._received is not None:
            INFLOW.charge(received - self._received)
        self._received = received
