"""From the manifest and its files to a signed OCI image layout: documents, signatures, then the bytes."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgekit.bundle.manifest_file import write_manifest
from edgekit.bundle.opening import open_bundle
from edgekit.errors import InputError, StorageError, TrustError
from edgekit.oci import media_types
from edgekit.oci.documents import (
    describe,
    image_index,
    image_manifest,
    layers_of,
    model_config,
    release_index,
    signature_manifest,
)
from edgekit.oci.layout import LayoutWriter
from edgekit.oci.tarball import write_tar
from edgekit.pack.compressed import Compressed
from edgekit.pack.inventory import Stored
from edgekit.pack.provenance import provenance
from edgekit.seal.keys import PrivateKey
from edgekit.seal.oms import sign_files
from edgekit.seal.sigstore_bundle import seal_statement
from edgekit.types.blob import Descriptor
from edgekit.types.manifest import Manifest
from edgekit.types.progress import Progress


@dataclass(frozen=True)
class Documents:
    """Everything of a bundle that is not a file of the model.

    Attributes:
        blobs: Bytes of each document, with its media type; the empty config is among them.
        index: The image index.
        release: `index.json`.
    """

    blobs: Sequence[tuple[bytes, str]]
    index: Descriptor
    release: bytes


def make_documents(
    manifest: Manifest, compressed: Compressed, packages: Mapping[str, str], key: PrivateKey
) -> Documents:
    """Write and sign every document.

    Args:
        manifest: What the bundle holds.
        compressed: Where it comes from, for the provenance.
        packages: Package -> version of the runtimes that gave the golden answers.
        key: P-256.

    Raises:
        KeyFileError: The key is of another kind, or cannot sign.
        MalformedError: The manifest breaks a rule of its own format.
    """
    written = write_manifest(manifest)
    blobs: list[tuple[bytes, str]] = [(b"{}", media_types.EMPTY), (written, media_types.WEIGHT_CONFIG)]

    def add(data: bytes, media_type: str) -> Descriptor:
        blobs.append((data, media_type))
        return describe(data, media_type)

    images, signatures = {}, {}
    for variant in manifest.variants:
        layers = layers_of(manifest, written, variant)
        config = add(model_config(manifest, variant, layers), media_types.MODEL_CONFIG)
        image = add(image_manifest(config, layers), media_types.IMAGE_MANIFEST)
        digests = {layer.annotations[media_types.TITLE]: layer.sha256 for layer in layers}
        signature = add(sign_files(digests, name=manifest.name, key=key), media_types.SIGSTORE_BUNDLE)
        attached = signature_manifest(image, signature, predicate_type=media_types.OMS_PREDICATE)
        images[variant.name] = image
        signatures[variant.name] = add(attached, media_types.IMAGE_MANIFEST)
    index = add(image_index(manifest, written, images), media_types.IMAGE_INDEX)
    statement = seal_statement(provenance(manifest, index, compressed, packages), key)
    layer = add(statement, media_types.SIGSTORE_BUNDLE)
    attached = signature_manifest(index, layer, predicate_type=media_types.PROVENANCE_PREDICATE)
    origin = add(attached, media_types.IMAGE_MANIFEST)
    return Documents(blobs, index, release_index(manifest, index, signatures, origin))


def write_bundle(out: Path, documents: Documents, files: Sequence[Stored], *, tar: bool, progress: Progress) -> None:
    """Write the bundle, which appears whole or not at all; a bundle that is there is replaced.

    Args:
        out: Where.
        documents: Its documents.
        files: Its files.
        tar: As one .tar file instead of a folder.
        progress: Who watches.

    Raises:
        InputError: Something else is there, or a file changed while it was packed.
        StorageError: The disk is full, or not writable.
    """
    if not tar:
        _write_layout(out, documents, files, progress)
        return
    _check_tar(out)
    with _scratch(out) as place:
        layout = Path(place) / "layout"
        _write_layout(layout, documents, files, progress)
        write_tar(layout, out)


def check_place(out: Path, *, tar: bool) -> None:
    """See that a bundle can be written there, before any work: nothing is there, or a bundle, and there is room.

    Args:
        out: Where.
        tar: As one .tar file instead of a folder.

    Raises:
        InputError: Something else is there.
        StorageError: The place cannot be written to.
    """
    if not tar:
        with LayoutWriter(out):
            return
    _check_tar(out)
    with _scratch(out):
        return


def _check_tar(out: Path) -> None:
    """Nothing is there, or the .tar of a bundle."""
    if not os.path.lexists(out):
        return
    try:
        if out.is_file() and not out.is_symlink():
            with open_bundle(out):
                return
    except (TrustError, OSError):
        pass
    raise InputError(f"{out} exists and is no .tar of a bundle", hint="choose another name, or remove it")


def _scratch(out: Path) -> tempfile.TemporaryDirectory[str]:
    """A folder beside a place, called after it, so that a place whose name cannot be written is found out here."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent, ignore_cleanup_errors=True)
    except OSError as error:
        raise StorageError(
            f"cannot write {out}: {error.strerror or error}", hint="free some space, or choose another place"
        ) from error


def _write_layout(out: Path, documents: Documents, files: Sequence[Stored], progress: Progress) -> None:
    once = {stored.file.sha256: stored for stored in files}
    with LayoutWriter(out) as layout, progress.stage("write", len(once)) as stage:
        for stored in once.values():
            if isinstance(stored.source, bytes):
                layout.add_bytes(stored.source, stored.file.media_type)
            else:
                written = layout.add_file(stored.source, stored.file.media_type)
                if written.sha256 != stored.file.sha256:
                    raise InputError(f"{stored.source} changed while it was packed", hint="pack again")
            stage.advance()
        for data, media_type in documents.blobs:
            layout.add_bytes(data, media_type)
        layout.finish(documents.release)
