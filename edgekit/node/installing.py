"""Installing: the way of one release into a slot, and of the link `current` to it.

What runs is the old release until the link is renamed, which is the last step but the receipt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from edgekit.bundle.release import Image, Release, read_image, read_release
from edgekit.bundle.remote_blobs import RemoteBlobs
from edgekit.bundle.trusted import check_image
from edgekit.channel.client import Followed
from edgekit.errors import MalformedError, NoVariantError, SelfTestError
from edgekit.node.choose import choose
from edgekit.node.opened import Node, integrity
from edgekit.node.patching import Offer, offered_deltas
from edgekit.node.quarantine import prune
from edgekit.node.record import save_record
from edgekit.node.slots import RECORD, Slot, SlotRecord, current_slot, read_slot, read_slots, spare_name, switch
from edgekit.node.staging import Staging, Wanted, folder_bytes
from edgekit.transport.fetch import Sources
from edgekit.transport.transport import Transport
from edgekit.types.manifest import FILE_NAME, Variant
from edgekit.types.receipt import Deployed, Trial


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

        Attributes:
            has_switched: Whether something else runs by now than before.
        """
        self.has_switched = False
        self._node = node
        self._followed = followed
        self._mirrors = mirrors
        self._places = [*mirrors, *sources]
        self._sources = Sources(self._places)
        self._staging = Staging(node.folder, node.world)

    @property
    def faults(self) -> Mapping[str, str]:
        """URL of a mirror or source -> what was wrong with it."""
        return self._sources.faults

    @property
    def fetched_bytes(self) -> int:
        """Of the files and deltas that were fetched so far."""
        return self._staging.fetched_bytes

    def run(self) -> Slot | None:
        """Install the first variant that fits and passes.

        Returns:
            The slot that runs; None where all that fit have failed here earlier.

        Raises:
            SelfTestError: A variant fails here, and no other one is left.
            EdgekitError: As `edgekit.node.update.update`.
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
                return running
            try:
                return self._install(wanted, variant)
            except SelfTestError as error:
                failures[variant.name] = error
                node.world.tell(str(error))
                node.refuse(wanted.deployed, error)
                self._staging.discard()
        node.exhaust(release.index_digest, release.manifest.version)
        if failures:
            raise next(iter(failures.values()))
        return None

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
            EdgekitError: As `edgekit.node.update.update`.
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
        self.has_switched = True
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


def _releases(node: Node) -> list[str]:
    return [slot.record.deployed.release for slot in read_slots(node.folder)]
