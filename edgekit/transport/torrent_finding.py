"""find_torrent: the torrent of a blob from what an earlier run left, or from a channel's files.

Either is a stranger's text: `edgekit.addressing.torrent.read_torrent` holds it against the infohash that the manifest
signs, and leaves out the trackers and web seeds that it names.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path

from edgekit.addressing.torrent import Torrent, piece_length_of, read_torrent, torrent_file, write_torrent
from edgekit.errors import EdgekitError, StalledError, TrustError
from edgekit.transport.inflow import own_waits
from edgekit.transport.opening import open_transport
from edgekit.transport.reading import read_all
from edgekit.types.blob import Blob

_LOOK_S = 0.05
_BYTES_PER_PIECE = 20 + 32
_OTHER_BYTES = 2**16
"""Of a `.torrent` apart from its pieces: trackers and web seeds, most of all."""


def kept_torrent(blob: Blob, path: Path) -> Torrent | None:
    """The torrent that an earlier run left; None where there is none that is right."""
    try:
        with path.open("rb") as file:
            return read_torrent(file.read(_limit_bytes(blob) + 1), blob=blob)
    except (OSError, TrustError):
        return None


def keep_torrent(torrent: Torrent, path: Path) -> None:
    """Leave a torrent for a later run. Where that fails it is fetched again."""
    part = path.with_name(path.name + ".part")
    with suppress(OSError):
        part.write_bytes(write_torrent(torrent))
        os.replace(part, path)


def channel_torrent(blob: Blob, channel: str, *, wait_s: float) -> Torrent:
    """The torrent that a channel has for a blob.

    Args:
        blob: With its addresses.
        channel: The channel's URL.
        wait_s: For how long the channel is waited for.

    Raises:
        TransportError: The channel does not have it, or does not give it out in time.
        TrustError: What it gives out is no torrent of this blob.
        InputError: No transport has that URL.
    """
    found: list[Torrent | EdgekitError] = []
    transport, waits = open_transport(channel), own_waits()

    def read() -> None:
        try:
            with waits.here():
                data = read_all(transport, torrent_file(blob.sha256), limit_bytes=_limit_bytes(blob))
            found.append(read_torrent(data, blob=blob))
        except EdgekitError as error:
            found.append(error)

    try:
        reader = threading.Thread(target=read, name="edgekit-torrent-file", daemon=True)
        reader.start()
        deadline = waits.clock() + wait_s
        while reader.is_alive() and waits.clock() < deadline:
            reader.join(max(_LOOK_S, deadline - waits.clock()))
    finally:
        transport.close()
    if not found:
        raise StalledError(f"gave out no torrent in {wait_s:.0f} s", source=channel)
    if isinstance(found[0], EdgekitError):
        raise found[0]
    return found[0]


def _limit_bytes(blob: Blob) -> int:
    return -(-blob.size_bytes // piece_length_of(blob.size_bytes)) * _BYTES_PER_PIECE + _OTHER_BYTES
