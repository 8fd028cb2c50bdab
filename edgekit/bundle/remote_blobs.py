"""Small blobs of a bundle from the channel's mirrors, each asked for only when it is needed."""

from __future__ import annotations

import io
from typing import BinaryIO

from edgekit.bundle.blobs import check_limit
from edgekit.transport.fetch import Sources
from edgekit.types.blob import Blob, Descriptor

LARGEST_STREAM_BYTES = 2**22


class RemoteBlobs:
    """`edgekit.bundle.blobs.Blobs` over untrusted sources."""

    def __init__(self, sources: Sources) -> None:
        """Read from `sources`, whoever opened them closes them."""
        self._sources = sources

    def read(self, descriptor: Descriptor, *, limit_bytes: int) -> bytes:
        """See Blobs; the sources hold the bytes against their digest.

        Raises:
            SourcesError: None of them has it.
        """
        check_limit(descriptor, limit_bytes)
        return self._sources.read(descriptor.blob, limit_bytes=limit_bytes)

    def open(self, blob: Blob) -> BinaryIO:
        """See Blobs; what is large is fetched into a file instead."""
        return io.BytesIO(self.read(Descriptor("", blob.sha256, blob.size_bytes), limit_bytes=LARGEST_STREAM_BYTES))
