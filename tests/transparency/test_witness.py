"""A witness: the statuses of C2SP tlog-witness, and that it never signs two trees of one size."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import InputError, MalformedError, RollbackError, SignatureError, SplitViewError, StorageError
from edgekit.seal.keys import generate
from edgekit.transparency.cosignature import check_cosignature
from edgekit.transparency.memory import CheckpointMemory
from edgekit.transparency.note import NoteSignature, SignedNote, VerifierKey, read_note, read_signature_line, write_note
from edgekit.transparency.splitview import read_evidence
from edgekit.transparency.witness import SIZE_TYPE, Reply, Witness
from edgekit.transparency.witness_request import AddCheckpoint, read_told_size, write_request
from tests.transparency.growing_log import GrowingLog

NOW = 1_764_000_000
NAME = "witness.example/w1"


def make_witness(folder: Path, *logs: GrowingLog) -> Witness:
    return Witness(
        CheckpointMemory(folder), NAME, generate("ed25519"), [log.key for log in logs], clock=lambda: NOW + 0.9
    )


def ask(witness: Witness, log: GrowingLog, old: int, new: int | None = None, proof: list[bytes] | None = None) -> Reply:
    found = (log.proof(old, new) if old else []) if proof is None else proof
    return witness.add_checkpoint(write_request(AddCheckpoint(old, tuple(found), log.note(new))))


def time_of(witness: Witness, log: GrowingLog, reply: Reply, size: int | None = None) -> int:
    """When the reply's cosignature was made; it verifies over that head."""
    lines = reply.body.decode().splitlines()
    note = SignedNote(log.head(size).text, tuple(map(read_signature_line, lines)))
    return check_cosignature(note, witness.key)


def test_cosigns_what_grows(tmp_path: Path) -> None:
    log = GrowingLog().grow(3)
    witness = make_witness(tmp_path, log)
    first = ask(witness, log, 0)
    assert (first.status, time_of(witness, log, first)) == (200, NOW)
    log.grow(300)
    second = ask(witness, log, 3)
    assert (second.status, time_of(witness, log, second)) == (200, NOW)
    again = ask(witness, log, 303)
    assert again.body == second.body


def test_an_answer_is_a_note_signature(tmp_path: Path) -> None:
    """As the specification has it: the client concatenates it to the checkpoint."""
    log = GrowingLog().grow(3)
    witness = make_witness(tmp_path, log)
    note = read_note(log.note() + ask(witness, log, 0).body)
    assert check_cosignature(note, witness.key) == NOW
    assert witness.key.name == NAME


def test_a_log_may_begin_empty(tmp_path: Path) -> None:
    log = GrowingLog()
    witness = make_witness(tmp_path, log)
    assert ask(witness, log, 0).status == 200
    assert ask(witness, log.grow(2), 0).status == 200
    assert ask(witness, log.grow(2), 0).status == 409


def test_tells_the_size_that_it_knows(tmp_path: Path) -> None:
    log = GrowingLog().grow(5)
    witness = make_witness(tmp_path, log)
    nothing = ask(witness, log, 2)
    assert (nothing.status, nothing.content_type, read_told_size(nothing.body)) == (409, SIZE_TYPE, 0)
    ask(witness, log, 0)
    for old in (0, 2, 4):
        reply = ask(witness, log, old)
        assert (reply.status, reply.content_type, reply.body) == (409, SIZE_TYPE, b"5\n")


def test_a_log_that_goes_backwards_is_not_cosigned(tmp_path: Path) -> None:
    log = GrowingLog().grow(5)
    witness = make_witness(tmp_path, log)
    ask(witness, log, 0)
    for old in range(4):
        assert ask(witness, log, old, 4).status == 409
    assert ask(witness, log, 5, 4, []).status == 400


def test_unknown_logs_and_keys(tmp_path: Path) -> None:
    log, other = GrowingLog().grow(3), GrowingLog(origin="example.org/other").grow(3)
    witness = make_witness(tmp_path, log)
    assert ask(witness, other, 0).status == 404
    forger = GrowingLog(log.entries)  # the same name, another key
    assert ask(witness, forger, 0).status == 403
    both = read_note(forger.note()).signed_also(read_note(log.note()).signatures)
    data = write_request(AddCheckpoint(0, (), write_note(both)))
    assert witness.add_checkpoint(data).status == 200  # signatures of unknown keys are ignored


def test_a_spoiled_signature_of_the_log(tmp_path: Path) -> None:
    log = GrowingLog().grow(3)
    witness = make_witness(tmp_path, log)
    note = log.note().replace(b"\n3\n", b"\n4\n")
    assert witness.add_checkpoint(write_request(AddCheckpoint(0, (), note))).status == 403


@pytest.mark.parametrize("proof", [[bytes(32)], [bytes(32)] * 3, []])
def test_a_proof_that_does_not_hold(tmp_path: Path, proof: list[bytes]) -> None:
    log = GrowingLog().grow(3)
    witness = make_witness(tmp_path, log)
    ask(witness, log, 0)
    assert ask(witness, log.grow(8), 3, None, proof).status == 422
    assert ask(witness, log, 3).status == 200


def test_a_proof_where_none_is_due(tmp_path: Path) -> None:
    log = GrowingLog().grow(3)
    witness = make_witness(tmp_path, log)
    assert ask(witness, log, 0, None, [bytes(32)]).status == 422
    ask(witness, log, 0)
    assert ask(witness, log, 3, None, [bytes(32)]).status == 422


@given(old=st.integers(1, 30), common=st.integers(0, 29), new=st.integers(1, 30))
def test_never_two_trees_of_one_log(tmp_path_factory: pytest.TempPathFactory, old: int, common: int, new: int) -> None:
    """Of two histories it signs one, and keeps evidence where the other one was shown to it."""
    common, new = min(common, old - 1, new - 1), max(new, old)
    honest = GrowingLog().grow(old)
    forked = honest.fork(common).grow(new - common, "another")
    folder = tmp_path_factory.mktemp("witness")
    witness = make_witness(folder, honest)
    assert ask(witness, honest, 0).status == 200
    assert ask(witness, forked, old).status == (409 if new == old else 422)
    assert ask(witness, honest, old).status == 200
    files = CheckpointMemory(folder).evidence()
    if new == old or old & (old - 1):  # a proof from a size that is a power of two cannot show it
        (file,) = files
        assert read_evidence(file.read_bytes()).log == honest.key


@given(st.binary(max_size=400))
def test_garbage_is_answered_with_400(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    log = GrowingLog().grow(3)
    witness = make_witness(tmp_path_factory.mktemp("witness"), log)
    good = write_request(AddCheckpoint(0, (), log.note()))
    for body in (data, b"x" + data + good, good[:-40] + data):
        assert witness.add_checkpoint(body).status in (400, 403, 404)


def test_every_flipped_bit_of_a_request_is_refused(tmp_path: Path) -> None:
    log = GrowingLog().grow(3)
    witness = make_witness(tmp_path, log)
    ask(witness, log, 0)
    log.grow(4)
    good = write_request(AddCheckpoint(3, tuple(log.proof(3)), log.note()))
    for place in range(len(good)):
        data = good[:place] + bytes([good[place] ^ 1 << place % 8]) + good[place + 1 :]
        assert witness.add_checkpoint(data).status in (400, 403, 404, 409, 422)
    assert witness.add_checkpoint(good).status == 200


def test_what_it_saw_is_on_the_disk_before_it_signs(tmp_path: Path) -> None:
    log = GrowingLog().grow(3)
    key = generate("ed25519")
    seen: list[int | None] = []

    def clock() -> float:  # asked when it signs
        known = CheckpointMemory(tmp_path).newest(log.key)
        seen.append(known.checkpoint.size if known else None)
        return NOW

    witness = Witness(CheckpointMemory(tmp_path), NAME, key, [log.key], clock=clock)
    ask(witness, log, 0)
    ask(witness, log.grow(2), 3)
    assert seen == [3, 5]


def test_what_cannot_be_written_down_is_not_signed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = GrowingLog().grow(3)
    witness = make_witness(tmp_path, log)
    ask(witness, log, 0)
    log.grow(2)

    def full(self: CheckpointMemory, note: bytes, log: VerifierKey) -> None:
        raise StorageError("the disk is full")

    monkeypatch.setattr(CheckpointMemory, "write", full)
    with pytest.raises(StorageError):
        ask(witness, log, 3)


def test_a_damaged_memory_signs_nothing(tmp_path: Path) -> None:
    log = GrowingLog().grow(3)
    witness = make_witness(tmp_path, log)
    ask(witness, log, 0)
    (file,) = tmp_path.glob("*.checkpoint")
    file.write_bytes(b"")
    with pytest.raises(MalformedError, match="cannot be used"):
        ask(witness, log, 0)


def test_conflicting_requests_at_the_same_time(tmp_path: Path) -> None:
    """Many threads, two histories, several witnesses of one memory: of every size at most one tree is cosigned."""
    honest = GrowingLog().grow(40)
    forked = honest.fork(7).grow(33, "another")
    key = generate("ed25519")
    ready = threading.Barrier(8)
    signed: dict[int, set[bytes]] = {}
    statuses: list[int] = []

    def work(log: GrowingLog, begin: int) -> None:
        witness = Witness(CheckpointMemory(tmp_path), NAME, key, [honest.key])
        ready.wait()
        known = 0
        for size in range(begin, 41, 3):
            reply = ask(witness, log, min(known, size), size)
            if reply.status == 409:
                known = read_told_size(reply.body)
                reply = ask(witness, log, min(known, size), size)
            statuses.append(reply.status)
            if reply.status == 200:
                known = size
                signed.setdefault(size, set()).add(log.head(size).root)

    threads = [threading.Thread(target=work, args=(log, begin)) for log in (honest, forked) for begin in (1, 2, 8, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(statuses) <= {200, 409, 422}
    assert all(len(roots) == 1 for roots in signed.values())
    last = max(signed)
    (root,) = signed[last]
    winner = honest if honest.head(last).root == root else forked
    assert all(roots == {winner.head(size).root} for size, roots in signed.items())


def test_one_log_has_one_key(tmp_path: Path) -> None:
    one, two = GrowingLog(), GrowingLog()
    with pytest.raises(InputError, match="two keys"):
        make_witness(tmp_path, one, two)
    assert make_witness(tmp_path, one, one).logs == (one.key,)


def test_cosigns_a_static_log(tmp_path: Path) -> None:
    log = GrowingLog().grow(3)
    witness = make_witness(tmp_path, log)
    for _ in range(2):
        log.grow(5)
        note = read_note(witness.cosign(log.note(), log))
        assert note.text == log.head().text
        assert check_cosignature(note, witness.key) == NOW
    with pytest.raises(RollbackError):
        witness.cosign(log.note(4), log)
    with pytest.raises(SplitViewError):
        witness.cosign(log.fork(4).grow(30, "another").note(), log.fork(4).grow(30, "another"))
    with pytest.raises(SignatureError, match="does not know"):
        witness.cosign(GrowingLog(origin="example.org/other").note(), log)


def test_a_mirror_that_fills_a_head_with_signatures_of_nobody(tmp_path: Path) -> None:
    """What the witness makes of it can be read by the log's owner; others' signatures stay where there is room."""
    log = GrowingLog().grow(3)
    witness = make_witness(tmp_path, log)
    junk = [NoteSignature(f"junk{number}", bytes(4), bytes(64)) for number in range(99)]
    for others, left in ((junk[:98], 100), (junk, 2)):
        note = read_note(witness.cosign(write_note(read_note(log.note()).signed_also(others))))
        assert len(note.signatures) == left
        assert check_cosignature(note, witness.key) == NOW
        assert note.by(log.key) == read_note(log.note()).signatures
