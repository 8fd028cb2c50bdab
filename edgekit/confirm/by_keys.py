"""What keys say of a bundle: its publisher's signatures, the channel's metadata, the log with its witnesses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from edgekit.bundle.addressed import AddressedBundle
from edgekit.bundle.blobs import Blobs
from edgekit.bundle.release import Image, Release, read_provenance
from edgekit.bundle.trusted import check_image, check_provenance
from edgekit.channel.client import Followed
from edgekit.channel.names import target_path
from edgekit.confirm.confirmation import LOG, SIGNING, TUF, Row
from edgekit.confirm.current import check_current
from edgekit.errors import InputError, TrustError
from edgekit.transparency.policy import Policy
from edgekit.transparency.proof import check_proof
from edgekit.units import counted

_NOBODY = "the channel does not say whose signature counts"


def confirm_signatures(
    release: Release, images: Mapping[str, Image], blobs: Blobs, found: AddressedBundle, channel: Followed | TrustError
) -> Iterator[Row]:
    """The signature of each variant, and that of the provenance where there is one.

    Args:
        release: The bundle's documents.
        images: Variant -> its image.
        blobs: Its bytes.
        found: What these are.
        channel: Says whose signature counts; or why nothing is known.
    """
    keys = () if isinstance(channel, TrustError) else channel.notice.keys
    for name, image in images.items():
        digest = release.images[name].digest
        altered = [path for path, layer in image.layers.items() if layer.sha256 in found.altered]
        try:
            if isinstance(channel, TrustError):
                raise TrustError(_NOBODY)
            key = check_image(release, image, keys)
        except TrustError as error:
            yield Row(SIGNING, name, digest, False, str(error))
            continue
        how = f"{key.kind} key {key.fingerprint} signed its {len(image.layers)} files"
        if altered:
            how = f"{altered[0]} is not the file that {key.kind} key {key.fingerprint} signed"
        yield Row(SIGNING, name, digest, not altered, how, {"key": key.fingerprint})
    provenance = read_provenance(blobs, release)
    if provenance:
        digest = release.image_index.digest
        try:
            if isinstance(channel, TrustError):
                raise TrustError(_NOBODY)
            key = check_provenance(release, provenance, keys)
        except TrustError as error:
            yield Row(SIGNING, "provenance", digest, False, str(error))
        else:
            how = f"{key.kind} key {key.fingerprint} says how the bundle was made (SLSA)"
            yield Row(SIGNING, "provenance", digest, True, how, {"key": key.fingerprint})


def confirm_channel(release: Release, channel: Followed | TrustError) -> Iterator[Row]:
    """The TUF target that the bundle is."""
    name, digest = release.manifest.name, f"sha256:{release.index_digest}"
    try:
        if isinstance(channel, TrustError):
            raise channel
        check_current(release, channel)
    except TrustError as error:
        yield Row(TUF, name, digest, False, str(error))
        return
    role = name.partition("/")[0]
    how = (
        f"target {target_path(name)} of role {role} (version {channel.versions.get(role, 0)}) is this release, "
        f"version {channel.notice.version}; signed until {channel.expires:%Y-%m-%d %H:%M} UTC"
    )
    details = {
        "target": target_path(name),
        "version": channel.notice.version,
        "expires": channel.expires.isoformat(),
        "versions": dict(channel.versions),
    }
    yield Row(TUF, name, digest, True, how, details)


def confirm_log(release: Release, policy: Policy, proof: bytes | TrustError) -> Iterator[Row]:
    """The log's entry of the bundle.

    Args:
        release: The bundle's documents.
        policy: Which logs and witnesses count.
        proof: The `.tlog-proof`; or why there is none.
    """
    name = release.manifest.name
    try:
        if isinstance(proof, TrustError):
            raise proof
        proven = check_proof(proof, release.leaf.to_bytes(), policy)
    except (TrustError, InputError) as error:  # the latter of a release that no log can have
        yield Row(LOG, name, "", False, str(error))
        return
    seen = ", ".join(f"{name} {_time(at)}" for name, at in proven.witnesses.items()) or "none"
    entries = counted(proven.size, "entry", "entries")
    how = f"its proof leads to the head of {entries} that the log signed; witnesses: {seen}"
    details = {
        "origin": proven.origin,
        "index": proven.index,
        "size": proven.size,
        "root": proven.checkpoint.root.hex(),
        "witnesses": dict(proven.witnesses),
    }
    yield Row(LOG, name, f"{proven.origin} entry {proven.index}", True, how, details)


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")
