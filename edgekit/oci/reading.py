"""Reads OCI documents that anybody may have written: bounded, canonical, and closed.

Closed: a key that these formats do not name is refused. Other readers may obey it (`urls` fetches a layer from
elsewhere, `data` replaces it), and then two programs would see two bundles under one digest.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from edgekit.errors import MalformedError
from edgekit.oci import media_types
from edgekit.oci.documents import LAYOUT, Platform
from edgekit.types.blob import Descriptor, check_sha256, check_size
from edgekit.types.strict_json import object_with, read_canonical, read_strict

MOST_INDEX_BYTES = 2**18
MOST_MANIFEST_BYTES = 2**19
MOST_CONFIG_BYTES = 2**16
"""Largest index, image manifest and model config that are read."""
MOST_ENTRIES = 130
"""Of an index: 64 variants, their signatures, the image index and the provenance."""
MOST_LAYERS = 257
"""Of an image: 256 files and `manifest.json`."""
_DESCRIPTOR = ("mediaType", "digest", "size")
_MEDIA_TYPE = re.compile(r"[a-z]+/[A-Za-z0-9][A-Za-z0-9.+_-]{0,126}")
_PLATFORM_WORD = re.compile(r"[a-z0-9._-]{1,32}")


@dataclass(frozen=True)
class ImageManifest:
    """An image, or an artifact, manifest.

    Attributes:
        artifact_type: What it is.
        config: Its configuration.
        layers: Its content.
        subject: What it refers to.
        annotations: Text by key.
    """

    artifact_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]
    subject: Descriptor | None
    annotations: Mapping[str, str]


@dataclass(frozen=True)
class IndexEntry:
    """One manifest that an index lists; its annotations are the descriptor's."""

    descriptor: Descriptor
    platform: Platform | None


@dataclass(frozen=True)
class Index:
    """An image index: its entries in order, and its own annotations."""

    entries: tuple[IndexEntry, ...]
    annotations: Mapping[str, str]


def read_index(data: bytes, *, where: str) -> Index:
    """An image index.

    Raises:
        MalformedError: It is none, has too many entries, or says more than it may.
    """
    value = _document(data, where, media_types.IMAGE_INDEX, MOST_INDEX_BYTES, ("manifests",), ("annotations",))
    entries = _list(value["manifests"], f"{where}.manifests", MOST_ENTRIES)
    return Index(
        tuple(_entry(entry, f"{where}.manifests[{number}]") for number, entry in enumerate(entries)),
        _annotations(value, where),
    )


def read_image_manifest(data: bytes, *, where: str) -> ImageManifest:
    """An image manifest that says what kind of artifact it is.

    Raises:
        MalformedError: It is none, has too many layers, or says more than it may.
    """
    must = ("artifactType", "config", "layers")
    value = _document(data, where, media_types.IMAGE_MANIFEST, MOST_MANIFEST_BYTES, must, ("subject", "annotations"))
    layers = _list(value["layers"], f"{where}.layers", MOST_LAYERS)
    return ImageManifest(
        _text(value["artifactType"], f"{where}.artifactType"),
        read_descriptor(value["config"], where=f"{where}.config"),
        tuple(read_descriptor(layer, where=f"{where}.layers[{number}]") for number, layer in enumerate(layers)),
        read_descriptor(value["subject"], where=f"{where}.subject") if "subject" in value else None,
        _annotations(value, where),
    )


def check_layout(data: bytes) -> None:
    """The file `oci-layout`.

    Raises:
        MalformedError: It is no layout, or of a version that is not known.
    """
    version = "imageLayoutVersion"
    if read_strict(data, where="oci-layout", limit_bytes=1024) != read_strict(LAYOUT, where=version, limit_bytes=1024):
        raise MalformedError("oci-layout does not say that this is an OCI image layout of version 1.0.0")


def read_digest(text: object, *, where: str) -> str:
    """The hex part of "sha256:<hex>".

    Raises:
        MalformedError: It is something else.
    """
    algorithm, _, sha256 = _text(text, where).partition(":")
    if algorithm != "sha256":
        raise MalformedError(f"{where} is no sha256 digest: {_text(text, where)[:80]!r}")
    return check_sha256(sha256, where=where)


def read_descriptor(value: object, *, where: str) -> Descriptor:
    """A content descriptor.

    Raises:
        MalformedError: It is none, or says more than it may.
    """
    return _descriptor(object_with(value, required=_DESCRIPTOR, optional=("annotations",), where=where), where)


def _descriptor(fields: Mapping[str, Any], where: str) -> Descriptor:
    media_type = _text(fields["mediaType"], f"{where}.mediaType")
    if not _MEDIA_TYPE.fullmatch(media_type):
        raise MalformedError(f"{where}.mediaType is no media type: {media_type[:80]!r}")
    size = fields["size"]
    if type(size) is not int:
        raise MalformedError(f"{where}.size is no integer")
    return Descriptor(
        media_type,
        read_digest(fields["digest"], where=f"{where}.digest"),
        check_size(size, where=f"{where}.size"),
        _annotations(fields, where),
    )


def _entry(value: object, where: str) -> IndexEntry:
    fields = object_with(value, required=_DESCRIPTOR, optional=("annotations", "platform"), where=where)
    platform = None
    if "platform" in fields:
        found = object_with(
            fields["platform"], required=("os", "architecture"), optional=("variant",), where=f"{where}.platform"
        )
        words = {key: _text(text, f"{where}.platform.{key}") for key, text in found.items()}
        for key, word in words.items():
            if not _PLATFORM_WORD.fullmatch(word):
                raise MalformedError(f"{where}.platform.{key} is no name: {word[:80]!r}")
        platform = Platform(**words)
    return IndexEntry(_descriptor(fields, where), platform)


def _document(
    data: bytes, where: str, media_type: str, limit_bytes: int, must: Collection[str], may: Collection[str]
) -> Mapping[str, Any]:
    value = read_canonical(data, where=where, limit_bytes=limit_bytes)
    found = object_with(value, required=("schemaVersion", "mediaType", *must), optional=may, where=where)
    if found["schemaVersion"] != 2 or found["mediaType"] != media_type:
        raise MalformedError(f"{where} is no {media_type} of schema version 2")
    return found


def _list(value: object, where: str, most: int) -> list[Any]:
    if not isinstance(value, list):
        raise MalformedError(f"{where} is no list")
    if len(value) > most:
        raise MalformedError(f"{where} has {len(value)} entries; at most {most} are allowed")
    return value


def _text(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise MalformedError(f"{where} is no text")
    return value


def _annotations(fields: Mapping[str, Any], where: str) -> Mapping[str, str]:
    """Those of a document or a descriptor; where there are none the key is left out, for one text is the only one."""
    if "annotations" not in fields:
        return {}
    where, value = f"{where}.annotations", fields["annotations"]
    if not isinstance(value, dict) or not value:
        raise MalformedError(f"{where} is no object, or an empty one")
    return {key: _text(text, f"{where}[{key[:80]!r}]") for key, text in value.items()}
