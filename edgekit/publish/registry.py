"""push_bundle: a bundle into a container registry, where skopeo, oras and every OCI client find its variants.

The tag leads to the image index, each variant's signature refers to its image, the provenance to the index. What is
pushed is what the bundle holds, byte by byte.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgekit.bundle.opening import open_bundle
from edgekit.bundle.release import read_image, read_provenance, read_release
from edgekit.digest import of_bytes
from edgekit.errors import AbsentError, InputError
from edgekit.oci import media_types
from edgekit.oci.reading import MOST_INDEX_BYTES
from edgekit.transport.oci import open_registry
from edgekit.transport.oci_place import OciPlace, parse_place
from edgekit.transport.oci_pull import release_tag
from edgekit.transport.oci_registry import Registry
from edgekit.transport.oci_session import PUSH
from edgekit.transport.oci_tree import push_tree
from edgekit.types.progress import Progress, Silent


@dataclass(frozen=True)
class Pushed:
    """A bundle in a registry.

    Attributes:
        reference: Where it is: oci://HOST/REPOSITORY:TAG.
        digest: Of the bundle, "sha256:HEX": what a careful user pulls by.
    """

    reference: str
    digest: str


def push_bundle(bundle: Path, url: str, *, progress: Progress | None = None) -> Pushed:
    """Push a bundle.

    Its documents are read first, so that nothing malformed goes out; whom it is signed by is for the caller to verify.

    Args:
        bundle: The folder, or the `.tar`.
        url: oci://HOST[:PORT]/REPOSITORY[:TAG]. Without a tag it is the bundle's version, with "_" for "+"; a version
            that is there with other content stays as it is. A tag that is named is moved.
        progress: Who watches; counts bytes.

    Raises:
        InputError: No such bundle, a URL with a digest, or that version is there with other content.
        MalformedError: The bundle breaks its format.
        DigestError: A blob of it is not what its name says.
        TransferError: The registry refuses, or the connection breaks.
    """
    place = parse_place(url)
    if place.reference.startswith("sha256:"):
        raise InputError(f"{url} names a digest; what is pushed gets a tag", hint="oci://HOST/REPOSITORY[:TAG]")
    registry = open_registry(place, actions=PUSH)
    try:
        with open_bundle(bundle) as opened:
            release = read_release(opened.blobs, opened.index_bytes)
            for variant in release.manifest.variants:
                read_image(opened.blobs, release, variant.name)
            read_provenance(opened.blobs, release)
            index_bytes = opened.blobs.read(release.image_index, limit_bytes=MOST_INDEX_BYTES)
            tag = place.reference or _free_tag(registry, release.manifest.semver, index_bytes)
            with (progress or Silent()).stage("push", sum(opened.stored.values())) as stage:
                there = release_tag(release.image_index.sha256)
                push_tree(registry, opened.index_bytes, opened.blobs, tag=there, stage=stage)
            registry.write_document(index_bytes, media_types.IMAGE_INDEX, tag)
    finally:
        registry.session.close()
    return Pushed(str(OciPlace(place.host, place.repository, tag)), f"sha256:{of_bytes(index_bytes)}")


def _free_tag(registry: Registry, semver: str, index_bytes: bytes) -> str:
    """The tag of a version, unless something else has it: a version says one thing for ever."""
    tag = semver.replace("+", "_")
    if len(tag) > 128:
        raise InputError(f"the version {semver[:40]}... is too long for a tag", hint="name one: oci://.../NAME:TAG")
    try:
        found = registry.read_document(tag)
    except AbsentError:
        return tag
    if found.data != index_bytes:
        raise InputError(
            f"{registry.source} has {found.descriptor.digest} as version {semver} already",
            hint="count the version up, or name a tag to be moved: oci://HOST/REPOSITORY:TAG",
        )
    return tag
