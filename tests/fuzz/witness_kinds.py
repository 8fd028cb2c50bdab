"""Witnesses and evidence: requests of strangers, whole conversations with a witness, and what convicts a log.

The log is an adversary here: it signs any head, also two that cannot both be true. What it may not get is a witness's
word for both; and what nobody may get is evidence against a log that only ever signed one history.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

from edgekit.errors import EdgekitError, InputError, WitnessError
from edgekit.transparency.checkpoint import Checkpoint, read_checkpoint, sign_checkpoint
from edgekit.transparency.cosignature import check_cosignature
from edgekit.transparency.memory import CheckpointMemory
from edgekit.transparency.merkle import leaf_hash, node_hash
from edgekit.transparency.note import SignedNote, VerifierKey, read_note, read_signature_line, write_note
from edgekit.transparency.splitview import read_evidence, write_evidence
from edgekit.transparency.witness import SIZE_TYPE, Reply, Witness
from edgekit.transparency.witness_request import (
    MOST_PROOF_LINES,
    AddCheckpoint,
    read_request,
    read_told_size,
    write_request,
)
from edgekit.types.strict_json import canonical
from tests.fuzz.byte_mutation import mutate_bytes
from tests.fuzz.json_mutation import mutate_json
from tests.fuzz.kinds import Kind, LawError, hold
from tests.fuzz.log_kinds import LOG, LOG_KEY, ORIGIN, WITNESSES
from tests.fuzz.specimens import Specimens
from tests.transparency.recursive_tree import mth, proof

NOW = 1_800_000_000
LONGEST = 24
"""Entries of a history; its trees have every shape that matters up to there."""
STATUSES = (200, 400, 403, 404, 409, 422)


@dataclass(frozen=True)
class Accusation:
    """Evidence; whether the log that it is about ever signed a second history."""

    data: bytes
    has_forked: bool


def witness_kinds(specimens: Specimens) -> Iterator[Kind[Any]]:
    """All of them."""
    del specimens
    yield Kind(
        "witness-request",
        "it reads the same once it is written, and holds no more hashes than a proof can have",
        lambda random: mutate_bytes(random, _request(random), [_request(random)]),
        _judge_request,
        300,
    )
    yield Kind(
        "witness-talk",
        "a status of the specification for each; what is cosigned are trees of one history, each as long as the last",
        _draw_talk,
        _judge_talk,
        300,
    )
    yield Kind(
        "split-evidence",
        "two heads that its log signed; none is accepted against a log that signed one history",
        _draw_accusation,
        _judge_accusation,
        300,
    )


@cache
def history(branch: int, at: int) -> tuple[bytes, ...]:
    """Entries of a history that leaves the first one after `at`; branch 0 is the first one."""
    return tuple(b"entry %d of %d" % (number, branch if number >= at else 0) for number in range(LONGEST))


@cache
def _note(branch: int, at: int, size: int, extension: str = "") -> bytes:
    """A head that the log signed."""
    more = (extension,) if extension else ()
    return write_note(sign_checkpoint(Checkpoint(ORIGIN, size, mth(history(branch, at)[:size]), more), LOG))


def _request(random: Random, *, old: int | None = None) -> bytes:
    """What a log may ask for: mostly what is due, from one of a few histories."""
    branch = random.choice((0, 0, 0, 1, 2))
    at = random.choice((0, 1, 4, 7, 8)) if branch else 0
    size = random.randint(0, LONGEST)
    old = random.randint(0, size) if old is None or random.random() < 0.1 else old
    entries = history(branch, at)
    hashes = proof(old, entries[:size]) if 0 < old < size else []
    note = _note(branch, at, size, random.choice(("", "", "", "more")))
    how = random.random()
    if how < 0.15 and hashes:
        hashes[random.randrange(len(hashes))] = random.randbytes(32)
    elif how < 0.2:
        hashes = [random.randbytes(32) for _ in range(random.choice((1, 3, MOST_PROOF_LINES, MOST_PROOF_LINES + 1)))]
    elif how < 0.3 and 0 < old < LONGEST:  # a tree that goes on from a real one with something that nobody has seen
        hashes, head = _unseen(random, entries[:old])
        note = write_note(sign_checkpoint(head, LOG))
    return write_request(AddCheckpoint(old, tuple(hashes), note))


def _unseen(random: Random, entries: Sequence[bytes]) -> tuple[list[bytes], Checkpoint]:
    """A tree twice as large as the full one that some entries are part of; of its right half only the hash exists."""
    size = 1 << (len(entries) - 1).bit_length()
    padded = [*entries, *(b"padding" for _ in range(size - len(entries)))]
    right = random.randbytes(32)
    hashes = [*(proof(len(entries), padded) if len(entries) < size else []), right]
    return hashes, Checkpoint(ORIGIN, 2 * size, node_hash(mth(padded), right))


def _draw_talk(random: Random) -> list[bytes]:
    """Requests one after another; most start from the size that the witness then knows, if it took all before."""
    talk, known = [], 0
    for _ in range(random.randint(1, 6)):
        data = _request(random, old=known)
        if random.random() < 0.15:
            data = mutate_bytes(random, data, talk)
        else:
            note = data.partition(b"\n\n")[2]
            known = int(note.split(b"\n")[1])
        talk.append(data)
    return talk


def _draw_accusation(random: Random) -> Accusation:
    branch, at = random.choice((0, 0, 1)), random.choice((0, 1, 4, 7))
    small, large = sorted((random.randint(1, LONGEST), random.randint(1, LONGEST)))
    before, after = history(0, 0)[:small], history(branch, at)[:large]
    root, hashes = mth(after[:small]), proof(small, after) if small < large else []
    if random.random() < 0.6:
        root, hashes = _other(random, root, hashes, mth(before))
    value = {
        "schema": "edgekit.split-view/1",
        "log": str(LOG_KEY),
        "heads": [_note(0, 0, small).decode(), _note(branch, at, large).decode()],
        "root": b64encode(root).decode(),
        "proof": [b64encode(each).decode() for each in hashes],
    }
    data = canonical(value)
    return Accusation(mutate_json(random, data) if random.random() < 0.4 else data, has_forked=branch != 0)


def _other(random: Random, root: bytes, hashes: list[bytes], other: bytes) -> tuple[bytes, list[bytes]]:
    """What somebody would try who wants to convict an honest log."""
    how = random.randrange(5)
    if how == 0:
        return random.choice((random.randbytes(32), other, leaf_hash(b""), bytes(32))), hashes
    if how == 1:
        return random.randbytes(32), [random.randbytes(32), *hashes]
    if how == 2 and hashes:
        return hashes[0], hashes[1:]
    if how == 3 and hashes:
        return random.choice(hashes), random.sample(hashes, len(hashes))
    return root, [*hashes, root]


def _judge_request(data: bytes, place: Path) -> None:
    del place
    request = read_request(data)
    hold(write_request(request) == data, "it is another one once it is written")
    hold(len(request.proof) <= MOST_PROOF_LINES and all(len(each) == 32 for each in request.proof), "its proof")
    hold(0 <= request.old_size < 2**63, "its size")


def _judge_talk(talk: Sequence[bytes], place: Path) -> None:
    memory = CheckpointMemory(place / "memory")
    witness = Witness(memory, "witness.example/w", WITNESSES[0], [LOG_KEY], clock=lambda: NOW)
    seen: list[Checkpoint] = []
    statuses = []
    for data in talk:
        try:
            reply = witness.add_checkpoint(data)
        except EdgekitError as error:
            hold(False, f"it is no answer to raise {error!r}")
            raise
        statuses.append(reply.status)
        hold(reply.status in STATUSES and len(reply.body) < 1000, f"status {reply.status}, {reply.body[:80]!r}")
        hold((reply.content_type == SIZE_TYPE) is (reply.status == 409), "the type of the answer")
        if reply.status == 409:
            hold(read_told_size(reply.body) == (seen[-1].size if seen else 0), "it told another size than it knows")
        if reply.status == 200:
            seen.append(_cosigned(reply, data, witness.key))
            known = memory.newest(LOG_KEY)
            hold(known is not None and known.checkpoint.root == seen[-1].root, "it signed before it remembered")
    for before, after in pairwise(seen):
        hold(before.size < after.size or before.root == after.root, "the log went back, or has two trees of one size")
        for entries in _entries_of(after):
            hold(mth(entries[: before.size]) == before.root, "what it had signed is no beginning of this tree")
    for file in memory.evidence():
        read_evidence(file.read_bytes())
    if 200 not in statuses:
        raise WitnessError(f"nothing was cosigned: {statuses}")


def _cosigned(reply: Reply, data: bytes, key: VerifierKey) -> Checkpoint:
    """The checkpoint that a reply is a cosignature of."""
    text = read_note(read_request(data).checkpoint).text
    lines = reply.body.decode().removesuffix("\n").split("\n")
    when = check_cosignature(SignedNote(text, tuple(map(read_signature_line, lines))), key)
    hold(when == NOW, "another time")
    return read_checkpoint(text)


def _entries_of(head: Checkpoint) -> Iterator[Sequence[bytes]]:
    """The entries of a tree, where it is one of our histories."""
    for branch, at in ((0, 0), *((branch, at) for branch in (1, 2) for at in (0, 1, 4, 7, 8))):
        entries = history(branch, at)[: head.size]
        if len(entries) == head.size and mth(entries) == head.root:
            yield entries


def _judge_accusation(mutant: Accusation, place: Path) -> None:
    del place
    try:
        evidence = read_evidence(mutant.data)
    except InputError as error:
        raise LawError("a stranger's file is nothing that the user handed over") from error
    hold(write_evidence(evidence) == mutant.data, "it is another one once it is written")
    hold(evidence.log == LOG_KEY, "it is about another log, whose key nobody here has")
    hold(mutant.has_forked, "it convicts a log that signed one history")
