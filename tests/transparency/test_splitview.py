"""Evidence of a split view: convinces whoever checks it, and nobody can make it against an honest log."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import MalformedError, ProofError, TrustError
from edgekit.transparency.splitview import (
    LARGEST_BYTES,
    Evidence,
    SignedHead,
    compare,
    forked_root,
    read_evidence,
    write_evidence,
)
from edgekit.types.strict_json import canonical
from tests.transparency.growing_log import GrowingLog


def head_of(log: GrowingLog, size: int | None = None) -> SignedHead:
    return SignedHead(log.note(size), log.head(size))


def forked(old: int = 6, common: int = 3, new: int = 9) -> tuple[GrowingLog, Evidence]:
    """A log that signed two histories, and what shows it."""
    log = GrowingLog().grow(old)
    other = log.fork(common).grow(new - common, "another")
    evidence = compare(head_of(log), head_of(other), log.key, [log, other])
    assert evidence is not None
    return log, evidence


@pytest.mark.parametrize(("old", "new"), [(6, 9), (6, 6), (8, 13), (1, 2), (16, 16), (255, 257), (256, 300)])
def test_reads_what_it_wrote(old: int, new: int) -> None:
    log, evidence = forked(old, 0, new)
    assert read_evidence(write_evidence(evidence)) == evidence
    error = evidence.error(kept="state/evidence/ab.json")
    assert error.heads == (evidence.heads[0].decode(), evidence.heads[1].decode())
    for shown in (log.key.name, "kept in state/evidence/ab.json", *error.heads):
        assert shown.strip() in str(error)


def test_heads_of_one_history_make_none() -> None:
    log = GrowingLog().grow(9)
    for small in range(10):
        for large in range(10):
            assert compare(head_of(log, small), head_of(log, large), log.key, [log]) is None


@given(small=st.integers(1, 12), large=st.integers(1, 12), root=st.binary(min_size=32, max_size=32))
def test_nobody_accuses_an_honest_log(small: int, large: int, root: bytes) -> None:
    """Whatever is claimed of two heads of one history."""
    log = GrowingLog().grow(12)
    small, large = sorted((small, large))
    for claimed in (root, log.head(small).root, log.head(large).root):
        for proof in ((), tuple(log.proof(small, large)), (root,)):
            evidence = Evidence(log.key, (log.note(small), log.note(large)), claimed, proof)
            with pytest.raises(ProofError):
                read_evidence(write_evidence(evidence))


def test_every_flipped_bit_is_noticed() -> None:
    _, evidence = forked()
    data = write_evidence(evidence)
    for place in range(len(data)):
        changed = data[:place] + bytes([data[place] ^ 1 << place % 8]) + data[place + 1 :]
        with pytest.raises(TrustError):
            read_evidence(changed)


CHANGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "another schema": lambda table: table.update(schema="edgekit.split-view/2"),
    "no log": lambda table: table.update(log=7),
    "a log of a name that is none": lambda table: table.update(log=f" {table['log']}"),
    "another log": lambda table: table.update(log=str(GrowingLog().key)),
    "one head": lambda table: table["heads"].pop(),
    "heads that are no texts": lambda table: table.update(heads=[1, 2]),
    "the same head twice": lambda table: table.update(heads=[table["heads"][0]] * 2),
    "the heads exchanged": lambda table: table["heads"].reverse(),
    "no root": lambda table: table.update(root=None),
    "a short root": lambda table: table.update(root="AAAA"),
    "no proof": lambda table: table.update(proof=[]),
    "a long proof": lambda table: table.update(proof=table["proof"] * 40),
    "a proof that is none": lambda table: table.update(proof="AAAA"),
    "something more": lambda table: table.update(more=1),
    "something less": lambda table: table.pop("log"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_is_no_evidence(name: str) -> None:
    _, evidence = forked()
    table = json.loads(write_evidence(evidence))
    CHANGES[name](table)
    with pytest.raises(TrustError):
        read_evidence(canonical(table))


def test_evidence_is_bounded_and_canonical() -> None:
    _, evidence = forked()
    with pytest.raises(MalformedError):
        read_evidence(b" " * (LARGEST_BYTES + 1))
    with pytest.raises(MalformedError, match="canonical"):
        read_evidence(write_evidence(evidence) + b"\n")


@given(old=st.integers(1, 40), new=st.integers(2, 41), common=st.integers(0, 39))
def test_a_failed_proof_may_show_the_fork(old: int, new: int, common: int) -> None:
    if new <= old:
        return
    log = GrowingLog().grow(old)
    common = min(common, old - 1)
    other = log.fork(common).grow(new - common, "another")
    found = forked_root(log.head(), other.head(), other.proof(old))
    assert found == (other.head(old).root if old & (old - 1) else None)
    assert forked_root(other.head(old), other.head(), other.proof(old)) is None
    assert forked_root(log.head(), other.head(), [bytes(32)] * 3) is None
