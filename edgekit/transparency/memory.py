"""CheckpointMemory: the newest head of each log that somebody has verified, so that nobody can show them another past.

    <sha256 of the log's name>.checkpoint    the signed note, as it came
    evidence/<log>-<...>.json                two heads that cannot both be true (`splitview`)
    lock                                     held while a checkpoint is replaced

A node keeps one in its trust folder, a witness and an auditor in a folder of their own. A file is replaced whole and
flushed first: a power cut leaves the old head or the new one. One that was damaged is an error and not a fresh start,
for whoever forgets can be shown anything.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgekit import digest
from edgekit.durable import make_folder, replace_file
from edgekit.errors import MalformedError, ProofError, RollbackError, SignatureError, StorageError, TransportError
from edgekit.transparency.checkpoint import Checkpoint
from edgekit.transparency.note import LARGEST_NOTE_BYTES, VerifierKey
from edgekit.transparency.splitview import Evidence, History, SignedHead, compare, open_head, write_evidence

SUFFIX = ".checkpoint"
MOST_EVIDENCE = 64
"""Files for each log; one that forked goes on signing, and must not fill the disk by it, nor the place of others."""
_TRIES = 100


class CheckpointMemory:
    """What is remembered of every log. May be used by several threads and processes at once."""

    def __init__(self, folder: Path) -> None:
        """Use a folder; it is made when something is first written."""
        self.folder = folder

    def newest(self, log: VerifierKey) -> SignedHead | None:
        """The newest head of a log, None where none was ever verified.

        Raises:
            MalformedError: The file is damaged, or none of this log.
            StorageError: It cannot be read.
        """
        path = self._path(log)
        try:
            with path.open("rb") as stream:
                note = stream.read(LARGEST_NOTE_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _storage_error(self.folder, error) from error
        try:
            return open_head(note, log)
        except (MalformedError, SignatureError) as error:
            raise MalformedError(
                f"{path}, which holds the newest head of {log.name}, cannot be used: {error}",
                hint="put a copy of it back, or the log's key that signed it; whoever deletes it forgets what that log "
                "had signed, and can be shown another history",
            ) from error

    def advance(self, note: bytes, log: VerifierKey, *histories: History) -> Checkpoint:
        """Take a head of a log for the newest, once it is shown to continue what is remembered.

        The first head of a log is believed. One of a tree that is known is no change.

        Args:
            note: The signed checkpoint; signatures of others on it are not looked at.
            log: Whose it is.
            histories: Who may show how the log grew; see `splitview.compare`.

        Returns:
            What the note says.

        Raises:
            MalformedError: It is no checkpoint, or what is remembered is damaged.
            SignatureError: The log did not sign it.
            RollbackError: It is older than what is remembered, which continues it.
            SplitViewError: The log signed two histories; a file of evidence has been written.
            ProofError: Nobody shows that it continues what is remembered.
            SourcesError: Nobody can be asked for that.
            StorageError: The folder cannot be used.
        """
        head = open_head(note, log)
        for _ in range(_TRIES):
            known = self.newest(log)
            if known is not None:
                self._judge(known, head, log, histories)
            with self.locked():
                if self.newest(log) == known:  # otherwise another process was faster, and is to be judged against
                    if known is None or head.checkpoint.size > known.checkpoint.size:
                        self.write(note, log)
                    return head.checkpoint
        raise StorageError(f"other processes change {self.folder} all the time", hint="let one at a time use it")

    def write(self, note: bytes, log: VerifierKey) -> None:
        """Remember a head that was verified; only inside `locked`.

        Raises:
            StorageError: The folder cannot be used.
        """
        try:
            replace_file(self._path(log), note)
        except OSError as error:
            raise _storage_error(self.folder, error) from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep others from replacing a head; waits for whoever does so now.

        Raises:
            StorageError: The folder cannot be used.
        """
        try:
            make_folder(self.folder)
            handle = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _storage_error(self.folder, error) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def keep_evidence(self, evidence: Evidence) -> str:
        """Write evidence of a fork into a file; the same evidence goes to the same file.

        Returns:
            Its path; "" where there are 64 of that log already.

        Raises:
            StorageError: The folder cannot be used.
        """
        data = write_evidence(evidence)
        log = digest.of_bytes(evidence.log.name.encode())[:16]
        path = self.folder / "evidence" / f"{log}-{digest.of_bytes(data)[:16]}.json"
        try:
            make_folder(path.parent)
            if not path.exists():
                if len(list(path.parent.glob(f"{log}-*.json"))) >= MOST_EVIDENCE:
                    return ""
                replace_file(path, data, unfinished=f".{secrets.token_hex(8)}.new")  # others may write the same
        except OSError as error:
            raise _storage_error(self.folder, error) from error
        return str(path)

    def evidence(self) -> tuple[Path, ...]:
        """Files of evidence that lie here."""
        return tuple(sorted((self.folder / "evidence").glob("*.json")))

    def _judge(self, known: SignedHead, head: SignedHead, log: VerifierKey, histories: tuple[History, ...]) -> None:
        """Do nothing where a head may follow what is known."""
        behind = head.checkpoint.size < known.checkpoint.size
        try:
            evidence = compare(known, head, log, histories)
        except (ProofError, TransportError) as error:
            if not behind:
                raise
            raise _stale(known, head, f"; whether that continues it, nobody shows: {error}") from error
        if evidence:
            raise evidence.error(kept=self.keep_evidence(evidence))
        if behind:
            raise _stale(known, head, "")

    def _path(self, log: VerifierKey) -> Path:
        return self.folder / f"{digest.of_bytes(log.name.encode())}{SUFFIX}"


def _stale(known: SignedHead, head: SignedHead, doubt: str) -> RollbackError:
    return RollbackError(
        f"the log {head.checkpoint.origin} is shown with {head.checkpoint.size} entries, "
        f"and had {known.checkpoint.size} before{doubt}",
        hint="this mirror of the log is behind: ask another one",
    )


def _storage_error(folder: Path, error: OSError) -> StorageError:
    return StorageError(
        f"the memory of logs in {folder} cannot be used: {error.strerror or error}",
        hint="see that it belongs to this user, and that the disk has space",
    )
