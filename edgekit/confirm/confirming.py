"""Confirms a bundle in six systems at once: every address is computed anew, every proof checked, nothing is believed.

The bundle is one set of bytes; each system names it in its own way and has programs of its own that check that name.
What fails does not hide what holds: everything is looked at, and told.
"""

from __future__ import annotations

from collections.abc import Sequence

from edgekit.bundle.addressed import address_bundle
from edgekit.bundle.opening import OpenBundle
from edgekit.bundle.release import Release, read_image
from edgekit.bundle.verify import check_structure
from edgekit.channel.client import Followed
from edgekit.channel.names import proof_file
from edgekit.confirm.by_bytes import confirm_cids, confirm_images, confirm_torrents
from edgekit.confirm.by_keys import confirm_channel, confirm_log, confirm_signatures
from edgekit.confirm.confirmation import Confirmation, Row
from edgekit.confirm.current import follow_model
from edgekit.errors import AbsentError, LengthError, ProofError, TransportError, TrustError
from edgekit.oci.documents import LAYOUT
from edgekit.transparency.policy import Policy
from edgekit.transparency.proof import LARGEST_PROOF_BYTES
from edgekit.transport.reading import read_all
from edgekit.transport.transport import Transport
from edgekit.types.progress import Progress


def confirm_bundle(
    bundle: OpenBundle,
    *,
    root: bytes,
    mirrors: Sequence[Transport],
    policy: Policy,
    proof: bytes | None = None,
    progress: Progress | None = None,
) -> Confirmation:
    """Confirm a bundle in every system.

    Args:
        bundle: The bundle.
        root: Root metadata of the channel that it is published in, which the caller trusts.
        mirrors: Copies of that channel.
        policy: Which logs count, and whose cosignatures are needed.
        proof: The `.tlog-proof` of the release; None takes that of the channel.
        progress: Who watches.

    Raises:
        MalformedError: It breaks its format: there is nothing that could be confirmed.
        SignatureError: A variant has no signature at all.
        DigestError: A document of it is not what was named.
        InputError: It cannot be read.
        TransportError: No mirror can be read.
    """
    release = check_structure(bundle)
    images = {variant.name: read_image(bundle.blobs, release, variant.name) for variant in release.manifest.variants}
    channel = _followed(release, mirrors, root)
    found = address_bundle(bundle, progress=progress)
    signed = list(confirm_signatures(release, images, bundle.blobs, found, channel))
    published = [
        *confirm_channel(release, channel),
        *confirm_log(release, policy, _proof(release, mirrors) if proof is None else proof),
    ]
    rows: list[Row] = [
        *signed,
        *confirm_images(release, images, found, doubt=_doubt_of_index(release, signed, published)),
        *confirm_torrents(release, found),
        *confirm_cids(release, found, doubt=_doubt_of_folder(bundle, published)),
        *published,
    ]
    manifest = release.manifest
    return Confirmation(manifest.name, manifest.version, manifest.semver, rows, sum(bundle.stored.values()))


def _doubt_of_index(release: Release, signed: Sequence[Row], published: Sequence[Row]) -> str:
    """Why nothing says that the image index is the publisher's: of all signatures, that of a provenance alone does."""
    by_provenance = [row for row in signed if row.address == release.image_index.digest]
    if any(row.verified for row in (*by_provenance, *published)):
        return ""
    return "hashes to its digest, which neither the channel, nor the log, nor a provenance names"


def _doubt_of_folder(bundle: OpenBundle, published: Sequence[Row]) -> str:
    """The same of the folder, in which `index.json` and `oci-layout` are too."""
    if not any(row.verified for row in published):
        return "follows from the bytes that are here; neither the channel nor the log names its index.json"
    if bundle.layout_bytes != LAYOUT:
        return "oci-layout is not written as edgekit pack writes it, which gives the folder another CID"
    return ""


def _followed(release: Release, mirrors: Sequence[Transport], root: bytes) -> Followed | TrustError:
    try:
        return follow_model(release, mirrors, root=root)
    except TrustError as error:
        return error


def _proof(release: Release, mirrors: Sequence[Transport]) -> bytes | TrustError:
    """The proof that the channel has, from the first mirror that has one.

    Raises:
        TransportError: No mirror has it, and one cannot be asked.
    """
    name = proof_file(release.index_digest)
    faults: list[TransportError] = []
    for mirror in mirrors:
        try:
            return read_all(mirror, name, limit_bytes=LARGEST_PROOF_BYTES)
        except TransportError as error:
            faults.append(error)
    for fault in faults:
        if isinstance(fault, LengthError):
            return ProofError(str(fault))
        if not isinstance(fault, AbsentError):
            raise fault
    return ProofError(f"the channel has no {name}: hand the proof over with --proof, or log the release")
