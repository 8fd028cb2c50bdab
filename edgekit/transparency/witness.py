"""Witness: signs that a log only grew, as far as it has seen, and never signs two histories of one log.

It answers requests as C2SP tlog-witness says (`add_checkpoint`, what `witness_server` serves), or reads a static log by
itself (`cosign`). What it has seen is on the disk before a cosignature leaves it, under one lock: of requests that come
at the same time, the second one is judged against the first.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from edgekit.errors import InputError, MalformedError, ProofError, SignatureError
from edgekit.seal.keys import PrivateKey
from edgekit.transparency.checkpoint import read_checkpoint
from edgekit.transparency.cosignature import cosign
from edgekit.transparency.memory import CheckpointMemory
from edgekit.transparency.merkle import check_consistency
from edgekit.transparency.note import COSIGNATURE, NoteSignature, SignedNote, VerifierKey, read_note, write_note
from edgekit.transparency.splitview import Evidence, History, SignedHead, forked_root, open_head
from edgekit.transparency.witness_request import AddCheckpoint, read_request, write_size

TEXT_TYPE = "text/plain; charset=utf-8"
SIZE_TYPE = "text/x.tlog.size"


@dataclass(frozen=True)
class Reply:
    """What a witness answers.

    Attributes:
        status: As of HTTP: 200, 400, 403, 404, 409 or 422.
        body: Lines of signatures, the size that it knows, or why not.
        content_type: Of the body.
    """

    status: int
    body: bytes
    content_type: str = TEXT_TYPE


class Witness:
    """One witness, of some logs. May be used from several threads at once."""

    def __init__(
        self,
        memory: CheckpointMemory,
        name: str,
        key: PrivateKey,
        logs: Iterable[VerifierKey],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Prepare.

        Args:
            memory: What it has seen. Whoever loses it must not go on under the same key.
            name: Under which it signs.
            key: An ed25519 key, that of no other witness.
            logs: Those it knows; a log's name is its origin.
            clock: Seconds since 1970.

        Raises:
            InputError: The name cannot be one, or a log has two keys.
            KeyFileError: The key is of another kind.
        """
        self.key = VerifierKey(name, key.public, COSIGNATURE)
        self._memory = memory
        self._secret = key
        self._clock = clock
        self._logs: dict[str, VerifierKey] = {}
        for log in logs:
            if self._logs.setdefault(log.name, log) != log:
                raise InputError(f"two keys are given for the log {log.name}", hint="name the one that counts")

    @property
    def logs(self) -> tuple[VerifierKey, ...]:
        """The logs that it knows."""
        return tuple(self._logs.values())

    def add_checkpoint(self, data: bytes) -> Reply:
        """Answer one request of a stranger.

        Args:
            data: Body of the request, see `witness_request`.

        Raises:
            MalformedError: What is remembered of the log is damaged.
            StorageError: What it has seen cannot be written down; nothing was signed.

        Law: no two replies of status 200 are for different trees of one size.
        """
        try:
            request = read_request(data)
            note = read_note(request.checkpoint)
            checkpoint = read_checkpoint(note.text)
        except MalformedError as error:
            return _refusal(400, str(error))
        log = self._logs.get(checkpoint.origin)
        if log is None:
            return _refusal(404, "this witness does not know that log")
        try:
            head = open_head(request.checkpoint, log)
        except SignatureError as error:
            return _refusal(403, str(error))
        if request.old_size > checkpoint.size:
            return _refusal(400, f"from {request.old_size} entries a log does not grow to {checkpoint.size}")
        with self._memory.locked():
            known = self._memory.newest(log)
            refused = self._judge(known, head, request, log)
            if refused:
                return refused
            if known is None or checkpoint.size > known.checkpoint.size:
                self._memory.write(request.checkpoint, log)
            return Reply(200, str(self._sign(note.text)).encode())

    def cosign(self, note: bytes, *histories: History) -> bytes:
        """Cosign the head of a static log that it knows, read from a mirror or from a disk.

        Args:
            note: The signed checkpoint.
            histories: Who may show how the log grew.

        Returns:
            The note with the cosignature on it.

        Raises:
            TrustError: It is no head of a log that this witness knows, or does not continue what it has seen; see
                `CheckpointMemory.advance`.
            SourcesError: Nobody can be asked for a proof.
            StorageError: What it has seen cannot be written down; nothing was signed.
        """
        signed = read_note(note)
        log = self._logs.get(read_checkpoint(signed.text).origin)
        if log is None:
            raise SignatureError("this is a checkpoint of a log that this witness does not know")
        checkpoint = self._memory.advance(note, log, *histories)
        with self._memory.locked():
            newest = self._memory.newest(log)
            if newest is None or newest.checkpoint.size != checkpoint.size:
                raise ProofError(f"another process cosigned a later head of {log.name} meanwhile")
            return _with(signed, self._sign(signed.text), log)

    def _judge(
        self, known: SignedHead | None, head: SignedHead, request: AddCheckpoint, log: VerifierKey
    ) -> Reply | None:
        """Why a request is refused, or None."""
        checkpoint = head.checkpoint
        size = known.checkpoint.size if known else 0
        if request.old_size != size:
            return Reply(409, write_size(size), SIZE_TYPE)
        if known and checkpoint.size == size and checkpoint.root != known.checkpoint.root:
            self._memory.keep_evidence(Evidence(log, (known.note, head.note), checkpoint.root, ()))
            return Reply(409, write_size(size), SIZE_TYPE)
        if not known:
            return _refusal(422, "from nothing no proof is needed") if request.proof else None
        old = known.checkpoint
        try:
            check_consistency(old.size, old.root, checkpoint.size, checkpoint.root, request.proof)
        except ProofError as error:
            forked = forked_root(old, checkpoint, request.proof)
            if forked:  # whoever asks has shown it against themselves
                self._memory.keep_evidence(Evidence(log, (known.note, head.note), forked, request.proof))
            return _refusal(422, str(error))
        return None

    def _sign(self, text: str) -> NoteSignature:
        return cosign(text, self.key.name, self._secret, int(self._clock()))


def _with(note: SignedNote, signature: NoteSignature, log: VerifierKey) -> bytes:
    """A note with one more signature; the log's alone stay where a mirror filled it up with those of nobody."""
    try:
        return write_note(note.signed_also([signature]))
    except InputError:
        return write_note(SignedNote(note.text, (*note.by(log)[:1], signature)))


def _refusal(status: int, why: str) -> Reply:
    return Reply(status, f"{why}\n".encode())
