"""Verifies a bundle whole: every signature by a trusted key, every document against the others, every byte once.

Big files are hashed as they stream, after the signatures; memory does not grow with the bundle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgekit.bundle.blobs import Blobs
from edgekit.bundle.hashing import check_stream
from edgekit.bundle.opening import OpenBundle, open_bundle
from edgekit.bundle.release import Image, Release, check_config, read_image, read_provenance, read_release
from edgekit.bundle.trusted import check_image, check_provenance
from edgekit.errors import DigestError, MalformedError
from edgekit.oci.documents import EMPTY
from edgekit.seal.keys import PublicKey
from edgekit.types.blob import Descriptor
from edgekit.types.manifest import BundleFile
from edgekit.types.progress import Progress, Silent


@dataclass(frozen=True)
class Checked:
    """Something that was verified.

    Attributes:
        what: "variant", "provenance" or "file".
        name: Of the variant, or path of the file; the bundle's for the provenance.
        digest: "sha256:<hex>" of the image manifest, of the bundle, or of the file.
        size_bytes: Of the variant's files, or of the file; 0 for the provenance.
        keys: Who vouches for it: one key, or those of every variant that has the file.
    """

    what: str
    name: str
    digest: str
    size_bytes: int
    keys: tuple[PublicKey, ...]


@dataclass(frozen=True)
class Verdict:
    """A bundle that is what trusted keys say it is. Nothing else makes one.

    Attributes:
        release: Its documents.
        images: Variant -> its image, in order of preference.
        checks: What was verified: variants, the provenance where there is one, files.
        size_bytes: Of all its blobs.
    """

    release: Release
    images: Mapping[str, Image]
    checks: tuple[Checked, ...]
    size_bytes: int

    @property
    def name(self) -> str:
        """FAMILY/NAME."""
        return self.release.manifest.name

    @property
    def version(self) -> int:
        """Counts up with every publication."""
        return self.release.manifest.version

    @property
    def bundle_digest(self) -> str:
        """Its identity: "sha256:<hex>" of the image index."""
        return self.release.image_index.digest

    @property
    def release_digest(self) -> str:
        """What a channel names: "sha256:<hex>" of `index.json`."""
        return f"sha256:{self.release.index_digest}"


def verify_bundle(path: Path, keys: Sequence[PublicKey], *, progress: Progress | None = None) -> Verdict:
    """Verify a bundle.

    Args:
        path: Its folder, or its `.tar`.
        keys: P-256 keys of publishers who are trusted.
        progress: Who watches.

    Raises:
        InputError: There is no such bundle.
        MalformedError: It breaks its format, lacks a blob, or has one that nothing refers to.
        SignatureError: A variant, or the provenance, is not signed by a trusted key.
        DigestError: Bytes are not those that were named.
    """
    with open_bundle(path) as bundle:
        return verify_open(bundle, keys, progress=progress)


def verify_open(bundle: OpenBundle, keys: Sequence[PublicKey], *, progress: Progress | None = None) -> Verdict:
    """As `verify_bundle`, of one that is open."""
    blobs = bundle.blobs
    release = read_release(blobs, bundle.index_bytes)
    manifest = release.manifest
    images: dict[str, Image] = {}
    signers: dict[str, PublicKey] = {}
    for variant in manifest.variants:
        images[variant.name] = read_image(blobs, release, variant.name)
        signers[variant.name] = check_image(release, images[variant.name], keys)
        check_config(blobs, release, images[variant.name])
    checks = [
        Checked("variant", name, release.images[name].digest, image.size_bytes, (signers[name],))
        for name, image in images.items()
    ]
    provenance = read_provenance(blobs, release)
    named = _named(release, images)
    if provenance:
        key = check_provenance(release, provenance, keys)
        checks.append(Checked("provenance", manifest.name, release.image_index.digest, 0, (key,)))
        named.append(provenance.layer)
    _check_stored(bundle.stored, named)
    _hash_files(blobs, manifest.files, progress or Silent())
    for file in manifest.files:
        having = (signers[variant.name] for variant in manifest.variants if file.path in variant.files)
        checks.append(
            Checked("file", file.path, f"sha256:{file.sha256}", file.size_bytes, tuple(dict.fromkeys(having)))
        )
    return Verdict(release, images, tuple(checks), sum(bundle.stored.values()))


def check_structure(bundle: OpenBundle) -> Release:
    """What can be said of a bundle without any key: that its documents fit one another, and nothing is missing or over.

    Whoever made it is not known then, and its big files were not read.

    Raises:
        MalformedError: It breaks its format, lacks a blob, or has one that nothing refers to.
        SignatureError: A variant has no signature at all.
        DigestError: A document is not what was named.
    """
    release = read_release(bundle.blobs, bundle.index_bytes)
    images = {each.name: read_image(bundle.blobs, release, each.name) for each in release.manifest.variants}
    for image in images.values():
        check_config(bundle.blobs, release, image)
    provenance = read_provenance(bundle.blobs, release)
    _check_stored(bundle.stored, _named(release, images) + ([provenance.layer] if provenance else []))
    return release


def _named(release: Release, images: Mapping[str, Image]) -> list[Descriptor]:
    """Every blob that the bundle's documents refer to, but the seal of its provenance."""
    named = [release.image_index, release.manifest_descriptor, EMPTY, *release.signatures.values()]
    if release.provenance:
        named.append(release.provenance)
    for name, image in images.items():
        named += [release.images[name], image.config, image.signature_layer, *image.layers.values()]
    return named


def _check_stored(stored: Mapping[str, int], named: Sequence[Descriptor]) -> None:
    """What is referred to is there, with its size, and nothing else is."""
    known = {descriptor.sha256: descriptor for descriptor in named}
    for sha256, descriptor in known.items():
        if sha256 not in stored:
            raise MalformedError(
                f"the bundle lacks blob {descriptor.digest}", hint="it was not copied whole: fetch it again"
            )
        if stored[sha256] != descriptor.size_bytes:
            raise DigestError(f"{descriptor.digest} has {stored[sha256]} bytes instead of {descriptor.size_bytes}")
    for sha256 in stored:
        if sha256 not in known:
            raise MalformedError(
                f"the bundle holds blob sha256:{sha256}, which nothing in it refers to",
                hint="nobody signed it: fetch the bundle again",
            )


def _hash_files(blobs: Blobs, files: Sequence[BundleFile], progress: Progress) -> None:
    """Each blob once, however many files it is."""
    once = {file.sha256: file for file in files}
    with progress.stage("verify", sum(file.size_bytes for file in once.values())) as stage:
        for file in once.values():
            with blobs.open(file.blob) as stream:
                check_stream(stream, file.blob, what=file.path, advance=stage.advance)
    with blobs.open(EMPTY.blob) as stream:
        check_stream(stream, EMPTY.blob, what="the empty config")
