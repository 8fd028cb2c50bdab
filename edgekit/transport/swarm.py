"""Swarm: what this process fetches from peers and gives out to them, in one session that all its parts share.

A node that seeds and updates at once is one peer, not two: `shared_swarm` is the same for whoever asks until the last
of them has closed it.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgekit.addressing.torrent import torrent_of_file
from edgekit.errors import MalformedError, TransferError
from edgekit.transport.swarm_settings import SwarmSettings
from edgekit.transport.torrent_download import Download
from edgekit.transport.torrent_seed import Seed
from edgekit.transport.torrent_session import TorrentSession
from edgekit.transport.torrent_url import Endpoint, TorrentPlace
from edgekit.types.blob import Blob

FOLDER = "torrent"
"""Below the scratch folder of a fetch."""


@dataclass(frozen=True)
class TorrentStatus:
    """One torrent of this process.

    Attributes:
        sha256: Of its file.
        is_seed: It is given out only; otherwise it is being fetched.
        peers: Connections at present; one that died counts for some seconds more.
        uploaded_bytes: Sent to peers, of the file.
        downloaded_bytes: Received, right or wrong.
        failed_bytes: Received, and wrong.
        fault: What is wrong with it; "" for nothing.
    """

    sha256: str
    is_seed: bool
    peers: int
    uploaded_bytes: int
    downloaded_bytes: int
    failed_bytes: int
    fault: str


@dataclass(frozen=True)
class SwarmStatus:
    """A process's part in its swarms.

    Attributes:
        listening: Where peers can connect.
        uploaded_bytes: Sent to peers in all its torrents, those that were left too.
        downloaded_bytes: Received from them, right or wrong.
        torrents: Those at present.
        faults: Address that could not be listened at -> why.
    """

    listening: tuple[Endpoint, ...]
    uploaded_bytes: int
    downloaded_bytes: int
    torrents: tuple[TorrentStatus, ...]
    faults: dict[str, str]


class Swarm:
    """A process's part in swarms. Used from any number of threads."""

    def __init__(self, settings: SwarmSettings | None = None) -> None:
        """Start listening; nobody is contacted yet.

        Args:
            settings: How to take part.

        Raises:
            MissingExtraError: libtorrent is not installed.
        """
        self.settings = settings or SwarmSettings()
        self._session = TorrentSession(self.settings)
        self._downloads: dict[str, tuple[Download, set[object]]] = {}
        self._seeds: dict[str, Seed] = {}
        self._left = (0, 0)
        self._lock = threading.RLock()
        self._users = 1

    def fetch(self, blob: Blob, place: TorrentPlace, scratch: Path, *, user: object) -> Download | Seed:
        """Take part in a blob's swarm, until `leave`.

        Args:
            blob: With its addresses.
            place: Who may be asked.
            scratch: A folder on the disk that the blob will lie on.
            user: Who asks; the same blob may be fetched for several at once, if into the same folder.

        Returns:
            What it is read from: a seed, where this process has the whole of it.

        Raises:
            MalformedError: The blob has no addresses.
            TransferError: It is being fetched into another folder, or the swarm was closed.
        """
        addresses = blob.addresses
        if addresses is None:
            raise MalformedError(f"blob {blob.sha256[:12]} has no addresses by which a swarm could be asked")
        folder = scratch.absolute() / FOLDER
        with self._lock:
            self._check_open()
            if seed := self._seeds.get(addresses.infohash):
                return seed
            known = self._downloads.get(addresses.infohash)
            if known is None:
                download = Download(blob, addresses, folder, self._session, self.settings.patience)
                known = self._downloads[addresses.infohash] = download, set()
            download, users = known
            if download.folder != folder:
                raise TransferError(f"blob {blob.sha256[:12]} is being fetched into {download.folder} already")
            users.add(user)
            download.join(place)
            return download

    def leave(self, blob: Blob, *, user: object) -> None:
        """End what `fetch` began, for one who asked; with the last of them nothing is written any more."""
        if blob.addresses is None:
            return
        with self._lock:
            known = self._downloads.get(blob.addresses.infohash)
            if known is None or user not in known[1]:
                return
            download, users = known
            users.discard(user)
            if users:
                return
            self._count(download)
            del self._downloads[blob.addresses.infohash]
            # With the lock held: libtorrent takes part in a torrent once, and who comes next has to find it gone.
            download.close()

    def seed(self, blob: Blob, path: Path, *, places: Sequence[TorrentPlace] = ()) -> None:
        """Give a blob out. Its file is read whole first, and never written to.

        Args:
            blob: With its addresses.
            path: Its file, of any name, which stays as it is while it is given out.
            places: Trackers and tables to announce it to, peers to connect to.

        Raises:
            MalformedError: The blob has no addresses.
            DigestError: The file is another one.
            StorageError: It cannot be read.
            TransferError: It is still being fetched, or the swarm was closed.
        """
        addresses = blob.addresses
        if addresses is None:
            raise MalformedError(f"blob {blob.sha256[:12]} has no addresses under which it could be given out")
        with self._lock:
            if addresses.infohash in self._seeds:
                return
        torrent = torrent_of_file(path, blob)
        with self._lock:
            self._check_open()
            if addresses.infohash in self._downloads:
                raise TransferError(f"blob {blob.sha256[:12]} is still being fetched")
            if addresses.infohash not in self._seeds:
                self._seeds[addresses.infohash] = Seed(blob, torrent, path, self._session, places)

    def unseed(self, blob: Blob) -> None:
        """Give a blob out no more; nothing where it is not given out. Its file is closed once this returns."""
        if blob.addresses is None:
            return
        with self._lock:
            seed = self._seeds.pop(blob.addresses.infohash, None)
            if seed is not None:
                self._count(seed)
                seed.close()

    def pieces(self, blob: Blob) -> frozenset[int]:
        """Which pieces of a blob's torrent are here and right."""
        with self._lock:
            if blob.addresses is None:
                return frozenset()
            if seed := self._seeds.get(blob.addresses.infohash):
                return seed.pieces()
            known = self._downloads.get(blob.addresses.infohash)
            return known[0].pieces() if known else frozenset()

    def status(self) -> SwarmStatus:
        """How it is going."""
        with self._lock:
            downloads = [download for download, _ in self._downloads.values()]
            torrents: list[Download | Seed] = [*downloads, *self._seeds.values()]
            found = [_status(torrent) for torrent in torrents]
            uploaded, downloaded = self._left
        return SwarmStatus(
            self._session.listening,
            uploaded + sum(one.uploaded_bytes for one in found),
            downloaded + sum(one.downloaded_bytes for one in found),
            tuple(found),
            self._session.faults,
        )

    def close(self) -> None:
        """Leave everything, once everybody who shares the swarm has; takes seconds at most, and never raises."""
        with self._lock:
            self._users -= 1
            if self._users:
                return
            downloads = [download for download, _ in self._downloads.values()]
            torrents: list[Download | Seed] = [*downloads, *self._seeds.values()]
            self._downloads.clear()
            self._seeds.clear()
        for torrent in torrents:
            torrent.end()
        self._session.close()

    def join(self, settings: SwarmSettings) -> bool:
        """Share it, with what somebody asks for on top of its settings.

        Returns:
            False where it was closed already.
        """
        with self._lock:
            if not self._users:
                return False
            self._users += 1
            widened = self.settings.widened(settings)
            if widened != self.settings:
                self.settings = widened
                self._session.apply(widened)
            return True

    def _check_open(self) -> None:
        if not self._users:
            raise TransferError("the swarm was closed")

    def _count(self, torrent: Download | Seed) -> None:
        status = _status(torrent)
        self._left = self._left[0] + status.uploaded_bytes, self._left[1] + status.downloaded_bytes


_shared: list[Swarm] = []
_shared_lock = threading.Lock()


def shared_swarm(settings: SwarmSettings | None = None) -> Swarm:
    """The swarm of this process; started where there is none.

    Args:
        settings: How to take part. Where the swarm runs already its addresses to listen at stay, ways to find peers are
            added to those it has, and limits are taken over where they set one.

    Returns:
        The swarm; whoever asked closes it.

    Raises:
        MissingExtraError: libtorrent is not installed.
    """
    settings = settings or SwarmSettings()
    with _shared_lock:
        if _shared and _shared[0].join(settings):
            return _shared[0]
        _shared[:] = [Swarm(settings)]
        return _shared[0]


def _status(torrent: Download | Seed) -> TorrentStatus:
    counts = torrent.counts()
    return TorrentStatus(
        torrent.blob.sha256,
        isinstance(torrent, Seed),
        counts.peers,
        counts.uploaded_bytes,
        counts.downloaded_bytes,
        counts.failed_bytes,
        torrent.fault(),
    )
