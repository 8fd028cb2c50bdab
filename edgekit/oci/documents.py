"""The JSON documents of a bundle, as bytes: each a function of the manifest and of digests, so that two packs agree.

From the files up: `layers_of` a variant, `model_config`, `image_manifest`, `image_index` (its digest is the bundle's),
then `signature_manifest` for each image and for the index, and `release_index` over all. Canonical JSON (RFC 8785);
OCI image specification 1.1. Descriptors never carry `artifactType`: skopeo 1.9 rewrites an index that has some.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgekit import digest
from edgekit.oci import media_types
from edgekit.types.blob import Descriptor
from edgekit.types.manifest import FILE_NAME, Manifest, Variant
from edgekit.types.strict_json import canonical

LAYOUT = canonical({"imageLayoutVersion": "1.0.0"})
"""Content of the file `oci-layout`."""
EMPTY = Descriptor(media_types.EMPTY, digest.of_bytes(b"{}"), 2)
"""The config of an artifact that has none; its blob must be there too."""


@dataclass(frozen=True)
class Platform:
    """Which machines an image is for, in Go's words.

    Attributes:
        os: "linux".
        architecture: "amd64", "arm64", "arm".
        variant: "v7" for "arm"; "" where there is only one.
    """

    os: str
    architecture: str
    variant: str = ""


def platform_of(os: str, arch: str) -> Platform | None:
    """The platform of a variant; None where any will do: OCI clients take an image without one as the last resort.

    >>> platform_of("linux", "arm"), platform_of("linux", "any")
    (Platform(os='linux', architecture='arm', variant='v7'), None)
    """
    return None if arch == "any" else Platform(os, arch, "v7" if arch == "arm" else "")


def describe(data: bytes, media_type: str, *, annotations: Mapping[str, str] | None = None) -> Descriptor:
    """The descriptor of some bytes."""
    return Descriptor(media_type, digest.of_bytes(data), len(data), annotations or {})


def plain_descriptor(descriptor: Descriptor, annotations: Mapping[str, str] | None = None) -> dict[str, Any]:
    """A descriptor as JSON, with its own annotations or with others."""
    marks = dict(descriptor.annotations if annotations is None else annotations)
    plain = {"mediaType": descriptor.media_type, "digest": descriptor.digest, "size": descriptor.size_bytes}
    return {**plain, "annotations": marks} if marks else plain


def layers_of(manifest: Manifest, manifest_bytes: bytes, variant: Variant) -> tuple[Descriptor, ...]:
    """One layer for each file of a variant and for `manifest.json`, sorted by path.

    Raises:
        KeyError: The variant names a file that the manifest lacks.
    """
    layers = {FILE_NAME: describe(manifest_bytes, media_types.WEIGHT_CONFIG, annotations=_named(FILE_NAME))}
    for path in variant.files:
        file = manifest.file(path)
        layers[path] = Descriptor(media_types.LAYER_OF_ROLE[file.role], file.sha256, file.size_bytes, _named(path))
    return tuple(layers[path] for path in sorted(layers))


def model_config(manifest: Manifest, variant: Variant, layers: Sequence[Descriptor]) -> bytes:
    """ModelPack's config of a variant's image."""
    precision = "int4" if "int4" in variant.format else "float32" if "fp32" in variant.format else "int8"
    return canonical(
        {
            "descriptor": {
                "family": manifest.family,
                "licenses": [manifest.license],
                "name": manifest.name,
                "version": manifest.semver,
            },
            "config": {"format": variant.format.partition("-")[0], "precision": precision},
            "modelfs": {"type": "layers", "diffIds": [layer.digest for layer in layers]},
        }
    )


def image_manifest(config: Descriptor, layers: Sequence[Descriptor]) -> bytes:
    """The image of a variant: a ModelPack artifact."""
    return canonical(
        {
            "schemaVersion": 2,
            "mediaType": media_types.IMAGE_MANIFEST,
            "artifactType": media_types.MODEL_MANIFEST,
            "config": plain_descriptor(config),
            "layers": [plain_descriptor(layer) for layer in layers],
        }
    )


def image_index(manifest: Manifest, manifest_bytes: bytes, images: Mapping[str, Descriptor]) -> bytes:
    """The index of a bundle's variants; its digest is the bundle's identity, and no signature is in it.

    Args:
        manifest: What the bundle holds.
        manifest_bytes: The same as `manifest.json`.
        images: Variant -> descriptor of its image manifest.

    Raises:
        KeyError: A variant has no image.
    """
    described = describe(manifest_bytes, media_types.WEIGHT_CONFIG)
    entries = []
    for variant in manifest.variants:
        entry = plain_descriptor(images[variant.name], {media_types.VARIANT: variant.name})
        platform = platform_of(variant.requires.os, variant.requires.arch)
        if platform:
            entry["platform"] = {key: text for key, text in vars(platform).items() if text}
        entries.append(entry)
    annotations = {
        media_types.MANIFEST: described.digest,
        media_types.MANIFEST_SIZE: str(described.size_bytes),
        media_types.TITLE: manifest.name,
        media_types.VERSION: manifest.semver,
        media_types.LICENSES: manifest.license,
    }
    return _index(entries, annotations)


def signature_manifest(subject: Descriptor, layer: Descriptor, *, predicate_type: str) -> bytes:
    """An artifact that refers to `subject` and holds one sigstore bundle; registries list it among its referrers.

    Args:
        subject: The image manifest, or the image index.
        layer: The sigstore bundle; its media type is media_types.SIGSTORE_BUNDLE.
        predicate_type: What the statement in it says: media_types.OMS_PREDICATE or PROVENANCE_PREDICATE.
    """
    return canonical(
        {
            "schemaVersion": 2,
            "mediaType": media_types.IMAGE_MANIFEST,
            "artifactType": media_types.SIGSTORE_BUNDLE,
            "config": plain_descriptor(EMPTY),
            "layers": [plain_descriptor(layer, {})],
            "subject": plain_descriptor(subject, {}),
            "annotations": {media_types.CONTENT: "dsse-envelope", media_types.PREDICATE_TYPE: predicate_type},
        }
    )


def release_index(
    manifest: Manifest, index: Descriptor, signatures: Mapping[str, Descriptor], provenance: Descriptor | None
) -> bytes:
    """`index.json`: everything of a bundle is reached from here by digest.

    Args:
        manifest: What the bundle holds.
        index: The image index.
        signatures: Variant -> descriptor of its signature manifest.
        provenance: The provenance manifest.

    Raises:
        KeyError: A variant has no signature.
    """
    entries = [plain_descriptor(index, {media_types.REF_NAME: manifest.semver})]
    for variant in manifest.variants:
        marks = {media_types.ROLE: media_types.SIGNATURE, media_types.VARIANT: variant.name}
        entries.append(plain_descriptor(signatures[variant.name], marks))
    if provenance:
        entries.append(plain_descriptor(provenance, {media_types.ROLE: media_types.PROVENANCE}))
    return _index(entries, {})


def _index(entries: Sequence[dict[str, Any]], annotations: Mapping[str, str]) -> bytes:
    document: dict[str, Any] = {"schemaVersion": 2, "mediaType": media_types.IMAGE_INDEX, "manifests": list(entries)}
    return canonical({**document, "annotations": dict(annotations)} if annotations else document)


def _named(path: str) -> dict[str, str]:
    return {media_types.TITLE: path, media_types.FILE_PATH: path}
