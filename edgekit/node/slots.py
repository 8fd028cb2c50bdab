"""Slots: the two places for an installed release, and the link that says which of them runs.

    slots/a/files/...   manifest.json and the variant's files, under their own names
    slots/a/model.sig   the OpenSSF model signature over exactly those
    slots/a/slot.json   which release it is, and how its self-test went; written last

A slot without a readable `slot.json` holds nothing. Stock `model_signing verify key slots/a/files --signature
slots/a/model.sig` accepts one, and so does `Slot.check`, with no network and nothing but what is in the slot.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgekit import digest
from edgekit.bundle.manifest_file import MOST_BYTES, read_manifest
from edgekit.bundle.manifest_rules import SIGNATURE_FILE
from edgekit.bundle.release import MOST_SIGNATURE_BYTES
from edgekit.channel.authority import Authority
from edgekit.errors import DigestError, KeyFileError, MalformedError, TrustError
from edgekit.node.disk import Disk, clear, point, sync_folders
from edgekit.node.folder import NodeFolder
from edgekit.node.record import read_record
from edgekit.seal.folder_files import check_folder
from edgekit.seal.keys import PublicKey
from edgekit.seal.oms import verify_files
from edgekit.types.manifest import FILE_NAME, Manifest, Variant
from edgekit.types.receipt import Deployed, Trial

NAMES = ("a", "b")
RECORD = "slot.json"
FILES = "files"
SCHEMA = "edgekit.slot/1"


@dataclass(frozen=True)
class SlotRecord:
    """What a slot holds: `slot.json`.

    Attributes:
        target: FAMILY/NAME.
        deployed: The release and its variant, by digests.
        sizes: path -> bytes, of the same files.
        oldest: Lowest version that might run when this one was installed.
        authority: Whose keys said so, and that this one is current.
        signers: PEM of the keys that might sign it then.
        tested: How its self-test went.
        schema: Always SCHEMA.
    """

    target: str
    deployed: Deployed
    sizes: Mapping[str, int]
    oldest: int
    authority: Authority
    signers: tuple[str, ...]
    tested: Trial
    schema: str = SCHEMA


@dataclass(frozen=True)
class Slot:
    """A place that holds a release, by its own account.

    Attributes:
        folder: Where.
        record: What it says it holds.
    """

    folder: Path
    record: SlotRecord

    @property
    def files(self) -> Path:
        """Folder of the files under their own names."""
        return self.folder / FILES

    def manifest(self) -> Manifest:
        """What the publisher says about it.

        Raises:
            TrustError: It is not the one that was installed.
        """
        data = _read(self.files / FILE_NAME, MOST_BYTES)
        if digest.of_bytes(data) != self.record.deployed.manifest:
            raise DigestError(f"{self.files / FILE_NAME} is not the one that was installed")
        return read_manifest(data)

    def variant(self) -> Variant:
        """The variant that was installed.

        Raises:
            TrustError: The manifest is not the one that was installed, or has no such variant.
        """
        try:
            return self.manifest().variant(self.record.deployed.variant)
        except KeyError as error:
            raise MalformedError(f"{self.folder} holds no variant '{self.record.deployed.variant}'") from error

    def glance(self) -> str:
        """What is wrong at first sight: a file that is missing, or of another size; "" when nothing is. Hashes none."""
        for path, size_bytes in self.record.sizes.items():
            try:
                found = (self.files / path).lstat().st_size
            except OSError:
                return f"{path} is missing"
            if found != size_bytes:
                return f"{path} has {found} bytes, and had {size_bytes}"
        return "" if (self.folder / SIGNATURE_FILE).is_file() else f"{SIGNATURE_FILE} is missing"

    def is_still_there(self) -> bool:
        """Whether its place holds the same release: an update after the next one puts another there."""
        found = read_slot(self.folder)
        return found is not None and found.record.deployed == self.record.deployed

    def check(self) -> PublicKey:
        """Hash every file and hold it against the model signature.

        Returns:
            The key that signed.

        Raises:
            TrustError: A file is not the one that was signed or cannot be read, or none of the recorded keys signed it.
        """
        try:
            keys = [PublicKey.from_pem(pem) for pem in self.record.signers]
        except KeyFileError as error:
            raise MalformedError(f"{self.folder / RECORD} holds a key that cannot be read: {error}") from error
        signed = verify_files(_read(self.folder / SIGNATURE_FILE, MOST_SIGNATURE_BYTES), keys)
        if dict(signed.files) != dict(self.record.deployed.files):
            raise DigestError(f"what is signed in {self.folder} is not what its record names")
        try:
            check_folder(self.files, signed.files)
        except OSError as error:
            raise DigestError(f"a file in {self.files} cannot be read: {error.strerror}") from error
        self.variant()
        return signed.key


def read_slot(folder: Path) -> Slot | None:
    """The slot in a folder; None where it holds nothing that can be told."""
    try:
        record = read_record(SlotRecord, folder / RECORD)
    except MalformedError:
        return None
    known = record is not None and record.schema == SCHEMA and set(record.sizes) == set(record.deployed.files)
    return Slot(folder, record) if record is not None and known else None


def read_slots(folder: NodeFolder) -> tuple[Slot, ...]:
    """The slots that hold something."""
    return tuple(slot for name in NAMES if (slot := read_slot(folder.slots / name)))


def current_name(folder: NodeFolder) -> str:
    """Name of the slot that the link points to; "" where there is no link, or one that is none of ours."""
    try:
        head, _, name = os.readlink(folder.current).rpartition("/")
    except OSError:
        return ""
    return name if head == folder.slots.name and name in NAMES else ""


def current_slot(folder: NodeFolder) -> Slot | None:
    """The slot that runs; None where none does, or it holds nothing that can be told."""
    name = current_name(folder)
    return read_slot(folder.slots / name) if name else None


def spare_name(folder: NodeFolder) -> str:
    """Name of the slot that the next release goes into: the one that does not run; the older one where none does."""
    running = current_name(folder)
    if running:
        return next(name for name in NAMES if name != running)
    held = {slot.folder.name: slot.record.deployed.version for slot in read_slots(folder)}
    return min(NAMES, key=lambda name: held.get(name, 0))


def switch(disk: Disk, folder: NodeFolder, slot: Slot) -> None:
    """Let a slot run, from one moment to the next.

    A run that was cut off may have left names in the slot, and its own, that are not on the disk for good yet.

    Raises:
        StorageError: The system refuses; what ran before still runs.
    """
    sync_folders(disk, slot.folder)
    disk.sync(folder.slots)
    point(disk, folder.current, f"{folder.slots.name}/{slot.folder.name}")


def withdraw(disk: Disk, folder: NodeFolder) -> None:
    """Let none run.

    Raises:
        StorageError: The system refuses.
    """
    if os.path.lexists(folder.current):
        disk.remove(folder.current)
        disk.sync(folder.path)


def place(disk: Disk, folder: NodeFolder) -> Slot:
    """Move the finished staging folder into the spare slot, in place of what is there.

    Raises:
        StorageError: The system refuses; the slot that runs was not touched.
        TrustError: The staging folder holds nothing.
    """
    target = folder.slots / spare_name(folder)
    clear(disk, target)
    disk.rename(folder.staging, target)
    placed = read_slot(target)
    if placed is None:
        raise TrustError(f"{target} does not hold what was put there", hint="the disk may be failing")
    return placed


def _read(path: Path, limit_bytes: int) -> bytes:
    """A small file of a slot.

    Raises:
        MalformedError: It cannot be read, or is larger than such a file can be.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(limit_bytes + 1)
    except OSError as error:
        raise MalformedError(f"{path} cannot be read: {error.strerror}") from error
    if len(data) > limit_bytes:
        raise MalformedError(f"{path} has more than {limit_bytes} bytes")
    return data
