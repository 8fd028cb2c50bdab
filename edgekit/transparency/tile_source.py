"""Tiles of a log that lies below a URL or in a folder, read by a transport and bounded before they are read."""

from __future__ import annotations

from edgekit.errors import AbsentError
from edgekit.transparency.merkle import HASH_BYTES
from edgekit.transparency.tiles import ENTRIES, LARGEST_BUNDLE_BYTES, TILE_WIDTH, read_bundle, tile_name
from edgekit.transport.reading import read_all
from edgekit.transport.transport import Transport


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
            try:
                return self._read(tile_name(level, index, width), width * HASH_BYTES)
            except AbsentError:
                pass
        return self._read(tile_name(level, index), TILE_WIDTH * HASH_BYTES)[: width * HASH_BYTES]

    def bundle(self, index: int, width: int) -> list[bytes]:
        """Entries of a bundle; see `TileSource`.

        Raises:
            MalformedError: It breaks its format.
            LengthError: It is too long.
            TransportError: It cannot be read.
        """
        name = tile_name(ENTRIES, index, width)
        if width < TILE_WIDTH:
            try:
                return read_bundle(self._read(name, LARGEST_BUNDLE_BYTES), width, where=self._where(name))
            except AbsentError:
                name = tile_name(ENTRIES, index)
        data = self._read(name, LARGEST_BUNDLE_BYTES)
        return read_bundle(data, width, where=self._where(name), whole=width == TILE_WIDTH)

    def _read(self, name: str, limit_bytes: int) -> bytes:
        return read_all(self._transport, self._prefix + name, limit_bytes=limit_bytes)

    def _where(self, name: str) -> str:
        return f"{self._transport.url}: {self._prefix}{name}"
