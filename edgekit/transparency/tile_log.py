"""A log that is written here: a folder of static files (C2SP tlog-tiles), which any server or mirror can give out.

    checkpoint                 the head, signed; perhaps with cosignatures
    tile/<L>/<N>[.p/<W>]       hashes
    tile/entries/<N>[.p/<W>]   entries
    .next                      a head that is decided and not signed yet, a note of the log's key that says so and is
                               no checkpoint; absent when nothing is under way
    .lock                      held while a process writes

An append writes its tiles, then `.next`, and only then signs: whatever ends it, no two heads of one size are ever
signed. Once `.next` is there the append is decided, and whoever comes next with the key finishes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from edgekit.durable import make_folder
from edgekit.errors import InputError, MalformedError, SignatureError, StorageError
from edgekit.seal.keys import PrivateKey
from edgekit.transparency.checkpoint import Checkpoint, open_checkpoint, read_checkpoint, sign_checkpoint
from edgekit.transparency.growth import Growth
from edgekit.transparency.log_files import LogFiles
from edgekit.transparency.merkle import EMPTY_ROOT, check_consistency, consistency, inclusion, root_hash
from edgekit.transparency.note import (
    LARGEST_NOTE_BYTES,
    SignedNote,
    VerifierKey,
    check_signature,
    read_note,
    sign,
    write_note,
)
from edgekit.transparency.tile_reader import TileReader
from edgekit.transparency.tile_source import StoredTiles
from edgekit.transparency.tiles import TILE_WIDTH, check_entry, tile_width
from edgekit.transport.file import FileTransport
from edgekit.transport.reading import read_all

CHECKPOINT = "checkpoint"
_NEXT = ".next"
_DECIDED = "edgekit.decided/1\n"
"""Before the text of a head that is decided: so the key signs that it decided, and not yet what everybody believes."""


def found_log(folder: Path, origin: str, key: PrivateKey) -> TileLog:
    """Begin a log without entries.

    Args:
        folder: Made where it is not there.
        origin: Name of the log, and of its key: like a URL without a scheme, "example.org/log".
        key: An ed25519 key.

    Raises:
        InputError: The folder holds a log already, or the name or the key cannot be one of a log.
        StorageError: The folder cannot be written.
    """
    note = sign_checkpoint(Checkpoint(origin, 0, EMPTY_ROOT), key)
    try:
        make_folder(folder)
    except OSError as error:
        raise StorageError(f"cannot make {folder}: {error.strerror}", hint="choose another folder") from error
    files = LogFiles(folder)
    with files.locked():
        if any((folder / name).exists() for name in (CHECKPOINT, "tile", _NEXT)):
            raise InputError(f"{folder} holds a log already", hint="append to it, or choose another folder")
        files.replace(CHECKPOINT, write_note(note))
    return TileLog.open(folder)


class TileLog:
    """A log in a folder. It is read as it was at its checkpoint; every tile that is read is held against that.

    Attributes:
        folder: Where it is.
        note: The signed checkpoint, as bytes.
        checkpoint: What it says. Its signature is verified where there is a key to do so: by `append`.
    """

    def __init__(self, files: LogFiles) -> None:
        """Open; see `open`."""
        self.folder = files.folder
        self._files = files
        self._stored = StoredTiles(FileTransport(files.folder))
        self._load()

    @staticmethod
    def open(folder: Path) -> TileLog:
        """Open a log.

        Raises:
            InputError: There is none.
            MalformedError: Its checkpoint breaks the format.
        """
        return TileLog(LogFiles(folder))

    @property
    def origin(self) -> str:
        """Its name."""
        return self.checkpoint.origin

    @property
    def is_unfinished(self) -> bool:
        """Whether an append was decided and then cut off before it was signed; `finish` signs it."""
        return self._decided() is not None

    def append(self, entries: Sequence[bytes], key: PrivateKey) -> Checkpoint:
        """Add entries, and sign the new head; all of them, or none.

        An append that was cut off before is finished first, so the head may grow by more than `entries`.

        Args:
            entries: At most 65535 bytes each; none only finishes.
            key: The log's.

        Returns:
            The new head.

        Raises:
            InputError: An entry is too long.
            SignatureError: The log has another key; or somebody else wrote what is to be finished.
            ProofError: Its own files do not hash to its checkpoint: it is damaged, and nothing was changed.
            StorageError: It cannot be written, or another process writes to it.
        """
        for entry in entries:
            check_entry(entry)
        with self._files.locked():
            self._load()
            self._finish(key)
            if not entries:
                return self.checkpoint
            growth = Growth(self._files, self._tree)
            for entry in entries:
                growth.add(entry)
            head = Checkpoint(self.origin, growth.size, growth.end())
            self._files.settle()
            text = _DECIDED + head.text
            self._files.replace(_NEXT, write_note(SignedNote(text, (sign(text, self.origin, key),))))
            self._sign(head, key)
            for name in growth.completed:
                self._files.remove_folder(f"{name}.p")
        return self.checkpoint

    def check_key(self, key: PrivateKey) -> None:
        """Do nothing where a key is the log's: it signed the checkpoint.

        Raises:
            SignatureError: It is another one, or the signature does not verify.
        """
        vkey = VerifierKey(self.origin, key.public)
        if not read_note(self.note).by(vkey):
            raise SignatureError(
                f"this is not the key of the log {self.origin}: it did not sign the head in {self.folder}",
                hint="give the key that the log was begun with",
            )
        open_checkpoint(self.note, vkey)

    def finish(self, key: PrivateKey) -> Checkpoint:
        """Sign what an append that was cut off had decided, if there is such a thing.

        Raises:
            SignatureError, ProofError, StorageError: As `append`.
        """
        return self.append([], key)

    def keep(self, note: bytes) -> None:
        """Add the signatures of a note to the checkpoint that it is of; those that are there stay, the log's own as is.

        Args:
            note: The signed checkpoint with cosignatures.

        Raises:
            InputError: It is another one than the log's.
            MalformedError: It breaks the format.
            StorageError: It cannot be written.
        """
        found = read_note(note)
        with self._files.locked():
            self._load()
            mine = read_note(self.note)
            if found.text != mine.text:
                raise InputError(f"this is not the log's checkpoint, {self.checkpoint}", hint="it has grown since then")
            own = {(each.name, each.key_id) for each in mine.signatures if each.name == self.origin}
            more = [each for each in found.signatures if (each.name, each.key_id) not in own]
            self._files.replace(CHECKPOINT, write_note(mine.signed_also(more)))
            self._load()

    def prove(self, index: int, size: int | None = None) -> list[bytes]:
        """Proof that an entry is in the log.

        Args:
            index: Of the entry, from 0.
            size: Of the head that is proved against; None for the present one.

        Raises:
            InputError: There is no such entry or head.
            ProofError: The log's files are damaged.
        """
        return inclusion(index, self._size(size), self._tree)

    def prove_consistency(self, old: int, new: int | None = None) -> list[bytes]:
        """Proof that a head of the log continues an older one; sizes as for `prove`.

        Raises:
            InputError, ProofError: As `prove`.
        """
        return consistency(old, self._size(new), self._tree)

    def root_at(self, size: int) -> bytes:
        """Root hash that the log had at a size.

        Raises:
            InputError, ProofError: As `prove`.
        """
        return root_hash(self._size(size), self._tree)

    def entries(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """The entries from `start` to before `stop`, None for the end.

        Raises:
            InputError, ProofError: As `prove`.
        """
        return self._tree.entries(start, self._size(stop))

    def entry(self, index: int) -> bytes:
        """One entry.

        Raises:
            InputError, ProofError: As `prove`.
        """
        return next(self.entries(index, index + 1))

    def find(self, entry_hash: bytes) -> int | None:
        """Index of the newest entry with a hash (`merkle.leaf_hash`); None where there is none.

        Raises:
            ProofError: The log's files are damaged.
        """
        size = self.checkpoint.size
        for tile in reversed(range(-(-size // TILE_WIDTH))):
            data = self._stored.tile(0, tile, tile_width(0, tile, size))
            if entry_hash not in data:  # most tiles are passed over without hashing them
                continue
            hashes = self._tree.tile(0, tile).levels[0]
            for row in reversed(range(len(hashes))):
                if hashes[row] == entry_hash:
                    return tile * TILE_WIDTH + row
        return None

    def _size(self, size: int | None) -> int:
        if size is None:
            return self.checkpoint.size
        if not 0 <= size <= self.checkpoint.size:
            raise InputError(f"the log has {self.checkpoint.size} entries, and no head of {size}")
        return size

    def _load(self) -> None:
        if not (self.folder / CHECKPOINT).is_file():
            raise InputError(f"{self.folder} holds no log", hint="edgekit log init DIR begins one")
        self.note = read_all(FileTransport(self.folder), CHECKPOINT, limit_bytes=LARGEST_NOTE_BYTES)
        self.checkpoint = read_checkpoint(read_note(self.note).text)
        self._tree = TileReader(self.checkpoint.size, self.checkpoint.root, self._stored)

    def _decided(self, key: VerifierKey | None = None) -> Checkpoint | None:
        """The head in `.next`, where it is newer than the checkpoint; with a key only one that this key decided."""
        data = self._files.read(_NEXT, LARGEST_NOTE_BYTES + 1)
        if data is None:
            return None
        try:
            note = read_note(data)
            found = read_checkpoint(note.text.removeprefix(_DECIDED))
            if key and found.size > self.checkpoint.size:
                check_signature(note, key)
            if not note.text.startswith(_DECIDED) or found.origin != self.origin:
                raise MalformedError("it is of another log")
        except (MalformedError, SignatureError) as error:
            raise type(error)(
                f"{self.folder / _NEXT} is no head that this log decided: {error}",
                hint="somebody else wrote that file: see who may write to the folder, and remove it",
            ) from error
        return found if found.size > self.checkpoint.size else None

    def _finish(self, key: PrivateKey) -> None:
        """Verify the log as it is, and sign what was decided."""
        self.check_key(key)
        self._tree.check()
        decided = self._decided(VerifierKey(self.origin, key.public))
        if decided is None:
            return
        tree = TileReader(decided.size, decided.root, self._stored)
        proof = consistency(self.checkpoint.size, decided.size, tree)
        check_consistency(self.checkpoint.size, self.checkpoint.root, decided.size, decided.root, proof)
        self._sign(decided, key)

    def _sign(self, head: Checkpoint, key: PrivateKey) -> None:
        self._files.replace(CHECKPOINT, write_note(sign_checkpoint(head, key)))
        self._files.remove(_NEXT)
        self._load()
