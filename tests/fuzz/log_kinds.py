"""Transparency logs: proofs for offline use, a mirror's static files, and policies; some signed again by the log's key.

A log that signs whatever it is told is an adversary, too: it may show any history, but only one that its signature is
about. What a proof shows is therefore computed a second time, from the tree's definition.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any

from edgekit.transparency.checkpoint import Checkpoint, sign_checkpoint
from edgekit.transparency.cosignature import cosign
from edgekit.transparency.log_reader import LogReader
from edgekit.transparency.merkle import check_consistency, check_inclusion, leaf_hash
from edgekit.transparency.note import COSIGNATURE, SignedNote, VerifierKey, read_note, write_note
from edgekit.transparency.policy import Policy, PolicyGroup, read_policy
from edgekit.transparency.proof import LogProof, check_proof, read_proof, write_proof
from edgekit.transparency.tile_log import found_log
from tests.channel.memory import MemoryTransport
from tests.fuzz import hostile
from tests.fuzz.byte_mutation import mutate_bytes
from tests.fuzz.kinds import Kind, hold
from tests.fuzz.specimens import Specimens, role_key
from tests.transparency.recursive_tree import mth, path

ORIGIN = "example.org/log"
SIZES = (3, 256, 261)
LOG, WITNESSES = role_key(200), (role_key(201), role_key(202), role_key(203))
NAMES = ("ada", "bob", "eve")
LOG_KEY = VerifierKey(ORIGIN, LOG.public)
WITNESS_KEYS = tuple(
    VerifierKey(f"witness.example/{name}", key.public, COSIGNATURE) for name, key in zip(NAMES, WITNESSES, strict=True)
)
ENTRIES = tuple(b"entry %d" % number for number in range(SIZES[-1]))
POLICY = "\n".join(
    (
        f"log {LOG_KEY} https://log.example",
        *(f"witness {name} {key}" for name, key in zip(NAMES, WITNESS_KEYS, strict=True)),
        "# any two of them",
        "group pair 2 ada bob",
        "group all any pair eve",
        "quorum all\n",
    )
)


@dataclass(frozen=True)
class ProofMutant:
    """A `.tlog-proof`, and the entry that it is to prove; whether the log and the witnesses signed what it says."""

    data: bytes
    entry: bytes
    is_resigned: bool


@dataclass(frozen=True)
class Mirror:
    """Files of a log; whether the log's key signed the checkpoint among them."""

    files: Mapping[str, bytes]
    is_resigned: bool


def log_kinds(specimens: Specimens) -> Iterator[Kind[Any]]:
    """All of them."""
    maker = _Logs(specimens)
    yield Kind(
        "log-proof",
        "not signed again: the entry at the index and the head that were proved; signed again: a tree that holds it",
        maker.draw_proof,
        _judge_proof,
        600,
    )
    yield Kind(
        "log-mirror",
        "not signed again: entries and hashes are the log's; signed again: the entries hash to what was signed",
        maker.draw_mirror,
        _judge_mirror,
        400,
    )
    yield Kind(
        "log-policy",
        "it means the same once it is written again, and a quorum is met as its definition says",
        maker.draw_policy,
        _judge_policy,
        300,
    )


def signed(size: int, root: bytes, *, more: Sequence[str] = ()) -> SignedNote:
    """A head that the log and all witnesses signed."""
    note = sign_checkpoint(Checkpoint(ORIGIN, size, root, tuple(more)), LOG)
    pairs = zip(WITNESS_KEYS, WITNESSES, strict=True)
    return note.signed_also([cosign(note.text, vkey.name, key, 1_800_000_000) for vkey, key in pairs])


def proof_specimens(specimens: Specimens) -> list[bytes]:
    """Valid proofs."""
    return [proof for _, _, proof in _Logs(specimens).proofs]


class _Logs:
    def __init__(self, specimens: Specimens) -> None:
        self._specimens = specimens

    @cached_property
    def _heads(self) -> dict[int, SignedNote]:
        return {size: signed(size, mth(ENTRIES[:size])) for size in SIZES}

    @cached_property
    def _mirrors(self) -> list[dict[str, bytes]]:
        """The log's files at each of its sizes."""
        folder, found = self._specimens.folder / "log", []
        log, old = found_log(folder, ORIGIN, LOG), 0
        for size in SIZES:
            log.append(ENTRIES[old:size], LOG)
            old = size
            files = [file for file in folder.rglob("*") if file.is_file() and not file.name.startswith(".")]
            found.append({file.relative_to(folder).as_posix(): file.read_bytes() for file in sorted(files)})
        return found

    @cached_property
    def proofs(self) -> list[tuple[int, int, bytes]]:
        """Size, index, and the proof."""
        return [
            (size, index, write_proof(LogProof(index, tuple(path(index, ENTRIES[:size])), head, extra)))
            for size, head in self._heads.items()
            for index, extra in ((0, None), (size // 2, b"more"), (size - 1, None))
        ]

    def draw_proof(self, random: Random) -> ProofMutant:
        size, index, data = random.choice(self.proofs)
        entry = ENTRIES[index] if random.random() < 0.9 else ENTRIES[random.randrange(size)]
        if random.random() < 0.5:
            return ProofMutant(mutate_bytes(random, data, [proof for _, _, proof in self.proofs]), entry, False)
        proof = read_proof(data)
        hashes = list(proof.hashes)
        for _ in range(random.choice((0, 1, 1, 2))):
            _change_hashes(random, hashes)
        head = (size, mth(ENTRIES[:size])) if random.random() < 0.3 else (_size(random, size), random.randbytes(32))
        if random.random() < 0.4:
            head = (_size(random, size), _folded(entry, index, hashes))
        is_resigned = head != (size, mth(ENTRIES[:size]))
        note = signed(*head) if is_resigned and head[0] else proof.note
        index = index if random.random() < 0.7 else random.choice((0, 1, size - 1, size, 2**63 - 1))
        seen = random.sample(note.signatures, random.choice((4, 4, 4, 3, 2, 1)))
        changed = LogProof(index, tuple(hashes), SignedNote(note.text, tuple(seen)), proof.extra)
        return ProofMutant(write_proof(changed), entry, note is not proof.note)

    def draw_mirror(self, random: Random) -> Mirror:
        at = random.randrange(len(self._mirrors))
        files = dict(self._mirrors[at])
        others = self._mirrors[random.randrange(len(self._mirrors))]
        is_resigned = random.random() < 0.3
        if is_resigned:
            size = _size(random, SIZES[at]) or 1
            note = signed(size, random.choice((mth(ENTRIES[: SIZES[at]]), mth(ENTRIES[:size]), random.randbytes(32))))
            files["checkpoint"] = write_note(note)
        for _ in range(random.choice((0, 1, 1, 2))):
            name = random.choice(sorted(files))
            how = random.random()
            if how < 0.6:
                files[name] = mutate_bytes(random, files[name], list(others.values()))
            elif how < 0.8:
                files[name] = random.choice(sorted(others.values()))
            else:
                del files[name]
            if not files:
                break
        return Mirror(files, is_resigned)

    def draw_policy(self, random: Random) -> bytes:
        if random.random() < 0.5:
            return mutate_bytes(random, POLICY.encode(), [POLICY.encode()])
        lines = POLICY.splitlines()
        for _ in range(random.choice((1, 1, 2, 4))):
            at = random.randrange(len(lines))
            words = lines[at].split(" ")
            how = random.randrange(5)
            if how == 0:
                words[random.randrange(len(words))] = hostile.name(random)
            elif how == 1:
                words.append(random.choice(["none", "ada", "pair", "all", "any", "quorum", "3", "\t"]))
            elif how == 2:
                words = random.choice(lines).split(" ")
            elif how == 3:
                random.shuffle(words)
            else:
                lines.insert(random.randrange(len(lines)), lines[at])
            lines[at] = " ".join(words)
        return "\n".join([*lines, ""]).encode("utf-8", "surrogatepass")


def _change_hashes(random: Random, hashes: list[bytes]) -> None:
    how = random.randrange(4)
    if how == 0 and hashes:
        del hashes[random.randrange(len(hashes))]
    elif how == 1 and len(hashes) < 64:
        hashes.insert(random.randrange(len(hashes) + 1), random.choice([*hashes, random.randbytes(32)]))
    elif how == 2 and hashes:
        hashes[random.randrange(len(hashes))] = random.randbytes(32)
    else:
        random.shuffle(hashes)


def _size(random: Random, size: int) -> int:
    return random.choice((size, size, size + 1, size - 1, 2 * size, 1, 2**63 - 1))


def _folded(entry: bytes, index: int, hashes: Sequence[bytes]) -> bytes:
    """A root that a complete tree would have: what a log that lies would sign."""
    total = leaf_hash(entry)
    for sibling in hashes:
        pair = sibling + total if index & 1 else total + sibling
        total, index = hashlib.sha256(b"\x01" + pair).digest(), index >> 1
    return total


def _judge_proof(mutant: ProofMutant, place: Path) -> None:
    del place
    proven = check_proof(mutant.data, mutant.entry, read_policy(POLICY))
    proof = read_proof(mutant.data)
    hold(write_proof(proof) == mutant.data, "it is another one once it is written")
    hold(proven.witnesses.keys() >= {"eve"} or proven.witnesses.keys() >= {"ada", "bob"}, "too few witnesses")
    hold(0 <= proven.index < proven.size, "the index is beyond the end")
    hold(_root(mutant.entry, proven.index, proven.size, proof.hashes) == proven.checkpoint.root, "the root is another")
    if not mutant.is_resigned:
        head = proven.checkpoint
        hold(head.size in SIZES and head.root == mth(ENTRIES[: head.size]), "no such head was ever signed")
        hold(ENTRIES[proven.index] == mutant.entry, "another entry was proved")


def _root(entry: bytes, index: int, size: int, hashes: Sequence[bytes]) -> bytes | None:
    """RFC 6962's path, run backwards: from the root down, the last hash is the one beside the larger half."""

    def run(m: int, n: int, rest: Sequence[bytes]) -> bytes | None:
        if n == 1:
            return leaf_hash(entry) if not rest else None
        if not rest:
            return None
        k = 1 << (n - 1).bit_length() - 1
        below = run(m, k, rest[:-1]) if m < k else run(m - k, n - k, rest[:-1])
        if below is None:
            return None
        return hashlib.sha256(b"\x01" + (below + rest[-1] if m < k else rest[-1] + below)).digest()

    return run(index, size, hashes)


def _judge_mirror(mirror: Mirror, place: Path) -> None:
    del place
    reader = LogReader(MemoryTransport(dict(mirror.files)), LOG_KEY)
    head = reader.head()
    if not mirror.is_resigned:
        hold(head.size in SIZES and head.root == mth(ENTRIES[: head.size]), "no such head was ever signed")
    last = min(head.size, 600)
    found = list(reader.entries(0, last, head))
    hold(last < head.size or mth(found) == head.root, "the entries do not hash to the root")
    for index in {0, last // 2, last - 1} if last else ():
        proof = reader.prove(index, head)
        check_inclusion(leaf_hash(found[index]), index, head.size, proof, head.root)
    for old in {1, last // 2, last} if last > 1 else ():
        hold(reader.root_at(old, head) == mth(found[:old]), "it has another root for an older size")
        check_consistency(old, mth(found[:old]), head.size, head.root, reader.prove_consistency(old, head))


def _judge_policy(data: bytes, place: Path) -> None:
    del place
    policy = read_policy(data)
    hold(read_policy(_written(policy)) == policy, "it means something else once it is written again")
    note = read_note(write_note(signed(5, bytes(32))))
    groups = {group.name: group for group in policy.groups}
    vkeys = {witness.name: witness.key for witness in policy.witnesses}
    cosigned = {name for name, vkey in vkeys.items() if vkey in WITNESS_KEYS}
    accepted = policy.check(note)
    hold(accepted.log in [log.key for log in policy.logs], "a log that the policy does not have")
    hold(accepted.witnesses.keys() == cosigned, "other witnesses than those that signed")
    hold(policy.quorum == "none" or _is_met(policy.quorum, groups, cosigned), "the quorum is not met")


def _is_met(name: str, groups: Mapping[str, PolicyGroup], cosigned: set[str]) -> bool:
    """The definition, from above."""
    if name not in groups:
        return name in cosigned
    group = groups[name]
    return sum(_is_met(member, groups, cosigned) for member in group.members) >= group.threshold


def _written(policy: Policy) -> bytes:
    lines = [f"log {log.key} {log.url}" for log in policy.logs]
    lines += [f"witness {witness.name} {witness.key} {witness.url}" for witness in policy.witnesses]
    lines += [f"group {group.name} {group.threshold} {' '.join(group.members)}" for group in policy.groups]
    return "\n".join([*lines, f"quorum {policy.quorum}\n"]).encode("utf-8", "surrogateescape")
