"""GrowingLog: a log in memory that does what an honest one never would, when a test asks it to."""

from __future__ import annotations

from collections.abc import Sequence

from edgekit.errors import ProofError
from edgekit.seal.keys import MemoryKey, generate
from edgekit.transparency.checkpoint import Checkpoint, sign_checkpoint
from edgekit.transparency.merkle import Node, consistency, leaf_hash, node_hash, root_hash
from edgekit.transparency.note import VerifierKey, write_note

ORIGIN = "example.org/log"


class GrowingLog:
    """Entries, and a key; also the `History` of its own trees.

    Attributes:
        key: Its vkey.
        entries: What was logged; a test may change them.
        asked: Sizes that a proof was asked for.
    """

    def __init__(self, entries: Sequence[bytes] = (), *, origin: str = ORIGIN, secret: MemoryKey | None = None) -> None:
        self.secret = secret or generate("ed25519")
        self.key = VerifierKey(origin, self.secret.public)
        self.entries = list(entries)
        self.asked: list[int] = []
        self.url = f"memory:{origin}"

    def grow(self, count: int, text: str = "entry") -> GrowingLog:
        """Log some more."""
        self.entries += [f"{text} {len(self.entries) + number}".encode() for number in range(count)]
        return self

    def fork(self, at: int) -> GrowingLog:
        """Another history by the same key: the same up to `at`."""
        return GrowingLog(self.entries[:at], origin=self.key.name, secret=self.secret)

    def head(self, size: int | None = None) -> Checkpoint:
        size = len(self.entries) if size is None else size
        return Checkpoint(self.key.name, size, root_hash(size, self))

    def note(self, size: int | None = None) -> bytes:
        """The head of some size, signed."""
        return write_note(sign_checkpoint(self.head(size), self.secret))

    def proof(self, old: int, new: int | None = None) -> list[bytes]:
        return consistency(old, len(self.entries) if new is None else new, self)

    def prove_consistency(self, old_size: int, head: Checkpoint) -> Sequence[bytes]:
        self.asked.append(old_size)
        self._check(head)
        return self.proof(old_size, head.size)

    def root_at(self, size: int, head: Checkpoint) -> bytes:
        self._check(head)
        return root_hash(size, self)

    def hashes(self, nodes: Sequence[Node]) -> list[bytes]:
        return [self._hash(level, place) for level, place in nodes]

    def _hash(self, level: int, place: int) -> bytes:
        if level == 0:
            return leaf_hash(self.entries[place])
        return node_hash(self._hash(level - 1, 2 * place), self._hash(level - 1, 2 * place + 1))

    def _check(self, head: Checkpoint) -> None:
        if head.size > len(self.entries) or root_hash(head.size, self) != head.root:
            raise ProofError("these are tiles of another tree")
