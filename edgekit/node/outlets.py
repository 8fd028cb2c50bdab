"""Outlets: by which a node gives to others what it has: a swarm of peers, and a web server of files and IPFS blocks."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from edgekit.addressing.torrent import torrent_file, torrent_of_file, write_torrent
from edgekit.errors import InputError
from edgekit.gateway.server import Gateway
from edgekit.gateway.shelf import Shelf
from edgekit.transport.torrent_url import TorrentPlace
from edgekit.types.blob import Blob

if TYPE_CHECKING:
    from edgekit.transport.swarm import Swarm  # libtorrent; a gateway needs none

LONGEST_OPENING_S = 10.0


class Outlet(Protocol):
    """One way out."""

    def offer(self, blob: Blob, path: Path) -> None:
        """Give a blob out from a file, which was hashed a moment ago.

        Raises:
            EdgekitError: It cannot be given out this way.
        """
        ...

    def withdraw(self, blob: Blob) -> None:
        """Give it out no more."""
        ...

    def name(self, files: Mapping[str, bytes]) -> None:
        """Give out these named files, and no others."""
        ...

    def faults(self) -> frozenset[str]:
        """Digests of blobs that turned out not to be there any more when somebody asked."""
        ...

    def status(self) -> Mapping[str, object]:
        """What went out, for people."""
        ...

    def close(self) -> None:
        """End it, within seconds; never raises, and may be called twice."""
        ...


class SwarmOutlet:
    """Seeds torrents, of blobs whose addresses are signed; named files have no swarm."""

    def __init__(self, swarm: Swarm, places: Sequence[TorrentPlace]) -> None:
        """Seed in a swarm, which `close` leaves.

        Args:
            swarm: The process's own.
            places: Trackers, tables and peers to announce to.
        """
        self._swarm = swarm
        self._places = places
        self._is_open = True

    def wait_until_open(self) -> None:
        """Wait until peers can connect, which the system decides within moments.

        Raises:
            InputError: They cannot: another program listens there, or the address is not this machine's.
        """
        until = time.monotonic() + LONGEST_OPENING_S
        while time.monotonic() < until:
            found = self._swarm.status()
            if found.listening:
                return
            if found.faults:
                break
            time.sleep(0.02)
        told = "; ".join(f"{place}: {fault}" for place, fault in self._swarm.status().faults.items())
        raise InputError(
            f"peers cannot connect here: {told or 'nobody listens'}", hint="choose another address or port"
        )

    def offer(self, blob: Blob, path: Path) -> None:
        """See Outlet."""
        if blob.addresses is not None:
            self._swarm.seed(blob, path, places=self._places)

    def withdraw(self, blob: Blob) -> None:
        """See Outlet."""
        self._swarm.unseed(blob)

    def name(self, files: Mapping[str, bytes]) -> None:
        """See Outlet."""

    def faults(self) -> frozenset[str]:
        """See Outlet."""
        return frozenset(torrent.sha256 for torrent in self._swarm.status().torrents if torrent.fault)

    def status(self) -> Mapping[str, object]:
        """See Outlet."""
        found = self._swarm.status()
        return {
            "listening": [f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in found.listening],
            "uploaded_bytes": found.uploaded_bytes,
            "downloaded_bytes": found.downloaded_bytes,
            "faults": dict(found.faults),
        }

    def close(self) -> None:
        """See Outlet; a second time does nothing."""
        if self._is_open:
            self._is_open = False
            self._swarm.close()


class GatewayOutlet:
    """A mirror of the channel, a webseed and an IPFS gateway at once."""

    def __init__(self, shelf: Shelf, gateway: Gateway) -> None:
        """Fill the shelf of a gateway, which `close` ends."""
        self._shelf = shelf
        self._gateway = gateway
        self._named: set[str] = set()

    def offer(self, blob: Blob, path: Path) -> None:
        """See Outlet; with its torrent, where its addresses are signed."""
        self._shelf.put_file(blob, path)
        if blob.addresses is not None:
            self._shelf.put_bytes(torrent_file(blob.sha256), write_torrent(torrent_of_file(path, blob)))

    def withdraw(self, blob: Blob) -> None:
        """See Outlet."""
        self._shelf.remove(blob)
        self._shelf.remove_name(torrent_file(blob.sha256))

    def name(self, files: Mapping[str, bytes]) -> None:
        """See Outlet."""
        for name, data in files.items():
            self._shelf.put_bytes(name, data)
        for name in self._named - set(files):
            self._shelf.remove_name(name)
        self._named = set(files)

    def faults(self) -> frozenset[str]:
        """See Outlet."""
        return frozenset(self._shelf.faults)

    def status(self) -> Mapping[str, object]:
        """See Outlet."""
        found = self._gateway.status()
        return {"url": self._gateway.url, "uploaded_bytes": found.sent_bytes, "answers": found.answers}

    def close(self) -> None:
        """See Outlet."""
        self._gateway.close()
