"""The tree against RFC 6962's own definition, and that a proof with anything changed is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import InputError, ProofError
from edgekit.transparency.merkle import (
    EMPTY_ROOT,
    check_consistency,
    check_inclusion,
    consistency,
    inclusion,
    leaf_hash,
    node_hash,
    proven_root,
    root_hash,
    subtrees,
)
from tests.transparency.recursive_tree import RecursiveReader, mth, path, proof

ENTRIES = [b"entry %d" % number for number in range(130)]
READER = RecursiveReader(ENTRIES)
ROOTS = [mth(ENTRIES[:size]) for size in range(len(ENTRIES) + 1)]

CT_LEAVES = ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
CT_ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
"""Test vectors of the certificate transparency project."""

sizes = st.integers(1, len(ENTRIES))


def test_the_vectors_of_certificate_transparency() -> None:
    leaves = [bytes.fromhex(leaf) for leaf in CT_LEAVES]
    reader = RecursiveReader(leaves)
    assert tuple(root_hash(size, reader).hex() for size in range(1, 9)) == CT_ROOTS
    assert root_hash(0, reader) == EMPTY_ROOT


def test_every_pair_of_small_trees() -> None:
    """All indexes and all older sizes of all trees of up to 40 entries, against the recursive definition."""
    for size in range(1, 41):
        entries, root = ENTRIES[:size], ROOTS[size]
        for index in range(size):
            found = inclusion(index, size, READER)
            assert found == path(index, entries)
            check_inclusion(leaf_hash(ENTRIES[index]), index, size, found, root)
        for old in range(size + 1):
            found = consistency(old, size, READER)
            assert found == (proof(old, entries) if old else [])
            check_consistency(old, ROOTS[old], size, root, found)
            power = old not in (0, size) and old & (old - 1) == 0
            assert proven_root(old, size, root, found) == (None if power else ROOTS[old])


@given(size=sizes, data=st.data())
def test_trees_of_any_size(size: int, data: st.DataObject) -> None:
    index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, size))
    assert root_hash(size, READER) == ROOTS[size]
    assert inclusion(index, size, READER) == path(index, ENTRIES[:size])
    assert consistency(old, size, READER) == proof(old, ENTRIES[:size])


@given(size=sizes, data=st.data())
def test_a_changed_inclusion_proof_is_none(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    good, leaf = inclusion(index, size, READER), leaf_hash(ENTRIES[index])
    changes = [
        (leaf, index, size, [*good, good[0] if good else leaf], ROOTS[size]),
        (_flip(leaf, data), index, size, good, ROOTS[size]),
        (leaf, index, size, good, _flip(ROOTS[size], data)),
        (leaf, size, size, good, ROOTS[size]),
        (leaf, -1, size, good, ROOTS[size]),
        (leaf, index, 4 * size, good, ROOTS[size]),
    ]
    if good:
        at = data.draw(st.integers(0, len(good) - 1))
        changes.append((leaf, index, size, [*good[:at], _flip(good[at], data), *good[at + 1 :]], ROOTS[size]))
        changes.append((leaf, index, size, good[:at] + good[at + 1 :], ROOTS[size]))
        changes.append((leaf, index, size, [*good[:at], good[at][:31], *good[at + 1 :]], ROOTS[size]))
        changes.append((leaf, (index + 1) % size, size, good, ROOTS[size]))
    for change in changes:
        with pytest.raises(ProofError):
            check_inclusion(*change)


@given(new=st.integers(2, len(ENTRIES)), data=st.data())
def test_a_changed_consistency_proof_is_none(new: int, data: st.DataObject) -> None:
    old = data.draw(st.integers(1, new - 1))
    good = consistency(old, new, READER)
    at = data.draw(st.integers(0, len(good) - 1))
    for change in (
        (old, _flip(ROOTS[old], data), new, ROOTS[new], good),
        (old, ROOTS[old], new, _flip(ROOTS[new], data), good),
        (old, ROOTS[old], new, ROOTS[new], [*good[:at], _flip(good[at], data), *good[at + 1 :]]),
        (old, ROOTS[old], new, ROOTS[new], good[:at] + good[at + 1 :]),
        (old, ROOTS[old], new, ROOTS[new], [*good, good[-1]]),
        (old, ROOTS[old], new, ROOTS[new], []),
        (new, ROOTS[new], old, ROOTS[old], good),
        (new, ROOTS[old], new, ROOTS[new], []),
        (new, ROOTS[new], new, ROOTS[new], good),
        (0, EMPTY_ROOT, new, ROOTS[new], good),
        (0, ROOTS[1], new, ROOTS[new], []),
        (old, ROOTS[old], 4 * new, ROOTS[new], good),
        (old, ROOTS[old], new, ROOTS[new], good * 70),
    ):
        with pytest.raises(ProofError):
            check_consistency(*change)


@given(new=st.integers(2, len(ENTRIES)), data=st.data())
def test_a_fork_shows_in_the_root_that_a_proof_proves(new: int, data: st.DataObject) -> None:
    """Another history of the same length: its proofs hold among themselves, and lead to no root of ours."""
    old = data.draw(st.integers(1, new - 1))
    changed = data.draw(st.integers(0, old - 1))
    fork = [b"other" if at == changed else entry for at, entry in enumerate(ENTRIES[:new])]
    found = consistency(old, new, RecursiveReader(fork))
    check_consistency(old, mth(fork[:old]), new, mth(fork), found)
    with pytest.raises(ProofError):
        check_consistency(old, ROOTS[old], new, mth(fork), found)
    assert proven_root(old, new, mth(fork), found) != ROOTS[old]
    if old & (old - 1):
        with pytest.raises(ProofError):
            proven_root(old, new, ROOTS[new], found)
    with pytest.raises(ProofError):
        proven_root(new, old, ROOTS[old], [])


def test_what_no_tree_has() -> None:
    for index, size in ((0, 0), (5, 5), (-1, 5)):
        with pytest.raises(InputError):
            inclusion(index, size, READER)
    with pytest.raises(InputError):
        consistency(6, 5, READER)


def test_leaves_and_nodes_are_told_apart() -> None:
    """Without their different first bytes, a node could pass for an entry (RFC 6962, 2.1)."""
    left, right = leaf_hash(b"a"), leaf_hash(b"b")
    assert leaf_hash(left + right) != node_hash(left, right)


@given(start=st.integers(0, 2**40), level=st.integers(0, 20), count=st.integers(0, 2**20))
def test_subtrees_cover_each_leaf_once(start: int, level: int, count: int) -> None:
    start, count = start << level, min(count, 1 << level)
    at = start
    for height, place in subtrees(start, start + count):
        assert place << height == at
        at += 1 << height
    assert at == start + count


def _flip(data: bytes, draw: st.DataObject) -> bytes:
    bit = draw.draw(st.integers(0, 8 * len(data) - 1))
    return bytes(byte ^ (1 << bit % 8 if at == bit // 8 else 0) for at, byte in enumerate(data))


def test_a_part_of_a_larger_tree_is_no_tree_of_its_own() -> None:
    """Proofs of the right half of a tree lead on to its root; the sizes say that they should have ended before."""
    with pytest.raises(ProofError, match="too many"):
        check_inclusion(leaf_hash(ENTRIES[3]), 1, 2, inclusion(3, 4, READER), ROOTS[4])
    with pytest.raises(ProofError, match="too many"):
        check_consistency(3, ROOTS[7], 4, ROOTS[8], consistency(7, 8, READER))
