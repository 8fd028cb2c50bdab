"""Forge: bundles in memory whose digests all fit, as an attacker makes them; signed by a trusted key if told to.

Nothing here keeps to the rules of `edgekit.bundle.manifest_rules`: what is signed may be nonsense.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO

from edgekit.bundle.blobs import absent, check_length, check_limit, read_checked
from edgekit.bundle.opening import OpenBundle
from edgekit.errors import EdgekitError
from edgekit.oci import documents, media_types
from edgekit.oci.documents import LAYOUT
from edgekit.seal.keys import PrivateKey
from edgekit.seal.oms import PREDICATE_TYPE
from edgekit.seal.sigstore_bundle import seal_statement
from edgekit.seal.statement import Statement, Subject
from edgekit.types.blob import Blob, Descriptor
from edgekit.types.manifest import Manifest
from edgekit.types.plain import from_plain
from tests.bundle.building import provenance_of
from tests.fuzz.specimens import Specimen
from tests.fuzz.tar_mutation import BLOCK, member, write_members

Alter = Mapping[str, Callable[[bytes], bytes]]
"""What is changed on the way, as in `tests.bundle.building`: "image:v0", "image_index", "provenance", "index", ..."""


MOST_VARIANTS, MOST_FILES = 70, 300
"""For more, which are refused at once, no images are made: each names every file."""


@dataclass
class Forged:
    """A bundle in memory.

    Attributes:
        blobs: sha256 -> content.
        index: `index.json`.
    """

    blobs: dict[str, bytes] = field(default_factory=dict)
    index: bytes = b""

    def add(self, data: bytes, media_type: str) -> Descriptor:
        """Put a blob in."""
        described = documents.describe(data, media_type)
        self.blobs[described.sha256] = data
        return described

    def opened(self) -> OpenBundle:
        """As `open_bundle` gives one."""
        return OpenBundle(MemoryBlobs(self.blobs), self.index, {name: len(data) for name, data in self.blobs.items()})

    def tar(self) -> bytes:
        """As a tar file."""
        files = {"oci-layout": LAYOUT, "index.json": self.index}
        files |= {f"blobs/sha256/{name}": data for name, data in self.blobs.items()}
        return write_members([member(name.encode(), data) for name, data in sorted(files.items())]) + bytes(2 * BLOCK)


class MemoryBlobs:
    """Blobs in a dictionary; see `edgekit.bundle.blobs.Blobs`."""

    def __init__(self, blobs: Mapping[str, bytes]) -> None:
        self._blobs = blobs

    def read(self, descriptor: Descriptor, *, limit_bytes: int) -> bytes:
        check_limit(descriptor, limit_bytes)
        return read_checked(self.open(descriptor.blob), descriptor)

    def open(self, blob: Blob) -> BinaryIO:
        if blob.sha256 not in self._blobs:
            raise absent(f"blob sha256:{blob.sha256}")
        data = self._blobs[blob.sha256]
        check_length(len(data), blob)
        return io.BytesIO(data)


def forge(
    source: Specimen, *, alter: Alter | None = None, manifest: bytes | None = None, signer: PrivateKey | None = None
) -> Forged:
    """A bundle of the files of another.

    Args:
        source: Whose files, and whose signatures where nobody signs.
        alter: Documents that are changed as they are made; everything after them is made of what came out.
        manifest: Instead of its `manifest.json`.
        signer: Signs what is there.
    """
    written = source.manifest_bytes if manifest is None else manifest
    try:
        return _forge(source, loosely(written, source.manifest), written, alter or {}, signer)
    except (KeyError, ValueError, TypeError, EdgekitError):
        return _forge(source, source.manifest, written, alter or {}, signer)  # nobody could write images for it


def loosely(data: bytes, otherwise: Manifest) -> Manifest:
    """A manifest that may break every rule but those of its shape; `otherwise` where it has another one."""
    try:
        found = from_plain(Manifest, {**json.loads(data), "preprocessing": None}, where="")
    except (ValueError, TypeError, RecursionError):
        return otherwise
    return otherwise if len(found.variants) > MOST_VARIANTS or len(found.files) > MOST_FILES else found


def _forge(source: Specimen, manifest: Manifest, written: bytes, alter: Alter, signer: PrivateKey | None) -> Forged:
    made = Forged()

    def altered(name: str, data: bytes) -> bytes:
        return alter[name](data) if name in alter else data

    def attach(subject: Descriptor, sealed: bytes, predicate_type: str, name: str) -> Descriptor:
        layer = made.add(sealed, media_types.SIGSTORE_BUNDLE)
        data = documents.signature_manifest(subject, layer, predicate_type=predicate_type)
        return made.add(altered(name, data), media_types.IMAGE_MANIFEST)

    made.add(b"{}", media_types.EMPTY)
    made.add(written, media_types.WEIGHT_CONFIG)
    for file in manifest.files:
        if file.sha256 in source.contents:
            made.blobs[file.sha256] = source.contents[file.sha256]
    images, signatures = {}, {}
    for variant in manifest.variants:
        layers = documents.layers_of(manifest, written, variant)
        config = altered(f"config:{variant.name}", documents.model_config(manifest, variant, layers))
        image = documents.image_manifest(made.add(config, media_types.MODEL_CONFIG), layers)
        images[variant.name] = made.add(altered(f"image:{variant.name}", image), media_types.IMAGE_MANIFEST)
        files = {layer.annotations[media_types.TITLE]: layer.sha256 for layer in layers}
        sealed = sign(files, manifest.name, signer) if signer else source.signatures.get(variant.name, b"{}")
        sealed = altered(f"oms:{variant.name}", sealed)
        name = f"signature:{variant.name}"
        signatures[variant.name] = attach(images[variant.name], sealed, media_types.OMS_PREDICATE, name)
    index_bytes = altered("image_index", documents.image_index(manifest, written, images))
    index = made.add(index_bytes, media_types.IMAGE_INDEX)
    origin = None
    if "no_provenance" not in alter:
        sealed = seal_statement(provenance_of(manifest, index), signer) if signer else source.provenance
        sealed = altered("provenance", sealed)
        origin = attach(index, sealed, media_types.PROVENANCE_PREDICATE, "provenance_manifest")
    made.index = altered("index", documents.release_index(manifest, index, signatures, origin))
    return made


def sign(files: Mapping[str, str], name: str, key: PrivateKey) -> bytes:
    """A model signature over whatever paths."""
    paths = sorted(files, key=lambda path: path.split("/"))
    root = hashlib.sha256(b"".join(bytes.fromhex(files[path]) for path in paths)).hexdigest()
    predicate = {
        "serialization": {"method": "files", "hash_type": "sha256", "allow_symlinks": False},
        "resources": [{"name": path, "algorithm": "sha256", "digest": files[path]} for path in paths],
    }
    return seal_statement(Statement((Subject(name, root),), PREDICATE_TYPE, predicate), key)
