"""Whom to believe: a signature counts where a trusted key made it, over exactly what the bundle's documents name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edgekit.bundle.release import Attachment, Image, Release
from edgekit.errors import SignatureError
from edgekit.oci.media_types import PROVENANCE_PREDICATE
from edgekit.seal.keys import PublicKey
from edgekit.seal.oms import verify_files
from edgekit.seal.sigstore_bundle import open_sealed
from edgekit.types.manifest import Role

SHOWN = 3
"""Differences that a message names."""


def check_image(release: Release, image: Image, keys: Sequence[PublicKey]) -> PublicKey:
    """Which trusted key vouches for a variant: for `manifest.json` and each of its files, and for nothing else.

    Args:
        release: The bundle.
        image: The variant's, of the same bundle.
        keys: P-256 keys of publishers who are trusted.

    Raises:
        SignatureError: None of the keys made the signature, or it is over other files.
        MalformedError: It is no OpenSSF model signature v1.0.
    """
    signed = verify_files(image.signature, keys)
    expected = {path: layer.sha256 for path, layer in image.layers.items()}
    if signed.files != expected:
        raise SignatureError(
            f"the signature of variant {image.variant.name} of {release.manifest.name} is over other files: "
            f"{_difference(signed.files, expected)}",
            hint="it belongs to another variant or another bundle",
        )
    return signed.key


def check_provenance(release: Release, provenance: Attachment, keys: Sequence[PublicKey]) -> PublicKey:
    """Which trusted key says where the bundle comes from: its statement is about this bundle and its model files.

    Args:
        release: The bundle.
        provenance: What `read_provenance` gave.
        keys: As for `check_image`.

    Raises:
        SignatureError: None of the keys made the signature, or it is about something else.
        MalformedError: It is no signed statement.
    """
    statement, key = open_sealed(provenance.data, keys, where="the provenance")
    if statement.predicate_type != PROVENANCE_PREDICATE:
        raise SignatureError(f"the provenance is a {statement.predicate_type[:120]!r}, not {PROVENANCE_PREDICATE!r}")
    subjects = {subject.name: subject.sha256 for subject in statement.subjects}
    expected = {release.manifest.name: release.image_index.sha256}
    expected |= {file.path: file.sha256 for file in release.manifest.files if file.role is Role.MODEL}
    if subjects != expected or len(subjects) != len(statement.subjects):
        raise SignatureError(
            f"the provenance of {release.manifest.name} is about something else: {_difference(subjects, expected)}",
            hint="it belongs to another bundle",
        )
    return key


def _difference(found: Mapping[str, str], expected: Mapping[str, str]) -> str:
    """The first names of which something else is said."""
    names = sorted(name for name in {*found, *expected} if found.get(name) != expected.get(name))
    shown = []
    for name in names[:SHOWN]:
        what = "has another digest" if name in found and name in expected else "is not covered"
        shown.append(f"{name[:80]!r} {what if name in expected else 'is none of its files'}")
    more = f", and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(shown) + more if names else "a file is named twice"
