"""Staging: the files of a release come together in `slots/next`, from the slots that have them and from the channel.

A file that a slot has in an older version may come as a delta (`edgekit.node.patching`).

Everything in it may be left from an earlier run that was cut off at any moment. What lies there under a wanted name is
hashed before it counts, and what is not wanted goes. The slot that runs is only read, and files are copied rather than
linked: a sector that fails later must not take the same file from both slots.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from edgekit import digest
from edgekit.bundle.manifest_rules import SIGNATURE_FILE
from edgekit.node.disk import Disk, adopt, clear, make_folders, save
from edgekit.node.folder import NodeFolder
from edgekit.node.keeping import let_go
from edgekit.node.patching import OUT_SUFFIX, Offer, Patcher
from edgekit.node.slots import FILES, RECORD, Slot, place, spare_name
from edgekit.node.world import World
from edgekit.transport.fetch import Sources
from edgekit.transport.part_file import missing_bytes
from edgekit.types.blob import Blob
from edgekit.types.manifest import FILE_NAME
from edgekit.types.receipt import Deployed
from edgekit.units import size

PARTS = "parts"
"""Folder in the staging folder for what is not whole yet."""
COPY_SUFFIX = ".copy"


@dataclass(frozen=True)
class Wanted:
    """What is to be installed; verified down to the digest of every file.

    Attributes:
        deployed: The release and its variant.
        blobs: Path -> bytes, of every file but `manifest.json`.
        manifest: `manifest.json`.
        signature: The model signature over all of them.
    """

    deployed: Deployed
    blobs: Mapping[str, Blob]
    manifest: bytes
    signature: bytes

    @property
    def digests(self) -> dict[str, str]:
        """Path -> sha256, of the same files."""
        return {path: blob.sha256 for path, blob in self.blobs.items()}

    @property
    def sizes(self) -> dict[str, int]:
        """Path -> bytes, of every file."""
        return {FILE_NAME: len(self.manifest), **{path: blob.size_bytes for path, blob in self.blobs.items()}}


class Staging:
    """The folder `slots/next` of a node."""

    def __init__(self, folder: NodeFolder, world: World) -> None:
        """Work in `folder`; `world.tell` gets a line for every file that is fetched.

        Attributes:
            fetched_bytes: Bytes that were asked of others, of files and deltas.
        """
        self.fetched_bytes = 0
        self._folder = folder
        self._disk = world.disk
        self._tell = world.tell
        self._progress = world.progress

    @property
    def path(self) -> Path:
        """The folder."""
        return self._folder.staging

    def size_bytes(self) -> int:
        """Bytes that lie in it."""
        return folder_bytes(self.path)

    def make_room(self, wanted: Wanted, free_bytes: int) -> None:
        """Give up the spare slot where the disk has no room beside it; the one that runs stays.

        Raises:
            StorageError: The system refuses.
        """
        missing = sum(wanted.sizes.values()) - self.size_bytes()
        spare = self._folder.slots / spare_name(self._folder)
        if missing > free_bytes and spare.is_dir():
            self._tell(f"slot {spare.name} is given up: {size(missing)} are needed, {size(free_bytes)} are free")
            let_go(self._disk, self._folder, spare)
            clear(self._disk, spare)

    def fill(self, wanted: Wanted, slots: Sequence[Slot], sources: Sources, offer: Offer | None = None) -> None:
        """Bring every file here, durable, under its own name.

        Args:
            wanted: What.
            slots: Installed releases; a file of theirs with the right digest is copied.
            sources: The channel's mirrors, for everything else.
            offer: Ways to make a file of one that a slot has.

        Raises:
            SourcesError: No mirror has a file.
            StorageError: The system refuses; what is there will be used next time.
        """
        clear(self._disk, self.path / RECORD)
        for folder in (self.path / FILES, self.path / PARTS):
            make_folders(self._disk, folder, below=self._folder.path)
        self._remove_unwanted(wanted)
        patcher = self._patcher(offer) if offer else None
        for path, blob in sorted(wanted.blobs.items()):
            if self._is_there(path, blob):
                continue
            make_folders(self._disk, (self.path / FILES / path).parent, below=self.path / FILES)
            part = self._copied(blob, wanted, slots)
            if part is None and patcher:
                part = patcher.patched(path, blob, slots)
            part = part or self._fetched(path, blob, sources)
            adopt(self._disk, part, self.path / FILES / path)
        save(self._disk, self.path / FILES / FILE_NAME, wanted.manifest)
        save(self._disk, self.path / SIGNATURE_FILE, wanted.signature)
        clear(self._disk, self.path / PARTS)

    def place(self) -> Slot:
        """Move it into the spare slot, in place of what is there.

        Raises:
            StorageError: The system refuses; the slot that runs was not touched.
            TrustError: It holds nothing.
        """
        let_go(self._disk, self._folder, self._folder.slots / spare_name(self._folder))
        return place(self._disk, self._folder)

    def discard(self) -> None:
        """Remove it.

        Raises:
            StorageError: The system refuses.
        """
        clear(self._disk, self.path)

    def _is_there(self, path: str, blob: Blob) -> bool:
        """Whether an earlier run has brought the file; one that is not right goes."""
        found = self.path / FILES / path
        if _is_blob(found, blob):
            return True
        clear(self._disk, found)
        return False

    def _copied(self, blob: Blob, wanted: Wanted, slots: Sequence[Slot]) -> Path | None:
        """A copy of a file that an installed release has, or this one under another name; None where none is sound."""
        part = self.path / PARTS / f"{blob.sha256}{COPY_SUFFIX}"
        installed = [(slot.files, slot.record.deployed.files) for slot in slots]
        for source in _places(blob, [(self.path / FILES, wanted.digests), *installed]):
            if _is_blob(source, blob):
                self._disk.copy(source, part)
                return part
        return None

    def _patcher(self, offer: Offer) -> Patcher:
        fetch = partial(self._bring, sources=offer.sources)
        return Patcher(offer.deltas, self.path / PARTS, self._disk, fetch, self._tell)

    def _fetched(self, path: str, blob: Blob, sources: Sources) -> Path:
        part = self.path / PARTS / blob.sha256
        self._tell(f"fetching {path}, {size(blob.size_bytes)}")
        self._bring(blob, part, sources=sources)
        return part

    def _bring(self, blob: Blob, target: Path, *, sources: Sources) -> None:
        self.fetched_bytes += missing_bytes(blob, target)
        sources.fetch(blob, target, progress=self._progress)

    def _remove_unwanted(self, wanted: Wanted) -> None:
        names = {blob.sha256 for blob in wanted.blobs.values()}
        for part in sorted((self.path / PARTS).iterdir()):
            if part.name.partition(".")[0] not in names or part.suffix in (COPY_SUFFIX, OUT_SUFFIX):
                clear(self._disk, part)
        _keep_only(self._disk, self.path / FILES, {*wanted.blobs, FILE_NAME})
        for item in sorted(self.path.iterdir()):
            if item.name not in (FILES, PARTS, SIGNATURE_FILE):
                clear(self._disk, item)


def folder_bytes(path: Path) -> int:
    """Bytes of all files in a folder, at any depth; 0 where there is none."""
    found = 0
    for folder, _, names in os.walk(path):
        for name in names:
            try:
                found += os.lstat(os.path.join(folder, name)).st_size
            except OSError:
                continue  # another process may have removed it
    return found


def _places(blob: Blob, folders: Iterable[tuple[Path, Mapping[str, str]]]) -> list[Path]:
    """Files that should be that blob.

    Args:
        blob: What is looked for.
        folders: Each with path -> digest of what should be in it.
    """
    return [folder / path for folder, files in folders for path, sha256 in files.items() if sha256 == blob.sha256]


def _is_blob(path: Path, blob: Blob) -> bool:
    """Whether a file holds a blob's bytes; one that cannot be read does not."""
    try:
        status = path.lstat()
        is_file = stat.S_ISREG(status.st_mode) and status.st_size == blob.size_bytes
        return is_file and digest.of_file(path) == blob.sha256
    except OSError:
        return False


def _keep_only(disk: Disk, root: Path, paths: set[str]) -> None:
    """Remove every file that is not among `paths`, and every link and every folder in the place of one."""
    for folder, folders, names in os.walk(root, topdown=False):
        for name in sorted([*names, *folders]):
            place = Path(folder) / name
            relative = place.relative_to(root).as_posix()
            leads_on = any(path.startswith(f"{relative}/") for path in paths)
            is_folder = place.is_dir() and not place.is_symlink()
            if (is_folder and not leads_on) or (not is_folder and relative not in paths):
                clear(disk, place)
