"""The merkle tree of RFC 6962, section 2.1: its hashes, and proofs that it holds an entry or continues another tree.

A complete subtree is named by its level and its place there: (level, n) holds the leaves n * 2**level up to
(n + 1) * 2**level. A tree of any size is made of such subtrees, one for each 1 in the binary form of its size.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Protocol, TypeAlias

from edgekit.errors import InputError, ProofError

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()
"""Root of the tree without leaves."""
MOST_HASHES = 64
"""No proof for a tree of less than 2**63 leaves has more."""

Node: TypeAlias = tuple[int, int]
"""A complete subtree: level, and place at that level."""


class HashReader(Protocol):
    """Whoever knows the hashes of a tree's complete subtrees."""

    def hashes(self, nodes: Sequence[Node]) -> list[bytes]:
        """Hash of each subtree, in that order.

        Raises:
            ProofError: What is stored does not belong to the tree.
        """
        ...


def leaf_hash(entry: bytes) -> bytes:
    """Hash of an entry as a leaf."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of two subtrees side by side."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def subtrees(start: int, stop: int) -> list[Node]:
    """The complete subtrees that make up the leaves from `start` to before `stop`, largest first.

    Args:
        start: A multiple of every power of two that is at most `stop - start`.
        stop: One past the last leaf.

    >>> subtrees(0, 7)
    [(2, 0), (1, 2), (0, 6)]
    """
    found = []
    while start < stop:
        level = (stop - start).bit_length() - 1
        found.append((level, start >> level))
        start += 1 << level
    return found


def joined(hashes: Sequence[bytes]) -> bytes:
    """Hash of what `subtrees` lists; EMPTY_ROOT of nothing."""
    if not hashes:
        return EMPTY_ROOT
    total = hashes[-1]
    for left in reversed(hashes[:-1]):
        total = node_hash(left, total)
    return total


def root_hash(size: int, reader: HashReader) -> bytes:
    """Root of the tree of the first `size` leaves."""
    return joined(reader.hashes(subtrees(0, size)))


def inclusion(index: int, size: int, reader: HashReader) -> list[bytes]:
    """Proof that a leaf is in a tree (RFC 6962, 2.1.1): hashes from its sibling up to the root's child.

    Args:
        index: Of the leaf, from 0.
        size: Of the tree.
        reader: Of a tree of at least that size.

    Raises:
        InputError: The tree has no such leaf.
        ProofError: What is stored does not belong to the tree.
    """
    if not 0 <= index < size:
        raise InputError(f"a log of {size} entries has no entry {index}", hint="entries are counted from 0")
    runs: list[list[Node]] = []
    start, stop = 0, size
    while stop - start > 1:
        middle = start + _split(stop - start)
        if index < middle:
            runs.append(subtrees(middle, stop))
            stop = middle
        else:
            runs.append(subtrees(start, middle))
            start = middle
    return _read_runs(runs, reader)


def consistency(old: int, new: int, reader: HashReader) -> list[bytes]:
    """Proof that a tree is the beginning of a larger one (RFC 6962, 2.1.2).

    Args:
        old: Size of the tree that was known; 0 needs no proof.
        new: Size of the larger one.
        reader: Of a tree of at least that size.

    Raises:
        InputError: The known tree is the larger one.
        ProofError: What is stored does not belong to the tree.
    """
    if not 0 <= old <= new:
        raise InputError(f"a log of {new} entries is no continuation of one of {old}")
    if old in (0, new):
        return []
    runs: list[list[Node]] = []
    start, stop = 0, new
    while stop != old:
        middle = start + _split(stop - start)
        if old <= middle:
            runs.append(subtrees(middle, stop))
            stop = middle
        else:
            runs.append(subtrees(start, middle))
            start = middle
    if start:
        runs.append(subtrees(start, stop))
    return _read_runs(runs, reader)


def check_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Do nothing where a proof shows a leaf in a tree (RFC 9162, 2.1.3.2).

    Args:
        leaf: Hash of the leaf, `leaf_hash(entry)`.
        index: Of the leaf, from 0.
        size: Of the tree.
        proof: As `inclusion` makes it.
        root: Hash of the tree.

    Raises:
        ProofError: It does not.
    """
    if not 0 <= index < size:
        raise ProofError(f"a tree of {size} leaves has no leaf {index}")
    _check_hashes((leaf, root, *proof))
    place, last, total = index, size - 1, leaf
    for sibling in proof:
        if not last:
            raise ProofError(f"the proof of leaf {index} in a tree of {size} has too many hashes, {len(proof)}")
        if place & 1 or place == last:
            total = node_hash(sibling, total)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            total = node_hash(total, sibling)
        place, last = place >> 1, last >> 1
    if last or total != root:
        raise ProofError(f"the proof does not lead from leaf {index} to the root of the tree of {size} leaves")


def check_consistency(old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Do nothing where a proof shows that one tree is the beginning of another (RFC 9162, 2.1.4.2).

    Args:
        old: Size of the smaller tree; of 0, whose root is EMPTY_ROOT, every tree is a continuation.
        old_root: Hash of the smaller tree.
        new: Size of the larger one, or of the same.
        new_root: Hash of the larger one.
        proof: As `consistency` makes it.

    Raises:
        ProofError: It does not.
    """
    if not 0 <= old <= new:
        raise ProofError(f"a tree of {new} leaves is no continuation of one of {old}")
    _check_hashes((old_root, new_root, *proof))
    if old in (0, new):
        expected = EMPTY_ROOT if old == 0 else new_root
        if proof or old_root != expected:
            raise ProofError(f"two trees of {old} leaves have different roots, or came with a proof that nothing needs")
        return
    before, after = _fold(old, new, proof, old_root)
    if before != old_root or after != new_root:
        raise ProofError(f"the proof does not lead from the tree of {old} leaves to the one of {new}")


def proven_root(old: int, new: int, new_root: bytes, proof: Sequence[bytes]) -> bytes | None:
    """Root that a tree had when it was smaller, as a consistency proof of that same tree shows it.

    Where somebody knows another root for that size, the two are two histories.

    Args:
        old: Size of the smaller tree.
        new: Size of the larger one.
        new_root: Hash of the larger one.
        proof: As `consistency` makes it from the larger tree.

    Returns:
        The hash; None where `old` is a power of two: such a root is no part of the proof.

    Raises:
        ProofError: The proof does not lead to the root of the larger tree.
    """
    if not 0 <= old <= new:
        raise ProofError(f"a tree of {new} leaves is no continuation of one of {old}")
    _check_hashes((new_root, *proof))
    if old in (0, new):
        return EMPTY_ROOT if old == 0 else new_root
    if old & (old - 1) == 0:
        return None
    before, after = _fold(old, new, proof, b"")
    if after != new_root:
        raise ProofError(f"the proof does not lead to the root of the tree of {new} leaves")
    return before


def _fold(old: int, new: int, proof: Sequence[bytes], old_root: bytes) -> tuple[bytes, bytes]:
    """Roots of both trees as a proof has them; 0 < old < new. `old_root` is used where it is a part of the larger tree.

    Raises:
        ProofError: The proof has not as many hashes as it should.
    """
    rest = list(proof)
    if old & (old - 1) == 0:
        rest.insert(0, old_root)
    place, last = old - 1, new - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    if not rest:
        raise ProofError(f"the proof from {old} to {new} leaves is empty")
    before = after = rest[0]
    for sibling in rest[1:]:
        if not last:
            raise ProofError(f"the proof from {old} to {new} leaves has too many hashes")
        if place & 1 or place == last:
            before, after = node_hash(sibling, before), node_hash(sibling, after)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            after = node_hash(after, sibling)
        place, last = place >> 1, last >> 1
    if last:
        raise ProofError(f"the proof from {old} to {new} leaves has too few hashes")
    return before, after


def _split(count: int) -> int:
    """Leaves left of the root of a tree of more than one: the largest power of two that is smaller."""
    return 1 << (count - 1).bit_length() - 1


def _read_runs(runs: Sequence[Sequence[Node]], reader: HashReader) -> list[bytes]:
    """Hash of each run of subtrees, the last run first."""
    found = iter(reader.hashes([node for run in runs for node in run]))
    return [joined([next(found) for _ in run]) for run in runs][::-1]


def _check_hashes(hashes: Sequence[bytes]) -> None:
    if len(hashes) > MOST_HASHES + 2 or any(len(each) != HASH_BYTES for each in hashes):
        raise ProofError(f"a proof has at most {MOST_HASHES} hashes of {HASH_BYTES} bytes")
