"""Blobs of a verified bundle into a channel: each hashed once more as it goes out, those that are there left alone."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from edgekit.bundle.blobs import Blobs
from edgekit.bundle.opening import OpenBundle
from edgekit.errors import AbsentError, DigestError, LengthError
from edgekit.transport.file import FileTransport
from edgekit.transport.transport import Transport
from edgekit.types.blob import Blob
from edgekit.types.progress import Progress

CHUNK_BYTES = 2**18


@dataclass(frozen=True)
class Uploaded:
    """What was written.

    Attributes:
        blobs: How many.
        size_bytes: Of them together.
        present: How many were there already.
    """

    blobs: int
    size_bytes: int
    present: int


def upload_blobs(place: Transport, bundle: OpenBundle, *, progress: Progress) -> Uploaded:
    """Write every blob of a bundle that `place` lacks.

    Raises:
        DigestError: A blob changed since the bundle was verified.
        TransportError: It cannot be written.
    """
    written = size_bytes = 0
    with progress.stage("upload", sum(bundle.stored.values())) as stage:
        for sha256, size in sorted(bundle.stored.items()):
            blob = Blob(sha256, size)
            if _is_there(place, blob):
                stage.advance(size)
                continue
            place.write(blob.file_name, _chunks(bundle.blobs, blob, stage.advance), size_bytes=size)
            written, size_bytes = written + 1, size_bytes + size
    return Uploaded(written, size_bytes, len(bundle.stored) - written)


def _is_there(place: Transport, blob: Blob) -> bool:
    """Whether it need not be sent: in a folder, which is read fast, by its digest; elsewhere by name and length."""
    whole = isinstance(place, FileTransport)
    start = 0 if whole else max(0, blob.size_bytes - 1)
    hashed, received = hashlib.sha256(), start
    try:
        with place.read(blob.file_name, start=start) as chunks:
            for chunk in chunks:
                hashed.update(chunk)
                received += len(chunk)
                if received > blob.size_bytes:
                    return False
    except (AbsentError, LengthError):
        return False
    return received == blob.size_bytes and (not whole or hashed.hexdigest() == blob.sha256)


def _chunks(blobs: Blobs, blob: Blob, advance: Callable[[int], None]) -> Iterator[bytes]:
    """The bytes of a blob; an error before the last of them, if they are others."""
    hashed, left = hashlib.sha256(), blob.size_bytes
    with blobs.open(blob) as stream:
        while chunk := stream.read(CHUNK_BYTES):
            hashed.update(chunk)
            left -= len(chunk)
            if left <= 0 and hashed.hexdigest() != blob.sha256:
                raise DigestError(f"blob sha256:{blob.sha256} changed while it was published")
            yield chunk
            advance(len(chunk))
