"""Release: what `index.json` leads to, read step by step, so that a node reads only what its own variant needs.

`read_release` reads the image index and `manifest.json`, `read_image` one variant's image manifest and signature. They
check that the documents say the same thing; whom to believe is judged in `edgekit.bundle.trusted`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edgekit import digest
from edgekit.bundle.blobs import Blobs
from edgekit.bundle.manifest_file import MOST_BYTES, read_manifest
from edgekit.errors import DigestError, MalformedError, SignatureError
from edgekit.oci import media_types
from edgekit.oci.documents import EMPTY, describe, layers_of, model_config, platform_of
from edgekit.oci.reading import (
    MOST_CONFIG_BYTES,
    MOST_INDEX_BYTES,
    MOST_MANIFEST_BYTES,
    Index,
    IndexEntry,
    read_digest,
    read_image_manifest,
    read_index,
)  # fmt: skip
from edgekit.types.blob import Descriptor, check_size
from edgekit.types.manifest import Manifest, Variant
from edgekit.types.release_leaf import ReleaseLeaf

MOST_SIGNATURE_BYTES = 2**18
LONGEST_SIZE_DIGITS = 13


@dataclass(frozen=True)
class Release:
    """A bundle, as its documents tell it.

    Attributes:
        index_digest: sha256 of `index.json`, lower-case hex: the release digest.
        image_index: Its digest is the bundle's: the identity, free of signatures.
        manifest: What the bundle holds.
        manifest_bytes: `manifest.json`.
        images: Variant -> its image manifest.
        signatures: Variant -> the manifest of its signature; a variant that has none is absent.
        provenance: The manifest of the provenance; None where there is none.
    """

    index_digest: str
    image_index: Descriptor
    manifest: Manifest
    manifest_bytes: bytes
    images: Mapping[str, Descriptor]
    signatures: Mapping[str, Descriptor]
    provenance: Descriptor | None

    @property
    def manifest_descriptor(self) -> Descriptor:
        """Of `manifest.json`."""
        return describe(self.manifest_bytes, media_types.WEIGHT_CONFIG)

    @property
    def leaf(self) -> ReleaseLeaf:
        """Its entry in a transparency log."""
        manifest, bundle = self.manifest, self.image_index.sha256
        return ReleaseLeaf(manifest.name, manifest.version, manifest.semver, self.index_digest, bundle)


@dataclass(frozen=True)
class Attachment:
    """A sigstore bundle that a manifest attaches to something.

    Attributes:
        layer: Its descriptor.
        data: Its bytes.
    """

    layer: Descriptor
    data: bytes


@dataclass(frozen=True)
class Image:
    """One variant's image.

    Attributes:
        variant: What it is.
        config: ModelPack's configuration.
        layers: Path -> descriptor of every file that belongs to it, `manifest.json` among them, as the manifest says.
        signature: The OpenSSF model signature over these files.
        signature_layer: Where that is kept.
    """

    variant: Variant
    config: Descriptor
    layers: Mapping[str, Descriptor]
    signature: bytes
    signature_layer: Descriptor

    @property
    def size_bytes(self) -> int:
        """Of its files together."""
        return sum(layer.size_bytes for layer in self.layers.values())


def read_release(blobs: Blobs, index_bytes: bytes) -> Release:
    """Read a bundle's documents down to `manifest.json`.

    Args:
        blobs: Where the bundle's bytes are.
        index_bytes: `index.json`.

    Raises:
        MalformedError: A document breaks its format, is missing, or contradicts another.
        DigestError: One is not the one that was named.
        TransportError: `blobs` fetches them, and cannot.
    """
    entries = read_index(index_bytes, where="index.json").entries
    image_index = _image_index(entries)
    index = read_index(blobs.read(image_index, limit_bytes=MOST_INDEX_BYTES), where="the image index")
    manifest_bytes = blobs.read(_manifest_descriptor(index), limit_bytes=MOST_BYTES)
    manifest = read_manifest(manifest_bytes)
    images = _images(index, manifest)
    signatures, provenance = _attachments(entries, manifest)
    version = {media_types.REF_NAME: manifest.semver}
    if image_index.annotations != version:
        raise MalformedError(f"index.json does not name the image index {manifest.semver!r}, as its version says")
    return Release(digest.of_bytes(index_bytes), image_index, manifest, manifest_bytes, images, signatures, provenance)


def read_image(blobs: Blobs, release: Release, variant: str) -> Image:
    """Read one variant's image manifest and signature.

    Raises:
        MalformedError: As `read_release`; or the layers are not the files that the manifest lists for this variant.
        DigestError: As `read_release`.
        SignatureError: The variant has no signature.
        TransportError: As `read_release`.
        KeyError: The bundle has no such variant.
    """
    chosen = release.manifest.variant(variant)
    subject = release.images[variant]
    where = f"the image of {variant}"
    image = read_image_manifest(blobs.read(subject, limit_bytes=MOST_MANIFEST_BYTES), where=where)
    if image.artifact_type != media_types.MODEL_MANIFEST or image.config.media_type != media_types.MODEL_CONFIG:
        raise MalformedError(f"{where} is no model of {media_types.MODEL_MANIFEST}")
    if image.subject or image.annotations or image.config.annotations:
        raise MalformedError(f"{where} has a subject or annotations, which have no place there")
    expected = layers_of(release.manifest, release.manifest_bytes, chosen)
    if image.layers != expected:
        raise MalformedError(f"{where} does not hold the files that manifest.json lists for it")
    if variant not in release.signatures:
        raise SignatureError(f"variant {variant} of {release.manifest.name} has no signature")
    attached = _read_attachment(
        blobs, release.signatures[variant], subject, media_types.OMS_PREDICATE, f"the signature of {variant}"
    )
    layers = {layer.annotations[media_types.TITLE]: layer for layer in image.layers}
    return Image(chosen, image.config, layers, attached.data, attached.layer)


def check_config(blobs: Blobs, release: Release, image: Image) -> None:
    """That an image's config, which no signature covers, is the one that follows from the manifest, byte for byte.

    Raises:
        MalformedError: It is another.
        DigestError: As `read_release`.
        TransportError: As `read_release`.
    """
    expected = model_config(release.manifest, image.variant, tuple(image.layers.values()))
    if blobs.read(image.config, limit_bytes=MOST_CONFIG_BYTES) != expected:
        raise MalformedError(f"the config of {image.variant.name} says something else than manifest.json")


def read_provenance(blobs: Blobs, release: Release) -> Attachment | None:
    """Read the provenance; None where there is none.

    Raises:
        MalformedError: As `read_release`.
        DigestError: As `read_release`.
        TransportError: As `read_release`.
    """
    if release.provenance is None:
        return None
    return _read_attachment(
        blobs, release.provenance, release.image_index, media_types.PROVENANCE_PREDICATE, "the provenance"
    )


def _image_index(entries: tuple[IndexEntry, ...]) -> Descriptor:
    found = [entry.descriptor for entry in entries if entry.descriptor.media_type == media_types.IMAGE_INDEX]
    if len(found) != 1:
        raise MalformedError(f"index.json lists {len(found)} image indexes; a bundle has one")
    return found[0]


def _manifest_descriptor(index: Index) -> Descriptor:
    marks, where = index.annotations, "the image index"
    for key in (media_types.MANIFEST, media_types.MANIFEST_SIZE):
        if key not in marks:
            raise MalformedError(f"{where} lacks the annotation {key}")
    size = marks[media_types.MANIFEST_SIZE]
    if not (size.isascii() and size.isdigit() and len(size) <= LONGEST_SIZE_DIGITS):
        raise MalformedError(f"{where}: {media_types.MANIFEST_SIZE} is no size: {size[:80]!r}")
    return Descriptor(
        media_types.WEIGHT_CONFIG,
        read_digest(marks[media_types.MANIFEST], where=f"{where}: {media_types.MANIFEST}"),
        check_size(int(size), where=f"{where}: {media_types.MANIFEST_SIZE}"),
    )


def _images(index: Index, manifest: Manifest) -> Mapping[str, Descriptor]:
    """The index says of each variant what the manifest says of it, in the same order."""
    said = {
        media_types.TITLE: manifest.name,
        media_types.VERSION: manifest.semver,
        media_types.LICENSES: manifest.license,
    }
    for key, text in said.items():
        if index.annotations.get(key) != text:
            raise MalformedError(f"the image index has another {key} than manifest.json, which says {text!r}")
    named = {media_types.MANIFEST, media_types.MANIFEST_SIZE, *said}
    if set(index.annotations) != named:
        raise MalformedError("the image index has annotations that have no place there")
    if len(index.entries) != len(manifest.variants):
        raise MalformedError(
            f"the image index lists {len(index.entries)} images; manifest.json has {len(manifest.variants)} variants"
        )
    images = {}
    for entry, variant in zip(index.entries, manifest.variants, strict=True):
        descriptor, requires = entry.descriptor, variant.requires
        if descriptor.media_type != media_types.IMAGE_MANIFEST:
            raise MalformedError(f"the image index lists a {descriptor.media_type}, which is no image")
        if descriptor.annotations != {media_types.VARIANT: variant.name}:
            raise MalformedError(f"the image index does not list variant {variant.name} where manifest.json does")
        if entry.platform != platform_of(requires.os, requires.arch):
            raise MalformedError(f"the image index lists {variant.name} for another platform than manifest.json")
        images[variant.name] = descriptor
    return images


def _attachments(
    entries: tuple[IndexEntry, ...], manifest: Manifest
) -> tuple[Mapping[str, Descriptor], Descriptor | None]:
    """Signatures by variant, and the provenance; any other entry has no place in `index.json`."""
    signatures: dict[str, Descriptor] = {}
    provenance: Descriptor | None = None
    names = {variant.name for variant in manifest.variants}
    for entry in entries:
        descriptor = entry.descriptor
        if descriptor.media_type == media_types.IMAGE_INDEX:
            continue
        marks = dict(descriptor.annotations)
        role, variant = marks.pop(media_types.ROLE, ""), marks.pop(media_types.VARIANT, "")
        is_signature = role == media_types.SIGNATURE and variant in names and variant not in signatures
        is_provenance = role == media_types.PROVENANCE and not variant and provenance is None
        if marks or entry.platform or descriptor.media_type != media_types.IMAGE_MANIFEST:
            raise MalformedError(f"index.json says more of {descriptor.digest} than it may")
        if is_signature:
            signatures[variant] = descriptor
        elif is_provenance:
            provenance = descriptor
        else:
            raise MalformedError(
                f"index.json lists {descriptor.digest} as {role[:80]!r} of {variant[:80]!r}, "
                "which the bundle has already, or has no place for"
            )
    return signatures, provenance


def _read_attachment(
    blobs: Blobs, descriptor: Descriptor, subject: Descriptor, predicate_type: str, where: str
) -> Attachment:
    found = read_image_manifest(blobs.read(descriptor, limit_bytes=MOST_MANIFEST_BYTES), where=where)
    if found.artifact_type != media_types.SIGSTORE_BUNDLE or found.config != EMPTY or len(found.layers) != 1:
        raise MalformedError(f"{where} is no artifact of one sigstore bundle")
    marks = {media_types.CONTENT: "dsse-envelope", media_types.PREDICATE_TYPE: predicate_type}
    if found.annotations != marks:
        raise MalformedError(f"{where} is not annotated as one of {predicate_type}")
    expected = Descriptor(subject.media_type, subject.sha256, subject.size_bytes)
    if found.subject != expected:
        raise DigestError(f"{where} is that of something else: its subject is not {subject.digest}")
    layer = found.layers[0]
    if layer.media_type != media_types.SIGSTORE_BUNDLE or layer.annotations:
        raise MalformedError(f"{where} holds a {layer.media_type}, which is no sigstore bundle")
    return Attachment(layer, blobs.read(layer, limit_bytes=MOST_SIGNATURE_BYTES))
