"""Sources: blobs from several places at once, none of which is trusted, each blob held against its digests.

What a source sends is hashed while it comes, piece by piece. One that lies is caught with the piece that it lied in,
dropped, and named; what it was to send comes from the others. One that stalls, truncates or dribbles is overtaken.
A blob that was cut off continues from the pieces that had arrived.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree

from edgekit import digest
from edgekit.errors import DigestError, InputError, LengthError, SourcesError
from edgekit.transport.board import Board
from edgekit.transport.carrying import serve
from edgekit.transport.part_file import Part, PartFile, PartMemory
from edgekit.transport.pieces import Piece, pieces_of
from edgekit.transport.sources import Source
from edgekit.transport.transport import BlobHolder, Transport
from edgekit.types.blob import SMALLEST_PIECE_BYTES, Blob, check_size
from edgekit.types.progress import Progress, Silent

SCRATCH_SUFFIX = ".scratch"
"""Beside the part of a file: a folder for transports that keep something of their own."""
_LOOK_S = 0.2
_LEAST_HEDGE = 0.6


@dataclass(frozen=True)
class FetchSettings:
    """How sources are used.

    Attributes:
        most_at_once: Sources that are asked at the same time; others step in for those that drop out.
        hedge_s: Silence after which another source tries the same piece of 1 MiB or more, in seconds; less for a
            smaller one, of which a second copy costs little.
        rest_s: How long a source is left alone after a failure, in seconds; twice as long after the second in a row.
    """

    most_at_once: int = 16
    hedge_s: float = 0.25
    rest_s: float = 0.5

    def hedge_of(self, size_bytes: int) -> float:
        """The same for a piece of some size."""
        return self.hedge_s * min(1.0, max(_LEAST_HEDGE, size_bytes / SMALLEST_PIECE_BYTES))


class Sources:
    """Several transports of the same tree of files. One blob at a time is fetched; its pieces come from all of them."""

    def __init__(self, transports: Sequence[Transport], *, settings: FetchSettings | None = None) -> None:
        """Prepare; nobody is contacted yet.

        Args:
            transports: In order of preference; whoever opened them closes them.
            settings: How they are used.

        Raises:
            InputError: There are none.
        """
        if not transports:
            raise InputError("there is no source to fetch from", hint="give at least one URL or path")
        self._sources = [Source(transport) for transport in transports]
        self._settings = settings or FetchSettings()

    @property
    def faults(self) -> Mapping[str, str]:
        """URL of a source -> what was last wrong with it; nothing of those that did well."""
        return {source.transport.url: source.fault for source in self._sources if source.fault}

    @property
    def dropped(self) -> tuple[str, ...]:
        """URLs of the sources that sent something else than was asked for, and are not asked any more."""
        return tuple(source.transport.url for source in self._sources if source.barred)

    def fetch(self, blob: Blob, target: Path, *, progress: Progress | None = None) -> None:
        """Bring a blob to a file.

        The file appears whole, verified and durable, or not at all. Until then its pieces lie beside it in
        `NAME.part`, which is no longer than the blob, and from which a later call goes on; a swarm keeps what it has
        in the folder `NAME.scratch`, which is as large at most.

        Args:
            blob: What.
            target: Where; a file of that name is replaced.
            progress: Who watches, in bytes.

        Raises:
            SourcesError: Every source failed; names each with its fault.
            StorageError: The disk is full or broken.
            MalformedError: The blob's pieces do not make up its size.
            DigestError: Its pieces contradict its digest.
        """
        check_size(blob.size_bytes, where=f"the size of blob {blob.sha256[:12]}")
        pieces = pieces_of(blob)
        scratch = target.with_name(target.name + SCRATCH_SUFFIX)
        with PartFile(target, blob.size_bytes) as part:
            done = part.find(pieces)
            self._gather(blob, pieces, part, done=done, progress=progress or Silent(), scratch=scratch)
            part.finish(blob.sha256)
        rmtree(scratch, ignore_errors=True)

    def read(self, blob: Blob, *, limit_bytes: int) -> bytes:
        """A small blob as bytes.

        Args:
            blob: What.
            limit_bytes: A larger one is not asked for.

        Raises:
            LengthError: It is larger.
            SourcesError: Every source failed; names each with its fault.
        """
        if not 0 <= blob.size_bytes <= limit_bytes:
            raise LengthError(
                f"blob {blob.sha256[:12]} has {blob.size_bytes} bytes, more than the {limit_bytes} it may have",
                limit_bytes=limit_bytes,
            )
        part = PartMemory(blob.size_bytes)
        whole = Blob(blob.sha256, blob.size_bytes, addresses=blob.addresses)
        self._gather(whole, pieces_of(whole), part, done=set(), progress=Silent())
        return bytes(part.data)

    def _gather(
        self,
        blob: Blob,
        pieces: Sequence[Piece],
        part: Part,
        *,
        done: set[int],
        progress: Progress,
        scratch: Path | None = None,
    ) -> None:
        """Have the pieces that are not done put into `part`; nobody writes to it any more once this has returned."""
        if not blob.size_bytes:
            _check_empty(blob)
        if len(done) == len(pieces) or not blob.size_bytes:
            return
        ranked = sorted(self._sources, key=lambda source: source.standing)
        for source in ranked:
            source.forgive()
        hedge_s, rest_s = self._settings.hedge_of(pieces[0].size_bytes), self._settings.rest_s
        board = Board(blob.sha256, pieces, ranked, done=done, hedge_s=hedge_s, rest_s=rest_s)
        reserve = deque(ranked)
        try:
            for _ in range(min(len(ranked), self._settings.most_at_once)):
                # Daemons: a source that never answers is not waited for, not even at the end of the program.
                threading.Thread(target=_work, args=(reserve, board, blob, part, scratch), daemon=True).start()
            _watch(board, blob.size_bytes, progress)
        finally:
            board.stop()
            _release(ranked, blob)
        if board.error is not None:
            raise board.error
        if not board.is_complete():
            faults = {source.transport.url: source.fault or "not asked" for source in self._sources}
            raise SourcesError(
                f"no source gave the whole of blob {blob.sha256[:12]} of {blob.size_bytes} bytes:",
                faults=faults,
                hint="try again, which goes on where this ended, or add another mirror",
            )


def _work(reserve: deque[Source], board: Board, blob: Blob, part: Part, scratch: Path | None) -> None:
    """Serve one source, and the next one in reserve when it drops out."""
    while True:
        try:
            source = reserve.popleft()
        except IndexError:
            return
        serve(source, board, blob, part, scratch=scratch)


def _release(sources: Sequence[Source], blob: Blob) -> None:
    """Have those let go of a blob that go on with it between two requests."""
    for source in sources:
        if isinstance(source.transport, BlobHolder):
            source.transport.release_blob(blob)


def _watch(board: Board, size_bytes: int, progress: Progress) -> None:
    """Wait for the work to be over, and tell how far it is."""
    with progress.stage("fetch", total=size_bytes) as stage:
        told, over = 0, False
        while not over:
            there, over = board.wait(_LOOK_S)
            stage.advance(max(0, there - told))  # also by nothing: whoever watches may end it by an exception
            told = max(told, there)


def _check_empty(blob: Blob) -> None:
    if blob.sha256 != digest.of_bytes(b""):
        raise DigestError(f"blob {blob.sha256[:12]} has 0 bytes, and that is not their sha256")
