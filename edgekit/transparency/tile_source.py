"""Tiles of a log that lies below a URL or in a folder, read by a transport and bounded before they are read."""

from __future__ import annotations

from edgekit.errors import AbsentError, TransferError
from edgekit.transparency.merkle import HASH_BYTES
from edgekit.transparency.tiles import ENTRIES, LARGEST_BUNDLE_BYTES, TILE_WIDTH, read_bundle, tile_name
from edgekit.transport.reading import read_all
from edgekit.transport.transport import Transport

_FORBIDDEN = 403
"""What object stores answer where a file is absent and whoever asks may not list the folder."""


class StoredTiles:
    """A `TileSource`. Where a partial tile is gone, the full one in its place is cut to what was asked for."""

    def __init__(self, transport: Transport, prefix: str = "") -> None:
        """Prepare; nothing is read yet.

        Args:
            transport: Where the log is.
            prefix: Path of the log below the transport's URL, "log/" for example.
        """
        self._transport = transport
        self._prefix = prefix

    def tile(self, level: int, index: int, width: int) -> bytes:
        """File of a tile; see `TileSource`.

        Raises:
            LengthError: It is too long.
            TransportError: It cannot be read.
        """
        if width < TILE_WIDTH:
            found = self._read_partial(tile_name(level, index, width), width * HASH_BYTES)
            if found is not None:
                return found
        return self._read(tile_name(level, index), TILE_WIDTH * HASH_BYTES)[: width * HASH_BYTES]

    def bundle(self, index: int, width: int) -> list[bytes]:
        """Entries of a bundle; see `TileSource`.

        Raises:
            MalformedError: It breaks its format.
            LengthError: It is too long.
            TransportError: It cannot be read.
        """
        if width < TILE_WIDTH:
            name = tile_name(ENTRIES, index, width)
            found = self._read_partial(name, LARGEST_BUNDLE_BYTES)
            if found is not None:
                return read_bundle(found, width, where=self._where(name))
        name = tile_name(ENTRIES, index)
        data = self._read(name, LARGEST_BUNDLE_BYTES)
        return read_bundle(data, width, where=self._where(name), whole=width == TILE_WIDTH)

    def _read_partial(self, name: str, limit_bytes: int) -> bytes | None:
        """A partial tile or bundle; None where it is gone, as it may be once the full one is there."""
        try:
            return self._read(name, limit_bytes)
        except TransferError as error:
            if isinstance(error, AbsentError) or error.status == _FORBIDDEN:
                return None
            raise

    def _read(self, name: str, limit_bytes: int) -> bytes:
        return read_all(self._transport, self._prefix + name, limit_bytes=limit_bytes)

    def _where(self, name: str) -> str:
        return f"{self._transport.url}: {self._prefix}{name}"
