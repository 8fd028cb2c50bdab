"""HostNames: names of hosts looked up aside, so that a name server which never answers holds nobody up.

A lookup cannot be cut off. Here it is a thread that nobody waits for; whoever needs the answer gets it when it comes.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from ipaddress import ip_address

MOST_LOOKUPS = 64
"""At the same time; whoever comes when so many are stuck is told that there is no answer."""


class HostNames:
    """Looks names up, and knows which are still being looked up."""

    def __init__(self, lookup: Callable[[str], list[str]] | None = None) -> None:
        """Prepare.

        Args:
            lookup: From a name to its addresses; OSError where there are none. The system's when None.
        """
        self._lookup = lookup or addresses_of
        self._known: set[str] = set()
        self._pending = 0
        self._changed = threading.Condition()

    def find(self, host: str, then: Callable[[list[str]], None], *, failed: Callable[[str], None]) -> None:
        """Have a name looked up; returns at once.

        Args:
            host: The name, or an address, which needs no lookup.
            then: Called with the addresses, perhaps by another thread.
            failed: Called instead, with what was wrong.
        """
        if is_address(host):
            then([host])
            return
        with self._changed:
            if self._pending >= MOST_LOOKUPS:
                failed("too many names are being looked up already")
                return
            self._pending += 1
            self._known.add(host)
        threading.Thread(target=self._find, args=(host, then, failed), name="edgekit-names", daemon=True).start()

    def answers(self, seconds: float) -> bool:
        """Whether every name that was ever asked for still gets an answer, good or bad, within so many seconds."""
        with self._changed:
            known = tuple(self._known)
        for host in known[:MOST_LOOKUPS]:
            self.find(host, lambda addresses: None, failed=lambda fault: None)
        deadline = time.monotonic() + seconds
        with self._changed:
            return self._changed.wait_for(lambda: not self._pending, max(0.0, deadline - time.monotonic()))

    def _find(self, host: str, then: Callable[[list[str]], None], failed: Callable[[str], None]) -> None:
        try:
            addresses = self._lookup(host)
        except (OSError, UnicodeError) as error:
            failed(f"no address of {host}: {error}")
        else:
            then(addresses)
        finally:
            with self._changed:
                self._pending -= 1
                self._changed.notify_all()


def addresses_of(host: str) -> list[str]:
    """Addresses of a name, each once, as the system has them.

    Raises:
        OSError: It has none, or nobody can be asked.
    """
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def is_address(host: str) -> bool:
    """Whether a host is an address rather than a name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
