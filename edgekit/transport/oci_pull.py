"""pull_layout: a whole bundle out of a registry, as an OCI image layout on disk, byte for byte what was pushed.

Its tag leads to the image index. `index.json` lies under a tag of its own; where a copy of the repository has lost that
one, it is put together again from the image index and from what refers to it. Nobody's word counts here: the layout
holds what its digests say, and `edgekit verify` judges by whom it is signed.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from edgekit.errors import AbsentError, InputError, MalformedError, StorageError
from edgekit.oci import media_types
from edgekit.oci.documents import plain_descriptor
from edgekit.oci.layout import LayoutWriter
from edgekit.oci.reading import MOST_INDEX_BYTES, MOST_MANIFEST_BYTES, read_image_manifest, read_index
from edgekit.transport.oci import open_registry
from edgekit.transport.oci_place import parse_place, tag_of
from edgekit.transport.oci_referrers import list_referrers
from edgekit.transport.oci_registry import Document, Registry
from edgekit.types.blob import Descriptor
from edgekit.types.progress import Progress, Silent, Stage
from edgekit.types.strict_json import canonical
from edgekit.units import size

MOST_CANDIDATES = 32
"""Of what refers to one image: more are not looked at in search of a signature."""


def release_tag(sha256: str) -> str:
    """The tag under which the `index.json` of a bundle lies.

    Args:
        sha256: Digest of the bundle's image index, hex.
    """
    return tag_of(f"release/{sha256}")


def pull_layout(url: str, folder: Path, *, progress: Progress | None = None) -> str:
    """Pull a bundle with all its variants, signatures and provenance.

    Args:
        url: oci://HOST[:PORT]/REPOSITORY:TAG, or with @sha256:HEX, the digest of the bundle or of its release.
        folder: Where the layout will be; it appears whole or not at all.
        progress: Who watches; counts bytes.

    Returns:
        The digest of the bundle, "sha256:HEX".

    Raises:
        InputError: The URL names no tag and no digest.
        MalformedError: What is there is no bundle.
        DigestError: The registry gave other bytes than those that were named.
        AbsentError: It lacks a part.
        StorageError: The disk has no space for what the documents promise, or is not writable.
        TransferError: The registry refuses, or the connection breaks.
    """
    place = parse_place(url)
    if not place.reference:
        raise InputError(f"{url} names no version", hint=f"{url}:TAG, for example the version that was published")
    watcher = progress or Silent()
    registry = open_registry(place)
    try:
        index, index_bytes = _find_release(registry, registry.read_document(place.reference))
        with LayoutWriter(folder) as layout:
            parts = _add_documents(registry, layout, index_bytes)
            total = sum(part.size_bytes for part in parts.values())
            if total > shutil.disk_usage(folder.parent).free:
                raise StorageError(
                    f"{url} has {size(total)}, which is more than the free space of {folder.parent}",
                    hint="free some space, or pull elsewhere",
                )
            _add_blobs(registry, layout, parts.values(), total, watcher)
            layout.finish(index_bytes)
    finally:
        registry.session.close()
    return index.digest


def _find_release(registry: Registry, document: Document) -> tuple[Descriptor, bytes]:
    """Descriptor of the image index, and the bytes of `index.json`."""
    nested = _indexes(document, registry.source)
    if nested:
        return nested[0], document.data
    found = document.descriptor
    try:
        release = registry.read_document(release_tag(found.sha256))
    except AbsentError:
        return found, _rebuild_release(registry, document)
    if [index.sha256 for index in _indexes(release, registry.source)] != [found.sha256]:
        raise MalformedError(f"{registry.source}: the release of {found.digest} leads to another bundle")
    return found, release.data


def _indexes(document: Document, source: str) -> list[Descriptor]:
    """The indexes that an index lists: that of a release lists one, that of images none."""
    if document.media_type != media_types.IMAGE_INDEX:
        raise MalformedError(
            f"{source}: this is a {document.media_type[:80]!r}, and no bundle",
            hint="the tag of a bundle leads to an index of its variants",
        )
    entries = read_index(document.data, where=f"the index at {source}").entries
    return [entry.descriptor for entry in entries if entry.descriptor.media_type == media_types.IMAGE_INDEX]


def _rebuild_release(registry: Registry, document: Document) -> bytes:
    """`index.json` as `edgekit.oci.documents.release_index` writes it; of several signatures the first is taken."""
    index = read_index(document.data, where=f"the index at {registry.source}")
    version = index.annotations.get(media_types.VERSION, "")
    found = document.descriptor
    entries = [_marked(found, {media_types.REF_NAME: version})]
    for entry in index.entries:
        variant = entry.descriptor.annotations.get(media_types.VARIANT, "")
        for signature in _attached(registry, entry.descriptor.sha256, media_types.OMS_PREDICATE):
            marks = {media_types.ROLE: media_types.SIGNATURE, media_types.VARIANT: variant}
            entries.append(_marked(signature, marks))
            break
    for provenance in _attached(registry, found.sha256, media_types.PROVENANCE_PREDICATE):
        entries.append(_marked(provenance, {media_types.ROLE: media_types.PROVENANCE}))
        break
    manifests = [plain_descriptor(entry) for entry in entries]
    return canonical({"schemaVersion": 2, "mediaType": media_types.IMAGE_INDEX, "manifests": manifests})


def _attached(registry: Registry, sha256: str, predicate_type: str) -> Iterator[Descriptor]:
    """Sigstore bundles of one kind that refer to a manifest; copying tools drop the type from the list."""
    listed = [one for one in list_referrers(registry, sha256) if one.artifact_type in ("", media_types.SIGSTORE_BUNDLE)]
    for referrer in listed[:MOST_CANDIDATES]:
        document = registry.read_document(referrer.descriptor.digest)
        try:
            image = read_image_manifest(document.data, where=f"the referrer {referrer.descriptor.digest}")
        except MalformedError:  # of another program, for other readers
            continue
        is_bundle = image.artifact_type == media_types.SIGSTORE_BUNDLE
        if is_bundle and image.annotations.get(media_types.PREDICATE_TYPE) == predicate_type:
            yield document.descriptor


def _marked(descriptor: Descriptor, annotations: Mapping[str, str]) -> Descriptor:
    return Descriptor(descriptor.media_type, descriptor.sha256, descriptor.size_bytes, annotations)


def _add_documents(registry: Registry, layout: LayoutWriter, index_bytes: bytes) -> dict[str, Descriptor]:
    """Fetch the documents of a release; what they name beside themselves, by its digest."""
    parts: dict[str, Descriptor] = {}
    waiting = [entry.descriptor for entry in read_index(index_bytes, where="index.json").entries]
    indexes = [one for one in waiting if one.media_type == media_types.IMAGE_INDEX]
    if len(indexes) != 1:
        raise MalformedError(f"{registry.source}: a release lists one image index, and this one {len(indexes)}")
    waiting.remove(indexes[0])
    data = _add_document(registry, layout, indexes[0], MOST_INDEX_BYTES)
    waiting += [entry.descriptor for entry in read_index(data, where="the image index").entries]
    for descriptor in waiting:
        data = _add_document(registry, layout, descriptor, MOST_MANIFEST_BYTES)
        image = read_image_manifest(data, where=f"the manifest {descriptor.digest}")
        parts |= {part.sha256: part for part in (image.config, *image.layers)}
    return parts


def _add_document(registry: Registry, layout: LayoutWriter, descriptor: Descriptor, limit_bytes: int) -> bytes:
    if descriptor.size_bytes > limit_bytes:
        raise MalformedError(
            f"{registry.source}: the document {descriptor.digest} has {descriptor.size_bytes} bytes; "
            f"at most {limit_bytes} are read"
        )
    data = registry.read_document(descriptor.digest).data
    layout.add_chunks((data,), descriptor)
    return data


def _add_blobs(
    registry: Registry, layout: LayoutWriter, parts: Iterable[Descriptor], total: int, progress: Progress
) -> None:
    """Stream the blobs; the layout takes no more of each than its size, and no other than its digest says."""
    with progress.stage("pull", total) as stage:
        for part in parts:
            with registry.read_blob(part.sha256) as chunks:
                layout.add_chunks(_counted(chunks, stage), part)


def _counted(chunks: Iterable[bytes], stage: Stage) -> Iterator[bytes]:
    for chunk in chunks:
        yield chunk
        stage.advance(len(chunk))
