"""Carrying a claim out: bytes from a source, held against the digest of each piece while they come."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from edgekit.errors import (
    AbsentError,
    DigestError,
    EdgekitError,
    LengthError,
    StorageError,
    TransferError,
    TransportError,
)
from edgekit.transport.board import Board
from edgekit.transport.claims import Claim
from edgekit.transport.part_file import Part
from edgekit.transport.sources import Source
from edgekit.transport.transport import BlobTransport
from edgekit.types.blob import Blob

CHALLENGE_BYTES = 2**20
"""What a challenger holds in memory."""
PROGRESS_BYTES = 2**16
"""A connection that broke after so many bytes is taken up where it broke, and held against nobody."""
_PASSING = (0, 408, 425, 429)


class _OvertakenError(Exception):
    """Another source has the piece, or will have it sooner."""


def serve(source: Source, board: Board, blob: Blob, part: Part, *, scratch: Path | None) -> None:
    """Carry out claims of one source until there are none left for it: the work of its thread.

    Args:
        source: Who is read.
        board: Who does what.
        blob: What is fetched.
        part: Where it is put.
        scratch: See `BlobTransport`.
    """
    with source.turn, source.waits.here():
        while (claim := board.next(source)) is not None:
            try:
                _Carrier(claim, board, blob, part, scratch).carry()
            except _OvertakenError:
                pass
            except StorageError as error:
                board.fail(error)
            except EdgekitError as error:
                _blame(source, board, error)
            except Exception as error:  # a transport that somebody else wrote must not take the others down
                board.bar(source, f"its transport failed: {type(error).__name__}: {error}")
            finally:
                board.release(claim)


def _blame(source: Source, board: Board, error: EdgekitError) -> None:
    """What an error means for a source: out for good, out for this blob, or another try later."""
    fault = str(error).removeprefix(f"{source.transport.url}: ")
    if isinstance(error, LengthError | DigestError):
        board.bar(source, fault)
    elif isinstance(error, TransportError) and not isinstance(error, AbsentError) and _may_pass(error):
        board.strike(source, fault)
    else:  # it has no such file, or refuses, or this side cannot ask: a proxy, a netrc file, a name
        board.excuse(source, fault)


def _may_pass(error: TransportError) -> bool:
    return not isinstance(error, TransferError) or error.status in _PASSING or error.status >= 500


class _Carrier:
    """One claim on its way."""

    def __init__(self, claim: Claim, board: Board, blob: Blob, part: Part, scratch: Path | None) -> None:
        self._claim = claim
        self._board = board
        self._blob = blob
        self._part = part
        self._scratch = scratch
        self._position = claim.piece.start
        self._hash = hashlib.sha256()
        self._held = bytearray()

    def carry(self) -> None:
        """Ask until every piece is there; a connection that broke on the way is taken up again.

        Raises:
            DigestError: The source sent something else.
            TransportError: It failed.
            StorageError: The disk did.
        """
        while True:
            began = self._position
            try:
                if self._stream():
                    return
                broken = TransferError(f"the answer ended early, at byte {self._position}", source=self._url)
            except TransferError as error:
                broken = error
            if self._claim.at == self._claim.end:  # it broke when nothing was missing any more
                return
            if self._position - began < PROGRESS_BYTES:
                raise broken

    @property
    def _url(self) -> str:
        return self._claim.source.transport.url

    def _stream(self) -> bool:
        """One request; False where it ended before everything was there."""
        claim = self._claim
        stop = claim.pieces[claim.end - 1].stop
        with self._read(stop) as chunks:
            for chunk in chunks:
                view = memoryview(chunk)
                while view:
                    if claim.at == claim.end:  # all is there, or others have taken the rest over
                        if self._position == stop:
                            raise LengthError(
                                f"sends more than the {stop} bytes of the blob", limit_bytes=stop, source=self._url
                            )
                        return True
                    view = self._take(view)
                if claim.at == claim.end and self._position < stop:
                    return True
        return claim.at == claim.end

    def _read(self, stop: int) -> AbstractContextManager[Iterator[bytes]]:
        transport, start = self._claim.source.transport, self._position
        if isinstance(transport, BlobTransport):
            return transport.read_blob(self._blob, start=start, stop=stop, scratch=self._scratch)
        return transport.read(self._blob.file_name, start=start, stop=stop)

    def _take(self, view: memoryview) -> memoryview:
        """Take what belongs to the piece; returns what follows it."""
        claim, piece = self._claim, self._claim.piece
        taken = view[: piece.stop - self._position]
        claim.hear(len(taken))
        self._hash.update(taken)
        self._put(taken)
        self._position += len(taken)
        if self._position == piece.stop:
            self._end_piece()
        return view[len(taken) :]

    def _put(self, data: memoryview) -> None:
        claim = self._claim
        if claim.challenges:
            self._held += data
            if len(self._held) < CHALLENGE_BYTES or len(self._held) == claim.piece.size_bytes:
                if not claim.live:
                    raise _OvertakenError
                return
            if not self._board.take_over(claim, whole=False):
                raise _OvertakenError
            data, self._held = memoryview(self._held), bytearray()
        with claim.lock:
            if not claim.live:
                raise _OvertakenError
            # After a challenge it begins with the piece, otherwise where it has come to.
            self._part.write(claim.piece.start + claim.received - len(data), data)

    def _end_piece(self) -> None:
        claim, piece = self._claim, self._claim.piece
        found = self._hash.hexdigest()
        if found != piece.sha256:
            which = (
                f"piece {piece.number} of " if len(claim.pieces) > 1 or piece.size_bytes < self._blob.size_bytes else ""
            )
            raise DigestError(
                f"{self._url}: sent something else for {which}blob {self._blob.sha256[:12]}: "
                f"its sha256 is {found[:12]}..., not {piece.sha256[:12]}..."
            )
        if claim.challenges:
            if not self._board.take_over(claim, whole=True):
                raise _OvertakenError
            with claim.lock:
                if not claim.live:
                    raise _OvertakenError
                self._part.write(piece.start, self._held)
        self._hash = hashlib.sha256()
        if not self._board.settle(claim) and not claim.live:
            raise _OvertakenError
