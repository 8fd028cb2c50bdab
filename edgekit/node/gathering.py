"""Gathering: what a node that seeds fetches for others, after each update, from the channel that it follows.

The release's own documents always, so that others find everything that is in it; deltas and other machines' files
as far as its budget has room for them, in the publisher's order. All of it is verified: each file by a digest that
the channel's signature leads to.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import BinaryIO

from edgekit import digest
from edgekit.bundle.blobs import check_limit
from edgekit.bundle.release import check_config, read_image, read_provenance, read_release
from edgekit.bundle.remote_blobs import RemoteBlobs
from edgekit.channel.names import deltas_file, deltas_path
from edgekit.channel.relay import check_next_root, find_target, root_version
from edgekit.channel.trust import TrustFolder
from edgekit.delta.index import LARGEST_INDEX_BYTES, read_index
from edgekit.errors import DigestError, EdgekitError, LengthError, TransportError, TrustError
from edgekit.node.disk import make_folders, save
from edgekit.node.keeping import Kept, Share
from edgekit.node.opened import Node
from edgekit.node.slots import read_slots
from edgekit.node.state import Offer
from edgekit.transport.fetch import Sources
from edgekit.transport.reading import read_all
from edgekit.transport.transport import Transport
from edgekit.types.blob import Blob, Descriptor, check_sha256
from edgekit.types.progress import Progress, Silent
from edgekit.units import size

MOST_DOCUMENT_BYTES = 2**25
"""Of one release: with the formats' limits it could be more, and no release of anybody's is."""
LARGEST_ROOT_BYTES = 128 * 1024
MOST_ROOTS = 256


@dataclass(frozen=True)
class Gathering:
    """One round.

    Attributes:
        node: Looked at; what it knows of the channel is what is gathered for.
        share: Where it goes.
        mirrors: Of the channel.
        sources: Others that have its blobs.
        budget_bytes: Of all files that are kept beside the slots; a swarm takes the space of the one that it fetches
            once more.
        progress: Who watches; what it raises ends the round.
    """

    node: Node
    share: Share
    mirrors: Sequence[Transport]
    sources: Sequence[Transport]
    budget_bytes: int
    progress: Progress = field(default_factory=Silent)

    def run(self) -> None:
        """Fetch what is missing; what cannot be had is told, and tried again after the next update.

        Raises:
            StorageError: The system refuses.
        """
        wanted: list[Blob] = []
        for step in (self._fetch_roots, self._fetch_documents, self._fetch_delta_index):
            try:
                wanted = [*step(), *wanted]
            except (TrustError, TransportError) as error:
                self.node.world.tell(f"not kept for others: {error}")
        self._fetch_files(wanted)

    def _fetch_roots(self) -> tuple[Blob, ...]:
        """The roots that lead from the node's own to the newest, which metadata alone does not keep."""
        before = self.node.root()
        newest = self._trusted().get("root.json", before)
        last = root_version(newest)
        if last - root_version(before) > MOST_ROOTS:
            return ()
        for version in range(root_version(before) + 1, last):
            path = self.share.roots / f"{version}.root.json"
            try:
                before = check_next_root(before, path.read_bytes())
            except (OSError, TrustError):
                before = self._read(
                    f"metadata/{version}.root.json", LARGEST_ROOT_BYTES, partial(check_next_root, before)
                )
                make_folders(self.node.world.disk, path.parent, below=self.share.path)
                save(self.node.world.disk, path, before)
        return ()

    def _fetch_documents(self) -> tuple[Blob, ...]:
        """The documents of what the channel offers. Returns the files of all its variants, each once."""
        offer = self.node.state.offer
        index = TrustFolder(self.node.folder.trust).read_index(offer.release) if offer else None
        if offer is None or index is None:
            return ()
        blobs = _Documents(self, offer)
        try:
            release = read_release(blobs, index)
            manifest = release.manifest
            for variant in manifest.variants:
                check_config(blobs, release, read_image(blobs, release, variant.name))
            read_provenance(blobs, release)
        finally:
            self._forget_documents(offer, blobs.seen)  # also where there is no end to it: else they would pile up
        files = [manifest.file(path).blob for variant in manifest.variants for path in variant.files]
        return tuple({blob.sha256: blob for blob in files}.values())

    def _fetch_delta_index(self) -> tuple[Blob, ...]:
        """The delta index of the same release. Returns the deltas that it names."""
        model, offer = self.node.settings.model, self.node.state.offer
        info = find_target(self._trusted(), model.partition("/")[0], deltas_path(model)) if offer else None
        if offer is None or info is None or not 0 < info.length <= LARGEST_INDEX_BYTES:
            return ()
        blob = Blob(check_sha256(info.hashes.get("sha256", ""), where="the delta index"), info.length)
        data = self.kept_bytes(blob)
        if data is None:
            data = self._read(deltas_file(model, blob.sha256), info.length, partial(_checked, blob))
            self.share.put(data, self.item(blob, offer, is_document=True))
        self.share.renew([blob.sha256], release=offer.release, version=offer.version)
        return tuple(delta.blob for delta in read_index(data))

    def _fetch_files(self, wanted: Sequence[Blob]) -> None:
        """As many of them as the budget has room for, in this order."""
        offer = self.node.state.offer
        if offer is None:
            return
        share, budget, release = self.share, self.budget_bytes, offer.release
        share.renew([blob.sha256 for blob in wanted], release=release, version=offer.version)
        share.make_room(0, budget_bytes=budget, release=release)
        share.make_room(0, budget_bytes=budget, release="")  # it may have been larger before
        share.forget_parts([blob.sha256 for blob in wanted if blob.size_bytes <= budget])
        held = {sha256 for slot in read_slots(self.node.folder) for sha256 in slot.record.deployed.files.values()}
        sources = Sources([*self.mirrors, *self.sources])
        for blob in wanted:
            if blob.sha256 in held or share.has(blob):
                continue
            if not share.make_room(blob.size_bytes, budget_bytes=budget, release=release):
                continue
            self.node.world.tell(f"keeping {blob.sha256[:12]} for others, {size(blob.size_bytes)}")
            try:
                share.fetch(self.item(blob, offer), sources, progress=self.progress)
            except (TransportError, TrustError) as error:
                self.node.world.tell(f"not kept for others: {error}")

    def _forget_documents(self, offer: Offer, seen: set[str]) -> None:
        """Documents of releases that the channel no longer names lead nobody anywhere."""
        for item in self.share.kept.values():
            if item.is_document and item.release != offer.release and item.blob.sha256 not in seen:
                self.share.drop(item.blob.sha256)
        self.share.renew(seen, release=offer.release, version=offer.version)

    def kept_bytes(self, blob: Blob) -> bytes | None:
        """A document that is kept; None where it is not, or not any more."""
        try:
            with self.share.place(blob.sha256).open("rb") as stream:
                data = _checked(blob, stream.read(blob.size_bytes + 1))
        except (OSError, DigestError):
            return None
        return data if blob.sha256 in self.share.kept else None

    def _read(self, name: str, limit_bytes: int, check: Callable[[bytes], bytes]) -> bytes:
        """A small file of the channel, from the first mirror that has one which `check` lets through.

        Raises:
            EdgekitError: None has; the first mirror's fault.
        """
        fault: EdgekitError | None = None
        for mirror in self.mirrors:
            try:
                return check(read_all(mirror, name, limit_bytes=limit_bytes))
            except (TransportError, TrustError) as error:
                fault = fault or error
        raise fault or TransportError(f"no mirror has {name}")

    def _trusted(self) -> dict[str, bytes]:
        return TrustFolder(self.node.folder.trust).read_metadata()

    def item(self, blob: Blob, offer: Offer, *, is_document: bool = False) -> Kept:
        """A blob as it is noted when it is kept."""
        return Kept(blob, offer.release, offer.version, self.node.now(), is_document)


class _Documents:
    """`edgekit.bundle.blobs.Blobs` that keeps what it reads.

    Attributes:
        seen: Digests of what was read.
    """

    def __init__(self, gathering: Gathering, offer: Offer) -> None:
        self.seen: set[str] = set()
        self._gathering = gathering
        self._offer = offer
        self._remote = RemoteBlobs(Sources([*gathering.mirrors, *gathering.sources]))
        self._left_bytes = MOST_DOCUMENT_BYTES

    def read(self, descriptor: Descriptor, *, limit_bytes: int) -> bytes:
        """See Blobs.

        Raises:
            LengthError: All documents of the release together are too large.
        """
        check_limit(descriptor, limit_bytes)
        if descriptor.sha256 not in self.seen:
            self._left_bytes -= descriptor.size_bytes
        if self._left_bytes < 0:
            raise LengthError(
                f"the release has more than {size(MOST_DOCUMENT_BYTES)} of documents", limit_bytes=MOST_DOCUMENT_BYTES
            )
        self.seen.add(descriptor.sha256)
        gathering, blob = self._gathering, descriptor.blob
        data = gathering.kept_bytes(blob)
        if data is None:
            data = self._remote.read(descriptor, limit_bytes=limit_bytes)
            gathering.share.put(data, gathering.item(blob, self._offer, is_document=True))
        return data

    def open(self, blob: Blob) -> BinaryIO:
        """See Blobs."""
        return io.BytesIO(self.read(Descriptor("", blob.sha256, blob.size_bytes), limit_bytes=MOST_DOCUMENT_BYTES))


def _checked(blob: Blob, data: bytes) -> bytes:
    if len(data) != blob.size_bytes or digest.of_bytes(data) != blob.sha256:
        raise DigestError(f"blob {blob.sha256[:12]} is not the one that was named")
    return data
