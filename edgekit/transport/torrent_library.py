"""libtorrent, or the error that names the extra which brings it: the only place that imports it."""

from __future__ import annotations

from edgekit.errors import MissingExtraError

try:
    import libtorrent as lt
except ImportError as error:
    raise MissingExtraError("libtorrent", extra="p2p") from error

__all__ = ["lt"]
