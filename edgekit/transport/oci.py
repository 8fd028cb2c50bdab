"""OciTransport: the files of a channel in a repository of a container registry.

`blobs/sha256/HEX` is the blob or the manifest of that digest. Any other file is an artifact with one layer under a tag
made of its name (`oci_place.tag_of`), and a release index is itself what lies there, so that the registry knows what
belongs together: it keeps what a tag leads to, and other tools find images, signatures and files.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import BinaryIO

from edgekit.digest import of_bytes
from edgekit.errors import AbsentError, DigestError, InputError, LengthError, MalformedError
from edgekit.oci import media_types
from edgekit.oci.documents import EMPTY, describe, plain_descriptor
from edgekit.oci.reading import MOST_INDEX_BYTES, read_image_manifest, read_index
from edgekit.transport.names import check_name
from edgekit.transport.oci_credentials import find_credentials
from edgekit.transport.oci_place import OciPlace, blob_of, parse_place, tag_of
from edgekit.transport.oci_registry import Document, Registry
from edgekit.transport.oci_session import PULL, PUSH, OciSession
from edgekit.transport.oci_tree import push_tree
from edgekit.transport.patience import Patience
from edgekit.types.blob import Blob, Descriptor
from edgekit.types.progress import Silent
from edgekit.types.strict_json import canonical

FILE_ARTIFACT = "application/vnd.edgekit.channel.file.v1"
LARGEST_FILE_BYTES = 16 * 2**20
"""Of a file whose name is no digest: metadata of a channel."""


def open_oci(url: str) -> OciTransport:
    """The transport of a repository.

    Args:
        url: oci://HOST[:PORT]/REPOSITORY.

    Raises:
        InputError: It is something else, or has a tag.
    """
    place = parse_place(url)
    if place.reference:
        raise InputError(
            f"{url} names one version; a channel is a whole repository", hint=f"oci://{place.host}/{place.repository}"
        )
    return OciTransport(place)


def open_registry(place: OciPlace, *, actions: str = PULL, patience: Patience | None = None) -> Registry:
    """A repository, with the user's credentials for its registry; nothing is contacted yet.

    Args:
        place: The repository.
        actions: PULL or PUSH, see `Registry`.
        patience: Bounds on waiting.
    """
    return Registry(OciSession(place, lambda: find_credentials(place.host), patience=patience), actions=actions)


class OciTransport:
    """One repository as a tree of files; see `Transport`.

    Attributes:
        url: As the user wrote it.
    """

    def __init__(self, place: OciPlace, *, patience: Patience | None = None) -> None:
        self.url = str(place)
        self._registry = open_registry(place, patience=patience)
        self._written = Registry(self._registry.session, actions=PUSH)

    @contextmanager
    def read(self, name: str, *, start: int = 0, stop: int | None = None) -> Iterator[Iterator[bytes]]:
        """The bytes of a file as they come.

        Raises:
            AbsentError: There is no such file.
            MalformedError: What is there is no file of a channel.
            TransferError: The registry refuses, or the connection breaks.
        """
        sha256 = blob_of(check_name(name))
        if stop is not None and stop <= start:
            yield iter(())
            return
        if sha256 is None:
            document = self._registry.read_document(tag_of(name))
            if document.media_type == media_types.IMAGE_INDEX:
                yield iter((document.data[start:stop],))
                return
            sha256 = _layer_of(document, name)
        with ExitStack() as stack:
            try:
                chunks = stack.enter_context(self._registry.read_blob(sha256, start=start, stop=stop))
            except AbsentError:
                chunks = iter((self._registry.read_document(f"sha256:{sha256}").data[start:stop],))
            yield chunks

    def write(self, name: str, chunks: Iterable[bytes], *, size_bytes: int) -> None:
        """Put a file there, whole or not at all.

        Raises:
            DigestError: The name is a digest, and not that of the bytes.
            LengthError: There are more bytes, or fewer, or too many for a file whose name is no digest.
            TransferError: The registry refuses, or the connection breaks.
        """
        sha256 = blob_of(check_name(name))
        if sha256 is None:
            self._write_tagged(name, _collect(chunks, size_bytes))
        else:
            self._written.write_blob(sha256, chunks, size_bytes)

    def close(self) -> None:
        """Let go of connections."""
        self._registry.session.close()

    def _write_tagged(self, name: str, data: bytes) -> None:
        """A release index as the index that it is, when all its parts are there; else an artifact of one layer."""
        if len(data) <= MOST_INDEX_BYTES:
            with suppress(MalformedError, AbsentError):
                read_index(data, where=name)
                with Silent().stage("link") as stage:
                    push_tree(self._written, data, _Stored(self._written), tag=tag_of(name), stage=stage)
                return
        layer = describe(data, "application/octet-stream", annotations={media_types.TITLE: name})
        self._written.write_blob(layer.sha256, (data,), len(data))
        self._written.write_blob(EMPTY.sha256, (b"{}",), 2)
        self._written.write_document(_artifact(layer), media_types.IMAGE_MANIFEST, tag_of(name))


class _Stored:
    """The parts of a release that are blobs of the repository already, and only have to become documents."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def read(self, descriptor: Descriptor, *, limit_bytes: int) -> bytes:
        """A document, from among the blobs or the documents."""
        if descriptor.size_bytes > limit_bytes:
            raise MalformedError(f"{descriptor.digest} has {descriptor.size_bytes} bytes; at most {limit_bytes}")
        try:
            with self._registry.read_blob(descriptor.sha256) as chunks:
                data = _collect(chunks, descriptor.size_bytes)
        except AbsentError:
            data = self._registry.read_document(descriptor.digest).data
        if of_bytes(data) != descriptor.sha256:
            raise DigestError(f"{self._registry.source}: {descriptor.digest} came as sha256:{of_bytes(data)}")
        return data

    def open(self, blob: Blob) -> BinaryIO:
        """A blob that should be there, and is not."""
        raise AbsentError(f"there is no blob sha256:{blob.sha256}", source=self._registry.source, status=404)


def _layer_of(document: Document, name: str) -> str:
    """Digest of the file in an artifact of one layer."""
    image = read_image_manifest(document.data, where=f"the artifact of {name}")
    if image.artifact_type != FILE_ARTIFACT or len(image.layers) != 1:
        raise MalformedError(f"the artifact of {name} is no file of a channel")
    return image.layers[0].sha256


def _artifact(layer: Descriptor) -> bytes:
    """An artifact of one layer, the file, which carries its name for `oras pull`."""
    return canonical(
        {
            "schemaVersion": 2,
            "mediaType": media_types.IMAGE_MANIFEST,
            "artifactType": FILE_ARTIFACT,
            "config": plain_descriptor(EMPTY),
            "layers": [plain_descriptor(layer)],
        }
    )


def _collect(chunks: Iterable[bytes], size_bytes: int) -> bytes:
    """Bytes that fit into memory, exactly as many as promised."""
    found = io.BytesIO()
    limit = min(size_bytes, LARGEST_FILE_BYTES)
    for chunk in chunks:
        if found.tell() + len(chunk) > limit:
            raise LengthError(f"a file has more than {limit} bytes", limit_bytes=limit)
        found.write(chunk)
    if found.tell() != size_bytes:
        raise LengthError(f"a file has {found.tell()} bytes instead of {size_bytes}", limit_bytes=size_bytes)
    return found.getvalue()
