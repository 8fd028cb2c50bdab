"""Update: the story of a node. What the channel calls current is chosen, fetched, verified, tried out, and runs.

    follow the channel -> ask the log -> choose a variant -> fetch what is missing into slots/next -> verify
    -> self-test -> slots/next becomes the spare slot -> the link `current` points to it -> a signed receipt

Until the link is renamed, what ran before runs; the slot that it is in is never written to. Cut off anywhere, the next
run goes on where this one stopped. A release that fails its self-test is quarantined, and what ran before runs on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from edgekit.bundle.release import Image, Release, read_image, read_release
from edgekit.bundle.remote_blobs import RemoteBlobs
from edgekit.bundle.trusted import check_image
from edgekit.channel.client import Followed, follow
from edgekit.errors import EdgekitError, MalformedError, NoVariantError, SelfTestError
from edgekit.node.choose import choose
from edgekit.node.opened import Node, integrity
from edgekit.node.patching import Offer, offered_deltas
from edgekit.node.quarantine import forget, prune
from edgekit.node.record import save_record
from edgekit.node.rollback import nothing_runs, settle
from edgekit.node.slots import RECORD, Slot, SlotRecord, current_slot, read_slot, read_slots, spare_name, switch
from edgekit.node.sourcing import opened_sources
from edgekit.node.staging import Staging, Wanted, folder_bytes
from edgekit.transport.fetch import Sources
from edgekit.transport.opening import opened
from edgekit.transport.transport import Transport
from edgekit.types.manifest import FILE_NAME, Variant
from edgekit.types.receipt import Deployed, Trial


class Outcome(Enum):
    """How an update ended."""

    UNCHANGED = "unchanged"
    INSTALLED = "installed"
    QUARANTINED = "quarantined"


@dataclass(frozen=True)
class Updated:
    """An update that ended well.

    Attributes:
        outcome: UNCHANGED: what is current runs already. INSTALLED: it runs now. QUARANTINED: it failed here earlier,
            and what ran before runs on.
        target: FAMILY/NAME.
        running: What runs.
        offered: Version that the channel offers.
        faults: URL of a mirror -> what was wrong with it.
        fetched_bytes: Of the files and deltas that were fetched for it; 0 where nothing was.
    """

    outcome: Outcome
    target: str
    running: Deployed
    offered: int
    faults: Mapping[str, str]
    fetched_bytes: int = 0


def update(node: Node, *, retry: bool = False) -> Updated:
    """Bring a node to what its channel calls current.

    Args:
        node: Opened.
        retry: Try what failed here once more, and choose the variant anew.

    Raises:
        TrustError: The channel, or the release, is not what its keys say; nothing was installed.
        TransportError: No mirror could be read.
        NoVariantError: Nothing in the release fits this machine.
        SelfTestError: The release fails here; what ran before runs on.
        NodeStateError: Nothing that is installed may run, and the release failed here earlier.
        StorageError: The system refuses to write.
        KeyFileError: The node's key cannot be opened.
    """
    if retry:
        forget(node.world.disk, node.folder)
    settle(node)
    try:
        with opened(node.settings.channels) as mirrors:
            return _bring_up(node, mirrors, retry=retry)
    except EdgekitError:
        settle(node)  # what runs may have been revoked by what was just learned
        raise


def _bring_up(node: Node, mirrors: Sequence[Transport], *, retry: bool) -> Updated:
    followed = follow(node.settings.model, mirrors, node.folder.trust, root=node.root(), clock=node.world.clock)
    node.learn(followed)
    followed = _ask_log(node, followed, mirrors)
    running = current_slot(node.folder)
    if running and not retry and _is_current(running, followed):
        return _ended(Outcome.UNCHANGED, followed, running, {})
    held = node.quarantined(followed.release_digest)
    if held and held.exhausted:
        return _stay(node, followed, {})
    with opened_sources(node) as sources:
        return Installation(node, followed, mirrors, sources).run()


def _ask_log(node: Node, followed: Followed, mirrors: Sequence[Transport]) -> Followed:
    """What the channel says, once the log of the node's policy shows it too; with the faults of copies of the log.

    Raises:
        EdgekitError: As `edgekit.node.transparency.LogWatch`; nothing was fetched.
    """
    if node.settings.transparency is None:
        return followed
    from edgekit.node.transparency import log_watch  # most nodes have no policy, and need not load what reads one

    with log_watch(node, mirrors) as watch:
        faults = watch.look()
        watch.prove(followed)
    if node.settings.transparency.cosign:
        from edgekit.node.witnessing import cosign_newest

        cosign_newest(node)
    return replace(followed, faults={**followed.faults, **faults})


class Installation:
    """The way of one release into a slot."""

    def __init__(
        self, node: Node, followed: Followed, mirrors: Sequence[Transport], sources: Sequence[Transport] = ()
    ) -> None:
        """Prepare; nothing is read or written yet.

        Args:
            node: Opened.
            followed: What is current.
            mirrors: Of the channel.
            sources: Others that may have its blobs.
        """
        self._node = node
        self._followed = followed
        self._mirrors = mirrors
        self._places = [*mirrors, *sources]
        self._sources = Sources(self._places)
        self._staging = Staging(node.folder, node.world)

    def run(self) -> Updated:
        """Install the first variant that fits and passes.

        Raises:
            EdgekitError: As `update`.
        """
        node = self._node
        _ = node.key  # a key that cannot be opened stops the update before anything is fetched
        blobs = RemoteBlobs(self._sources)
        release = read_release(blobs, self._followed.index)
        self._check_identity(release)
        failures: dict[str, SelfTestError] = {}
        while (variant := self._choose(release, failures)) is not None:
            image = read_image(blobs, release, variant.name)
            signer = check_image(release, image, self._followed.notice.keys)
            wanted = _wanted(release, image, signer.fingerprint)
            running = current_slot(node.folder)
            if running and running.record.deployed == wanted.deployed and not node.objection(running):
                return _ended(Outcome.UNCHANGED, self._followed, running, self._sources.faults)
            try:
                slot = self._install(wanted, variant)
            except SelfTestError as error:
                failures[variant.name] = error
                node.world.tell(str(error))
                node.refuse(wanted.deployed, error)
                self._staging.discard()
                continue
            done = _ended(Outcome.INSTALLED, self._followed, slot, self._sources.faults)
            return replace(done, fetched_bytes=self._staging.fetched_bytes)
        node.exhaust(release.index_digest, release.manifest.version)
        if failures:
            raise next(iter(failures.values()))
        return _stay(node, self._followed, self._sources.faults)

    def _check_identity(self, release: Release) -> None:
        """That the bundle is the one the channel speaks of.

        Raises:
            MalformedError: It has another name or version.
        """
        manifest, notice = release.manifest, self._followed.notice
        said = (self._followed.target, notice.version, notice.semver)
        found = (manifest.name, manifest.version, manifest.semver)
        if found != said:
            raise MalformedError(
                f"the channel offers {said[0]} {said[2]} (version {said[1]}), and the bundle there is "
                f"{found[0]} {found[2]} (version {found[1]})"
            )

    def _choose(self, release: Release, failures: Mapping[str, SelfTestError]) -> Variant | None:
        """The next variant to try; None where all that fit have failed.

        Raises:
            NoVariantError: None fits.
        """
        node = self._node
        held = node.quarantined(release.index_digest)
        failed = {*failures, *(held.variants if held else ())}
        left = tuple(variant for variant in release.manifest.variants if variant.name not in failed)
        spare = node.folder.slots / spare_name(node.folder)
        try:
            return choose(
                replace(release.manifest, variants=left),
                node.machine,
                installed_bytes=folder_bytes(spare) + self._staging.size_bytes(),
            )
        except NoVariantError:
            if failed:
                return None
            raise

    def _install(self, wanted: Wanted, variant: Variant) -> Slot:
        """From the mirrors to the running slot.

        Raises:
            SelfTestError: It does not answer as its publisher says; it is in no slot.
            EdgekitError: As `update`.
        """
        node, disk = self._node, self._node.world.disk
        slot = self._ready(wanted)
        if slot is None and not self._is_staged(wanted):
            self._staging.make_room(wanted, node.machine.disk_bytes)
            slots = read_slots(node.folder)
            self._staging.fill(wanted, slots, self._sources, self._offer() if slots else None)
            self._staged(wanted, Trial(False)).check()
        node.world.tell(f"testing {node.settings.model} {wanted.deployed.semver}, variant {variant.name}")
        files = (slot or self._staged(wanted, Trial(False))).files
        tested = node.world.self_test(files, variant, timeout_s=node.settings.self_test_s)
        if slot is None:
            staged = self._staged(wanted, tested)
            save_record(disk, staged.folder / RECORD, staged.record)
            slot = self._staging.place()
        switch(disk, node.folder, slot)
        node.attest(slot, tested=tested)
        prune(disk, node.folder, keep=_releases(node), below=wanted.deployed.version)
        return slot

    def _offer(self) -> Offer | None:
        """Ways to make files of the release of those that are installed."""
        deltas = offered_deltas(self._followed, self._mirrors, self._node.world.tell)
        return Offer(deltas, Sources(self._places)) if deltas else None

    def _ready(self, wanted: Wanted) -> Slot | None:
        """The spare slot where it holds just that: a run was cut off before the switch, or the node went back."""
        slot = read_slot(self._node.folder.slots / spare_name(self._node.folder))
        return slot if slot and slot.record.deployed == wanted.deployed and not integrity(slot) else None

    def _staged(self, wanted: Wanted, tested: Trial) -> Slot:
        """The staging folder as the slot that it will be."""
        followed, notice = self._followed, self._followed.notice
        record = SlotRecord(
            followed.target, wanted.deployed, wanted.sizes, notice.oldest, followed.authority, notice.signers, tested
        )
        return Slot(self._staging.path, record)

    def _is_staged(self, wanted: Wanted) -> bool:
        """Whether an earlier run was cut off after everything was there and verified."""
        found = read_slot(self._staging.path)
        return found is not None and found.record.deployed == wanted.deployed and not integrity(found)


def _wanted(release: Release, image: Image, signer: str) -> Wanted:
    manifest = release.manifest
    files = {path: layer.sha256 for path, layer in image.layers.items()}
    deployed = Deployed(
        version=manifest.version,
        semver=manifest.semver,
        release=release.index_digest,
        bundle=release.image_index.sha256,
        manifest=files[FILE_NAME],
        variant=image.variant.name,
        files=files,
        signer=signer,
    )
    blobs = {path: manifest.file(path).blob for path in files if path != FILE_NAME}
    return Wanted(deployed, blobs, release.manifest_bytes, image.signature)


def _is_current(running: Slot, followed: Followed) -> bool:
    """Whether a slot holds what the channel offers, signed by a key that still counts."""
    deployed = running.record.deployed
    signers = {key.fingerprint for key in followed.notice.keys}
    return deployed.release == followed.release_digest and deployed.signer in signers


def _releases(node: Node) -> list[str]:
    return [slot.record.deployed.release for slot in read_slots(node.folder)]


def _stay(node: Node, followed: Followed, faults: Mapping[str, str]) -> Updated:
    """The end where a release failed here earlier: what runs runs on, if what was just learned allows it.

    Raises:
        NodeStateError: It does not.
    """
    running = settle(node)
    if running is None:
        raise nothing_runs(node)
    return _ended(Outcome.QUARANTINED, followed, running, faults)


def _ended(outcome: Outcome, followed: Followed, running: Slot, faults: Mapping[str, str]) -> Updated:
    return Updated(
        outcome,
        followed.target,
        running.record.deployed,
        followed.notice.version,
        {**followed.faults, **faults},
    )
