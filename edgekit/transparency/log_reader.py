"""Reading a log that lies elsewhere: its head, and proofs from its tiles; nothing that it sends is trusted.

One reader is one mirror. What it cannot prove from its own tiles, it does not say.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

from edgekit.errors import InputError
from edgekit.transparency.checkpoint import Checkpoint, open_checkpoint
from edgekit.transparency.merkle import consistency, inclusion, root_hash
from edgekit.transparency.note import LARGEST_NOTE_BYTES, VerifierKey
from edgekit.transparency.tile_reader import TileReader
from edgekit.transparency.tile_source import StoredTiles
from edgekit.transport.reading import read_all
from edgekit.transport.transport import Transport

CHECKPOINT = "checkpoint"
_KEPT_TREES = 4


class LogReader:
    """A log at a URL. Not for several threads at once.

    Attributes:
        url: Where it is read, for messages.
        key: The log's; its name is the log's origin.
    """

    def __init__(self, transport: Transport, key: VerifierKey, prefix: str = "") -> None:
        """Prepare; nothing is read yet.

        Args:
            transport: Where it lies; whoever opened it closes it.
            key: The log's.
            prefix: Path of the log below the transport's URL, "log/" for example.
        """
        self.url = transport.url
        self.key = key
        self._transport = transport
        self._prefix = prefix
        self._stored = StoredTiles(transport, prefix)
        self._trees: OrderedDict[tuple[int, bytes], TileReader] = OrderedDict()

    def read_head(self) -> bytes:
        """The signed checkpoint as it lies there; nothing is verified.

        Raises:
            LengthError: It is longer than 256 KiB.
            TransportError: It cannot be read.
        """
        return read_all(self._transport, self._prefix + CHECKPOINT, limit_bytes=LARGEST_NOTE_BYTES)

    def head(self) -> Checkpoint:
        """What the log says that it is, signed by its key. Whether it was more before is for the caller to remember.

        Raises:
            MalformedError: It is no checkpoint.
            SignatureError: Another key signed it, or nobody.
            TransportError: It cannot be read.
        """
        return open_checkpoint(self.read_head(), self.key)

    def prove(self, index: int, head: Checkpoint) -> list[bytes]:
        """Proof that an entry is in the log at a head.

        Args:
            index: Of the entry, from 0.
            head: A checkpoint that the log signed.

        Raises:
            InputError: There is no such entry.
            ProofError: The tiles do not belong to that head: this mirror is damaged, or lies.
            MalformedError: They break their format.
            TransportError: They cannot be read.
        """
        return inclusion(index, head.size, self.tree(head))

    def prove_consistency(self, old: int, head: Checkpoint) -> list[bytes]:
        """Proof that a head continues what the log was at a smaller size.

        It leads to the root hash that the log's present tiles have for that size. Where another one was signed then,
        the log has two histories.

        Raises:
            InputError, ProofError, MalformedError, TransportError: As `prove`.
        """
        return consistency(old, head.size, self.tree(head))

    def root_at(self, size: int, head: Checkpoint) -> bytes:
        """Root hash that the log had at a size, as its tiles at a head have it.

        Raises:
            InputError, ProofError, MalformedError, TransportError: As `prove`.
        """
        if not 0 <= size <= head.size:
            raise InputError(f"a log of {head.size} entries has no head of {size}")
        return root_hash(size, self.tree(head))

    def entries(self, start: int, stop: int, head: Checkpoint) -> Iterator[bytes]:
        """The entries from `start` to before `stop`, each the one that the log has in its place.

        Raises:
            InputError, ProofError, MalformedError, TransportError: As `prove`.
        """
        return self.tree(head).entries(start, stop)

    def tree(self, head: Checkpoint) -> TileReader:
        """The log's tree at a head; what it gives is verified."""
        place = (head.size, head.root)
        found = self._trees.pop(place, None) or TileReader(head.size, head.root, self._stored)
        self._trees[place] = found
        if len(self._trees) > _KEPT_TREES:
            self._trees.popitem(last=False)
        return found
