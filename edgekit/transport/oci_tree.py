"""A release in a registry: everything that an `index.json` leads to, pushed from the leaves up.

A registry refuses a document whose parts it lacks, so blobs go first, then the images, their index, and what refers to
them. A blob that is there is not sent again, so that an interrupted push only has to be repeated. Documents always are:
docker-registry also says "there" of a document that is a blob only, which its garbage collector then removes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, Protocol

from edgekit.oci import media_types
from edgekit.oci.reading import MOST_INDEX_BYTES, MOST_MANIFEST_BYTES, read_image_manifest, read_index
from edgekit.transport.oci_referrers import Referrer, push_referrer
from edgekit.transport.oci_registry import Registry
from edgekit.types.blob import Blob, Descriptor
from edgekit.types.progress import Stage

CHUNK_BYTES = 2**18


class TreeSource(Protocol):
    """Where the parts of a release are; `edgekit.bundle.blobs.Blobs` is one."""

    def read(self, descriptor: Descriptor, *, limit_bytes: int) -> bytes:
        """A document, held against its digest."""
        ...

    def open(self, blob: Blob) -> BinaryIO:
        """A blob; the registry, and `Registry.write_blob`, hold it against its digest."""
        ...


def push_tree(registry: Registry, index_bytes: bytes, source: TreeSource, *, tag: str, stage: Stage) -> None:
    """Put a release there, and its index under a tag last.

    Args:
        registry: Where.
        index_bytes: `index.json`.
        source: Where its parts are.
        tag: For the index.
        stage: Told the bytes of each blob that is there, sent or not.

    Raises:
        MalformedError: A document breaks its format.
        DigestError: A part is not the one that was named.
        TransferError: The registry refuses, or the connection breaks.
    """
    push = _Push(registry, source, stage)
    entries = [entry.descriptor for entry in read_index(index_bytes, where="index.json").entries]
    for descriptor in entries:
        if descriptor.media_type == media_types.IMAGE_INDEX:
            push.index(descriptor)
    for descriptor in entries:
        if descriptor.media_type != media_types.IMAGE_INDEX:
            push.image(descriptor)
    registry.write_document(index_bytes, media_types.IMAGE_INDEX, tag)


class _Push:
    """One release on its way up."""

    def __init__(self, registry: Registry, source: TreeSource, stage: Stage) -> None:
        self._registry = registry
        self._source = source
        self._stage = stage
        self._done: set[str] = set()

    def index(self, descriptor: Descriptor) -> None:
        """The images of an index, then the index."""
        data = self._source.read(descriptor, limit_bytes=MOST_INDEX_BYTES)
        for entry in read_index(data, where=f"the index {descriptor.digest}").entries:
            self.image(entry.descriptor)
        self._registry.write_document(data, media_types.IMAGE_INDEX)

    def image(self, descriptor: Descriptor) -> None:
        """The blobs of a manifest, then the manifest."""
        data = self._source.read(descriptor, limit_bytes=MOST_MANIFEST_BYTES)
        image = read_image_manifest(data, where=f"the manifest {descriptor.digest}")
        for part in (image.config, *image.layers):
            if part.sha256 not in self._done:
                self._registry.write_blob(part.sha256, self._chunks(part), part.size_bytes)
                self._stage.advance(part.size_bytes)
                self._done.add(part.sha256)
        if image.subject:
            described = Descriptor(descriptor.media_type, descriptor.sha256, len(data), image.annotations)
            push_referrer(self._registry, data, image.subject, Referrer(described, image.artifact_type))
        else:
            self._registry.write_document(data, media_types.IMAGE_MANIFEST)

    def _chunks(self, descriptor: Descriptor) -> Iterator[bytes]:
        """Opened when the first chunk is wanted: most blobs of a second push are there already."""
        with self._source.open(descriptor.blob) as stream:
            while chunk := stream.read(CHUNK_BYTES):
                yield chunk
