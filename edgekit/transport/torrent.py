"""TorrentTransport: blobs from swarms of BitTorrent peers, found by the infohash that a manifest signs.

It has no files by name: metadata comes from channels. See `torrent_url` for what its URL says.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

from edgekit.errors import AbsentError, StorageError, TransferError
from edgekit.transport.names import check_name
from edgekit.transport.swarm import Swarm, shared_swarm
from edgekit.transport.swarm_settings import SwarmSettings, settings_for
from edgekit.transport.torrent_url import TorrentPlace, parse_torrent_url
from edgekit.types.blob import Blob


def open_torrent(url: str) -> TorrentTransport:
    """The transport of a `torrent:` URL.

    Raises:
        InputError: The URL says something else than it may.
    """
    return TorrentTransport(parse_torrent_url(url))


class TorrentTransport:
    """Blobs from swarms. Takes part in the swarm of this process, with whoever else does."""

    def __init__(self, place: TorrentPlace, *, settings: SwarmSettings | None = None) -> None:
        """Prepare; nothing is contacted, and nothing listens yet.

        Args:
            place: Where peers are looked for.
            settings: How this process takes part in swarms; as the place says when None. What counts is said by
                `shared_swarm` where it takes part already.
        """
        self.url = place.url
        self._place = place
        self._settings = settings or settings_for(place)
        self._lock = threading.Lock()
        self._swarm: Swarm | None = None
        self._blobs: dict[str, _Held] = {}
        self._closed = False

    @contextmanager
    def read_blob(self, blob: Blob, *, start: int, stop: int, scratch: Path | None) -> Iterator[Iterator[bytes]]:
        """Some bytes of a blob; see `BlobTransport.read_blob`.

        What was begun goes on in the background between two spans, in both directions, until `release_blob` or
        `close`.

        Raises:
            AbsentError: The blob has no addresses, or nobody has it.
            StalledError: No peer sends anything.
            TransferError: What peers send is wrong time and again, the disk fails, or this was closed.
            TrustError: What the channel gives out as its torrent is another one, and nobody else can be asked.
        """
        if blob.addresses is None:
            raise AbsentError(f"nobody signed an infohash of blob {blob.sha256[:12]}", source=self.url)
        if stop <= start:
            yield iter(())
            return
        with self._lock:
            if self._closed:
                raise TransferError("the transport was closed", source=self.url)
            if self._swarm is None:
                self._swarm = shared_swarm(self._settings)
            folder = self._folder(blob, scratch)
            torrent = self._swarm.fetch(blob, self._place, folder, user=self)
        with closing(torrent.read(start, stop, source=self.url)) as chunks:
            yield chunks

    def release_blob(self, blob: Blob) -> None:
        """See `BlobHolder.release_blob`."""
        with self._lock:
            held = self._blobs.pop(blob.sha256, None)
            swarm = self._swarm
        if swarm is not None:
            swarm.leave(blob, user=self)
        if held is not None and held.own is not None:
            rmtree(held.own, ignore_errors=True)

    def read(self, name: str, *, start: int = 0, stop: int | None = None) -> AbstractContextManager[Iterator[bytes]]:
        """There are no files by name.

        Raises:
            AbsentError: Always, for what is a name.
        """
        raise AbsentError(f"a swarm has no file {check_name(name)}, only blobs", source=self.url)

    def write(self, name: str, chunks: Iterable[bytes], *, size_bytes: int) -> None:
        """Nothing can be written there.

        Raises:
            TransferError: Always.
        """
        raise TransferError(
            f"{name} cannot be put into a swarm", source=self.url, hint="publish to a channel, and seed its files"
        )

    def close(self) -> None:
        """Leave what was begun, and the swarm; readers end with an error."""
        with self._lock:
            self._closed = True
            blobs = [held.blob for held in self._blobs.values()]
        for blob in blobs:
            self.release_blob(blob)
        with self._lock:
            swarm, self._swarm = self._swarm, None
        if swarm is not None:
            swarm.close()

    def _folder(self, blob: Blob, scratch: Path | None) -> Path:
        """Where the swarm keeps what it has of a blob: where it began, until the blob is released.

        A small blob that goes to memory gets a folder of its own.
        """
        if blob.sha256 not in self._blobs:
            try:
                own = Path(mkdtemp(prefix="edgekit-")) if scratch is None else None
            except OSError as error:
                raise StorageError(f"no folder for what is fetched from a swarm: {error.strerror}") from error
            self._blobs[blob.sha256] = _Held(blob, scratch or own or Path(), own)
        return self._blobs[blob.sha256].folder


@dataclass(frozen=True)
class _Held:
    """A blob that is under way: where the swarm keeps it, and that folder if it goes with it."""

    blob: Blob
    folder: Path
    own: Path | None
