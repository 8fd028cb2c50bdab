"""Deltas of a release: its files as changes to those of the releases before, for readers that have one of these.

They are made before anything is signed, since the family signs their index together with the release. A reader that
does without loses nothing but bytes; so whatever keeps one from being made is told, and ends nothing.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

from edgekit import digest
from edgekit.bundle.blobs import Blobs
from edgekit.bundle.hashing import check_stream
from edgekit.bundle.opening import open_bundle
from edgekit.bundle.release import read_release
from edgekit.bundle.remote_blobs import RemoteBlobs
from edgekit.channel.names import deltas_file, target_file
from edgekit.channel.tuf_objects import TargetFile
from edgekit.delta.codecs import CODECS, LARGEST_BYTES, makers
from edgekit.delta.index import LARGEST_INDEX_BYTES, MOST_DELTAS, Delta, read_index, write_index
from edgekit.delta.making import SMALLEST_BYTES, best_delta
from edgekit.errors import DigestError, InputError, StorageError, TransportError, TrustError
from edgekit.publish.earlier import releases
from edgekit.publish.preference import changed_preferences
from edgekit.publish.records import Records
from edgekit.transport.fetch import Sources
from edgekit.transport.reading import read_all
from edgekit.transport.transport import Transport
from edgekit.types.blob import Blob
from edgekit.types.manifest import BundleFile, Manifest
from edgekit.types.progress import Progress

DEFAULT_RELEASES = 3
"""Of the channel's last ones, from which deltas are made: each costs its publisher time, and readers some index."""


@dataclass(frozen=True)
class FileDelta:
    """One file of a release as a change to that of another.

    Attributes:
        path: Of the file, in both.
        version: Of the other release.
        full_bytes: Of the file itself.
        delta: As the index tells it.
        data: Its bytes.
        tried: Codec -> bytes of its delta, of all that were tried.
    """

    path: str
    version: int
    full_bytes: int
    delta: Delta
    data: bytes
    tried: dict[str, int]


@dataclass(frozen=True)
class ReleaseDeltas:
    """All deltas of a release.

    Attributes:
        made: New ones.
        kept: Those of the channel's index that lead to files of this release, and stay.
        notes: What could not be done, in words.
    """

    made: tuple[FileDelta, ...] = ()
    kept: tuple[Delta, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def index(self) -> bytes | None:
        """The delta index; None where there is nothing to tell. New ones come before old ones where room is short."""
        listed = [each.delta for each in self.made] + list(self.kept)
        while listed:
            data = write_index(listed[:MOST_DELTAS])
            if len(data) <= LARGEST_INDEX_BYTES:
                return data
            listed.pop()
        return None


@dataclass(frozen=True)
class _Shelf:
    """A release whose files can be had.

    Attributes:
        release: sha256 of its release index.
        manifest: What it holds.
        copy: Writes one of its blobs to a path, whole and verified.
    """

    release: str
    manifest: Manifest
    copy: Callable[[Blob, Path], None]


def release_deltas(
    place: Transport,
    records: Records,
    bundle: Path,
    *,
    last: int,
    bases: Sequence[Path],
    progress: Progress,
) -> ReleaseDeltas:
    """Make what readers of older releases can use.

    Args:
        place: The channel.
        records: In force there.
        bundle: What is to be published, verified.
        last: How many of the channel's last releases are bases, the one that is current first.
        bases: Bundles of other releases that readers may have.
        progress: Who watches.

    Raises:
        InputError: One of `bases` is no bundle that can be read, or of another model.
        StorageError: There is no room for temporary files.
    """
    with ExitStack() as stack:
        new = stack.enter_context(_bundle_shelf(bundle))
        name = new.manifest.name
        olds = [_opened_base(stack, base, name) for base in bases]
        kept, notes = _kept(place, records, new.manifest)
        lacking = sorted({CODECS[each].maker_needs for each in CODECS.keys() - makers()})
        if lacking:
            notes.append(f"without {' and '.join(lacking)}: pip install 'edgekit-ml[delta]' brings smaller deltas")
        have = {(delta.base, delta.target) for delta in kept}
        made: list[FileDelta] = []
        for old in chain(_channel_shelves(place, records, new, last, notes), olds):
            made += _between(old, new, have, notes, progress)
    return ReleaseDeltas(tuple(made), tuple(kept), tuple(notes))


def _between(
    old: _Shelf, new: _Shelf, have: set[tuple[str, str]], notes: list[str], progress: Progress
) -> Iterator[FileDelta]:
    """A delta for each file that changed; `have` learns of it, and `notes` of what could not be had."""
    for before, after in _pairs(old.manifest, new.manifest):
        if (before.sha256, after.sha256) in have:
            continue
        have.add((before.sha256, after.sha256))
        try:
            with tempfile.TemporaryDirectory(prefix="edgekit.") as folder:
                sources = Path(folder, "old"), Path(folder, "new")
                old.copy(before.blob, sources[0])
                new.copy(after.blob, sources[1])
                found = best_delta(*sources, progress=progress)
        except (TransportError, TrustError) as error:
            notes.append(f"no delta for {after.path} from version {old.manifest.version}: {error}")
            continue
        except OSError as error:
            if isinstance(error, StorageError):
                raise
            raise StorageError(f"no temporary folder can be used: {error.strerror or error}") from error
        if found:
            yield FileDelta(
                after.path, old.manifest.version, after.size_bytes, found.delta, found.data, dict(found.sizes)
            )


def _pairs(old: Manifest, new: Manifest) -> list[tuple[BundleFile, BundleFile]]:
    """Files of the same path and other bytes, where a delta may be worth having."""
    before = {file.path: file for file in old.files}
    pairs = [(before[file.path], file) for file in new.files if file.path in before]
    return [
        (old_file, new_file)
        for old_file, new_file in pairs
        if old_file.sha256 != new_file.sha256
        and min(old_file.size_bytes, new_file.size_bytes) >= SMALLEST_BYTES
        and max(old_file.size_bytes, new_file.size_bytes) <= LARGEST_BYTES
    ]


def _kept(place: Transport, records: Records, new: Manifest) -> tuple[list[Delta], list[str]]:
    """Deltas of the channel's index that lead to files of the new release; and what was wrong with it."""
    target = records.deltas(new.name)
    if target is None:
        return [], []
    wanted = {file.sha256 for file in new.files}
    try:
        sha256 = target.hashes.get("sha256", "")
        data = read_all(place, deltas_file(new.name, sha256), limit_bytes=LARGEST_INDEX_BYTES)
        if digest.of_bytes(data) != sha256:
            raise DigestError("it is not the file that was signed")
        return [delta for delta in read_index(data) if delta.target in wanted], []
    except (TransportError, TrustError) as error:
        return [], [f"the channel's deltas are made anew, since their index cannot be used: {error}"]


def _channel_shelves(place: Transport, records: Records, new: _Shelf, last: int, notes: list[str]) -> Iterator[_Shelf]:
    """The last releases of the channel, newest first; `notes` learns of those that cannot be read."""
    name = new.manifest.name
    current = records.release(name)
    others = (each for each in releases(place, records, name, notes) if each.hashes.get("sha256") != new.release)
    for target in islice(others, last):
        is_current = current is not None and target == current[0]
        try:
            old = _channel_shelf(place, name, target)
        except (TransportError, TrustError) as error:
            which = "the current release" if is_current else "an earlier release"
            notes.append(f"no deltas from {which}, which cannot be read: {error}")
            continue
        if is_current:
            notes.extend(changed_preferences(old.manifest, new.manifest))
        yield old


def _channel_shelf(place: Transport, name: str, target: TargetFile) -> _Shelf:
    """A release of the channel.

    Raises:
        TransportError: It is not there, or cannot be read.
        TrustError: It is not what was signed.
    """
    sources, sha256 = Sources([place]), target.hashes.get("sha256", "")
    index = read_all(place, target_file(name, sha256), limit_bytes=target.length)
    if digest.of_bytes(index) != sha256:
        raise DigestError("its index is not the file that was signed")
    return _Shelf(sha256, read_release(RemoteBlobs(sources), index).manifest, sources.fetch)


def _opened_base(stack: ExitStack, base: Path, name: str) -> _Shelf:
    """A release that readers may have.

    Raises:
        InputError: It is no bundle that can be read, or of another model.
    """
    try:
        old = stack.enter_context(_bundle_shelf(base))
    except TrustError as error:
        raise InputError(f"deltas cannot be made from {base}: {error}", hint=error.hint) from error
    if old.manifest.name != name:
        raise InputError(f"{base} holds {old.manifest.name}, not {name}")
    return old


@contextmanager
def _bundle_shelf(path: Path) -> Iterator[_Shelf]:
    """A bundle of this machine; it is no more trusted than the digests of its files go."""
    with open_bundle(path) as bundle:
        release = read_release(bundle.blobs, bundle.index_bytes)
        yield _Shelf(release.index_digest, release.manifest, _copier(bundle.blobs))


def _copier(blobs: Blobs) -> Callable[[Blob, Path], None]:
    def copy(blob: Blob, target: Path) -> None:
        with blobs.open(blob) as source, target.open("wb") as stream:
            check_stream(source, blob, what=f"blob sha256:{blob.sha256}", write=stream.write)

    return copy
