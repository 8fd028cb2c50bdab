"""`publish`: a bundle into a channel: verified, its bytes first, then the metadata that makes it current.

With the bytes go deltas for those who have an older release, torrents, and the proof that a log shows it.

Where the family's threshold is not met by the keys at hand, the bytes are there and nobody is told yet: the metadata
becomes a signing request for the other signers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from edgekit import digest
from edgekit.bundle.opening import OpenBundle, open_bundle
from edgekit.bundle.release import read_release
from edgekit.bundle.verify import Verdict, verify_open
from edgekit.channel.names import MOST_SIGNERS, ReleaseNotice, deltas_file, target_file
from edgekit.errors import InputError
from edgekit.publish.change import Change, check_keys, lacks_of, sign_change
from edgekit.publish.deltas import DEFAULT_RELEASES, ReleaseDeltas, release_deltas
from edgekit.publish.enforcing import put_in_force
from edgekit.publish.records import Records, read_records
from edgekit.publish.release_changes import announce
from edgekit.publish.release_log import Logged, LogSettings, check_log, log_release
from edgekit.publish.torrents import write_torrents
from edgekit.publish.upload import Uploaded, upload_blobs
from edgekit.seal.keys import PrivateKey, PublicKey
from edgekit.transport.transport import Transport
from edgekit.types.manifest import Manifest
from edgekit.types.progress import Progress, Silent


@dataclass(frozen=True)
class PublishSettings:
    """How a bundle is published.

    Attributes:
        keys: Of the family's signers, those at hand.
        online: Keys of snapshot and timestamp; without any, a request is all that can come of it.
        signers: P-256 keys of which one must have signed the model, for all readers; empty leaves them as they are.
        oldest: Lowest version that may still run; None leaves it.
        trust: Root metadata that the channel must begin with; None believes the channel's own.
        deltas: Whether readers of older releases get deltas.
        delta_releases: From how many of the channel's last releases, the current one counted.
        delta_from: Bundles of other releases that readers may have.
        log: Where the release is logged before it becomes current; None for nowhere.
    """

    keys: tuple[PrivateKey, ...]
    online: tuple[PrivateKey, ...]
    signers: tuple[PublicKey, ...] = ()
    oldest: int | None = None
    trust: bytes | None = None
    deltas: bool = True
    delta_releases: int = DEFAULT_RELEASES
    delta_from: tuple[Path, ...] = ()
    log: LogSettings | None = None


@dataclass(frozen=True)
class Published:
    """What became of it.

    Attributes:
        notice: What the channel says of the release.
        verdict: What was verified before.
        uploaded: What was written of the bundle itself.
        change: The metadata; None where the channel said the same already.
        written: Metadata files that were written; empty where signatures or the online key are missing yet.
        told: Who signed what.
        deltas: Ways for readers of older releases.
        logged: The release's entry in the log; None where it was not to be logged.
    """

    notice: ReleaseNotice
    verdict: Verdict
    uploaded: Uploaded
    change: Change | None
    written: tuple[str, ...]
    told: tuple[str, ...]
    deltas: ReleaseDeltas
    logged: Logged | None

    @property
    def is_current(self) -> bool:
        """Whether readers see it."""
        return self.change is None or bool(self.written)


def publish(
    path: Path, place: Transport, settings: PublishSettings, *, now: datetime, progress: Progress | None = None
) -> Published:
    """Verify a bundle and make it the current release of its model.

    Args:
        path: The bundle.
        place: The channel.
        settings: By whom and how.
        now: The time.
        progress: Who watches.

    Raises:
        TrustError: The bundle is not signed by a signer, the channel is not what its keys signed, or the version would
            go backwards.
        InputError: The channel has no such family, no signer is known, or a base of deltas is no bundle of this model.
        KeyFileError: A key may sign nothing of this.
        TransportError: The channel cannot be read or written.
        EdgekitError: It could not be logged, as `log_release`; nobody is told of the release.
    """
    progress = progress or Silent()
    records = read_records(place, trust=settings.trust)
    with open_bundle(path) as bundle:
        manifest = read_release(bundle.blobs, bundle.index_bytes).manifest
        current = records.release(manifest.name)
        notice = _notice(manifest, current[1] if current else None, settings)
        # Whoever may not publish learns it before anything is made or moved.
        check_keys(announce(records, manifest.name, bundle.index_bytes, notice, now), settings.keys)
        if settings.log:
            check_log(settings.log)
        verdict = verify_open(bundle, notice.keys, progress=progress)
        deltas = _deltas(path, place, records, settings, progress)
        change = announce(records, manifest.name, bundle.index_bytes, notice, now, deltas=deltas.index)
        told = sign_change(change, settings.keys)
        uploaded = _write_files(place, bundle, verdict, deltas, progress)
    logged = log_release(place, verdict.release, settings.log) if settings.log else None
    done = Published(notice, verdict, uploaded, change, (), told, deltas, logged)
    if _is_said(records, verdict, notice, deltas):
        return replace(done, change=None, told=())
    if lacks_of(change) or not settings.online:
        return done
    return replace(done, written=put_in_force(place, records, change, settings.online, now))


def _deltas(
    path: Path, place: Transport, records: Records, settings: PublishSettings, progress: Progress
) -> ReleaseDeltas:
    if not settings.deltas:
        return ReleaseDeltas()
    return release_deltas(
        place, records, path, last=settings.delta_releases, bases=settings.delta_from, progress=progress
    )


def _write_files(
    place: Transport, bundle: OpenBundle, verdict: Verdict, deltas: ReleaseDeltas, progress: Progress
) -> Uploaded:
    """Blobs, torrents and the indexes: nobody is led to them yet."""
    uploaded = upload_blobs(place, bundle, progress=progress)
    for each in deltas.made:
        place.write(each.delta.blob.file_name, [each.data], size_bytes=len(each.data))
    write_torrents(place, bundle.blobs, verdict.release.manifest, progress=progress)
    _write(place, target_file(verdict.name, verdict.release.index_digest), bundle.index_bytes)
    if deltas.index:
        _write(place, deltas_file(verdict.name, digest.of_bytes(deltas.index)), deltas.index)
    return uploaded


def _write(place: Transport, name: str, data: bytes) -> None:
    place.write(name, [data], size_bytes=len(data))


def _is_said(records: Records, verdict: Verdict, notice: ReleaseNotice, deltas: ReleaseDeltas) -> bool:
    """Whether the channel says just that already."""
    current, listed = records.release(verdict.name), records.deltas(verdict.name)
    if current is None or current[1] != notice:
        return False
    same_release = current[0].hashes.get("sha256") == verdict.release.index_digest
    index = digest.of_bytes(deltas.index) if deltas.index else None
    return same_release and (listed.hashes.get("sha256") if listed else None) == index


def _notice(manifest: Manifest, before: ReleaseNotice | None, settings: PublishSettings) -> ReleaseNotice:
    """What is to be said of the release.

    Raises:
        InputError: Nobody is known who signs this model, or `oldest` is above its version.
    """
    signers = tuple(key.pem for key in settings.signers) or (before.signers if before else ())
    if not signers:
        raise InputError(
            f"the channel does not know yet who signs {manifest.name}",
            hint="name the key of its publisher, the public half of what it was packed with: --signer publisher.pub",
        )
    odd = [key for key in settings.signers if key.kind != "p256"]
    if odd or len(signers) > MOST_SIGNERS:
        what = (
            f"{odd[0]} cannot sign models, which takes a P-256 key" if odd else f"{len(signers)} signers are too many"
        )
        raise InputError(what, hint=f"give 1 to {MOST_SIGNERS} P-256 public keys with --signer")
    oldest = settings.oldest if settings.oldest is not None else (before.oldest if before else 1)
    if not 1 <= oldest <= manifest.version:
        raise InputError(
            f"--oldest {oldest} does not fit: {manifest.name} would be at version {manifest.version}",
            hint=f"give a number from 1 to {manifest.version}",
        )
    return ReleaseNotice(manifest.version, manifest.semver, oldest, signers)
