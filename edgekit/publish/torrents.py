"""Torrents of a release's files in the channel, so that whoever follows it can also fetch from one another.

A torrent follows from its file's bytes, and its infohash stands in the signed manifest; what is written here names no
tracker and no server (`edgekit share` makes torrents that do).
"""

from __future__ import annotations

from edgekit.addressing.addressing import address_stream
from edgekit.addressing.torrent import LARGEST_TORRENT_BYTES, read_torrent, torrent_file, write_torrent
from edgekit.bundle.blobs import Blobs
from edgekit.errors import DigestError, TransportError, TrustError
from edgekit.transport.reading import read_all
from edgekit.transport.transport import Transport
from edgekit.types.blob import Blob
from edgekit.types.manifest import Manifest
from edgekit.types.progress import Progress


def write_torrents(place: Transport, blobs: Blobs, manifest: Manifest, *, progress: Progress) -> tuple[str, ...]:
    """Write the torrent of every file that has addresses, unless it is there.

    Returns:
        Names of the files that were written.

    Raises:
        DigestError: A file has other addresses than its manifest says.
        TransportError: The channel cannot be written.
    """
    missing = [blob for blob in _addressed(manifest) if not _is_there(place, blob)]
    written = []
    with progress.stage("torrents", sum(blob.size_bytes for blob in missing)) as stage:
        for blob in missing:
            with blobs.open(blob) as stream:
                addressing = address_stream(stream, blob.size_bytes, advance=stage.advance)
            if addressing.finish() != blob.addresses or addressing.torrent is None:
                raise DigestError(f"blob sha256:{blob.sha256} has other addresses than its manifest says")
            data = write_torrent(addressing.torrent)
            place.write(torrent_file(blob.sha256), [data], size_bytes=len(data))
            written.append(torrent_file(blob.sha256))
    return tuple(written)


def _addressed(manifest: Manifest) -> list[Blob]:
    """Blobs that have addresses, each once."""
    return list({file.sha256: file.blob for file in manifest.files if file.addresses}.values())


def _is_there(place: Transport, blob: Blob) -> bool:
    try:
        read_torrent(read_all(place, torrent_file(blob.sha256), limit_bytes=LARGEST_TORRENT_BYTES), blob=blob)
    except (TransportError, TrustError):
        return False
    return True
