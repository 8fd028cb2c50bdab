"""What is remembered of a log: forward, by a proof; never to another history, and never lost without a word."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import (
    AbsentError,
    MalformedError,
    ProofError,
    RollbackError,
    SignatureError,
    SourcesError,
    SplitViewError,
)
from edgekit.transparency.checkpoint import Checkpoint
from edgekit.transparency.memory import MOST_EVIDENCE, CheckpointMemory
from edgekit.transparency.note import LARGEST_TEXT_BYTES, NoteSignature, SignedNote, sign, write_note
from edgekit.transparency.splitview import read_evidence
from tests.transparency.growing_log import GrowingLog


class Absent:
    """A mirror that is not there."""

    url = "http://gone.example"

    def prove_consistency(self, old_size: int, head: Checkpoint) -> list[bytes]:
        raise AbsentError("there is no file log/tile/0/000", source=self.url)

    def root_at(self, size: int, head: Checkpoint) -> bytes:
        raise AbsentError("there is no file log/tile/0/000", source=self.url)


class Liar(GrowingLog):
    """A mirror that shows hashes of its own making."""

    def prove_consistency(self, old_size: int, head: Checkpoint) -> list[bytes]:
        return [bytes(32)] * 3

    def root_at(self, size: int, head: Checkpoint) -> bytes:
        return bytes(32)


def size_of(memory: CheckpointMemory, log: GrowingLog) -> int | None:
    known = memory.newest(log.key)
    return known.checkpoint.size if known else None


def test_goes_forward_by_a_proof(tmp_path: Path) -> None:
    log, memory = GrowingLog().grow(3), CheckpointMemory(tmp_path / "memory")
    assert memory.newest(log.key) is None
    assert memory.advance(log.note(), log.key).size == 3
    log.grow(9)
    assert memory.advance(log.note(), log.key, log) == log.head()
    assert log.asked == [3]
    found = CheckpointMemory(tmp_path / "memory").newest(log.key)
    assert found is not None
    assert (found.note, found.checkpoint) == (log.note(), log.head())


def test_the_same_head_again_needs_no_proof(tmp_path: Path) -> None:
    log, memory = GrowingLog().grow(3), CheckpointMemory(tmp_path)
    for _ in range(2):
        memory.advance(log.note(), log.key)
    assert log.asked == []


def test_without_a_proof_it_stays(tmp_path: Path) -> None:
    log, memory = GrowingLog().grow(3), CheckpointMemory(tmp_path)
    memory.advance(log.note(), log.key)
    log.grow(2)
    with pytest.raises(ProofError, match=r"nobody shows that the log example\.org/log only grew from 3 to 5"):
        memory.advance(log.note(), log.key)
    with pytest.raises(SourcesError, match=r"gone\.example: there is no file"):
        memory.advance(log.note(), log.key, Absent())
    with pytest.raises(ProofError):
        memory.advance(log.note(), log.key, Absent(), Liar())
    assert size_of(memory, log) == 3
    assert memory.advance(log.note(), log.key, Absent(), Liar(), log).size == 5


def test_another_logs_head_is_none_of_this_one(tmp_path: Path) -> None:
    log, memory = GrowingLog().grow(3), CheckpointMemory(tmp_path)
    with pytest.raises(SignatureError):
        memory.advance(GrowingLog().grow(4).note(), log.key, log)
    assert memory.newest(log.key) is None


def test_two_logs_are_remembered_apart(tmp_path: Path) -> None:
    one, two = GrowingLog().grow(3), GrowingLog(origin="example.org/other").grow(7)
    memory = CheckpointMemory(tmp_path)
    for log in (one, two):
        memory.advance(log.note(), log.key)
    assert (size_of(memory, one), size_of(memory, two)) == (3, 7)


@given(old=st.integers(1, 40), common=st.integers(0, 39), new=st.integers(1, 40))
def test_a_fork_is_evidence_at_every_size(
    tmp_path_factory: pytest.TempPathFactory, old: int, common: int, new: int
) -> None:
    """Whatever the two sizes and wherever the histories part; the evidence convinces a third person by itself."""
    common = min(common, old - 1, new - 1)
    honest = GrowingLog().grow(old)
    forked = honest.fork(common).grow(new - common, "another")
    memory = CheckpointMemory(tmp_path_factory.mktemp("memory"))
    memory.advance(honest.note(), honest.key)
    with pytest.raises(SplitViewError) as caught:
        memory.advance(forked.note(), honest.key, honest, forked)
    assert {head.encode() for head in caught.value.heads} == {honest.note(), forked.note()}
    (file,) = memory.evidence()
    assert str(file) in str(caught.value)
    evidence = read_evidence(file.read_bytes())
    assert evidence.log == honest.key
    assert size_of(memory, honest) == old


@given(old=st.integers(1, 40), new=st.integers(0, 39))
def test_a_stale_head_is_no_fork(tmp_path_factory: pytest.TempPathFactory, old: int, new: int) -> None:
    log = GrowingLog().grow(old)
    memory = CheckpointMemory(tmp_path_factory.mktemp("memory"))
    memory.advance(log.note(), log.key)
    if new >= old:
        return
    with pytest.raises(RollbackError, match=f"shown with {new} entries, and had {old} before$"):
        memory.advance(log.note(new), log.key, log)
    assert memory.evidence() == ()
    assert size_of(memory, log) == old


def test_a_smaller_head_that_nobody_can_judge_is_refused_all_the_same(tmp_path: Path) -> None:
    log, memory = GrowingLog().grow(6), CheckpointMemory(tmp_path)
    memory.advance(log.note(), log.key)
    with pytest.raises(RollbackError, match="whether that continues it, nobody shows"):
        memory.advance(log.fork(2).grow(1, "another").note(), log.key, Absent())


def test_a_lying_mirror_makes_no_evidence_against_an_honest_log(tmp_path: Path) -> None:
    log, memory = GrowingLog().grow(6), CheckpointMemory(tmp_path)
    memory.advance(log.note(), log.key)
    log.grow(7)
    with pytest.raises(ProofError):
        memory.advance(log.note(), log.key, Liar(), log.fork(2).grow(40, "another"))
    assert memory.evidence() == ()


def test_damage_is_an_error_and_no_fresh_start(tmp_path: Path) -> None:
    log, memory = GrowingLog().grow(6), CheckpointMemory(tmp_path)
    memory.advance(log.note(), log.key)
    (file,) = tmp_path.glob("*.checkpoint")
    good = file.read_bytes()
    for bad in (b"", good[:-9], good.replace(b"\n6\n", b"\n5\n"), b"x" * 10**6):
        file.write_bytes(bad)
        with pytest.raises(MalformedError, match="cannot be used"):
            memory.newest(log.key)
        with pytest.raises(MalformedError):
            memory.advance(log.fork(1).grow(20, "another").note(), log.key)
    file.write_bytes(good)
    assert size_of(memory, log) == 6


def test_every_flipped_bit_of_the_memory_is_noticed(tmp_path: Path) -> None:
    log, memory = GrowingLog().grow(2), CheckpointMemory(tmp_path)
    memory.advance(log.note(), log.key)
    (file,) = tmp_path.glob("*.checkpoint")
    good = file.read_bytes()
    for place in range(len(good)):
        file.write_bytes(good[:place] + bytes([good[place] ^ 1 << place % 8]) + good[place + 1 :])
        with pytest.raises(MalformedError):
            memory.newest(log.key)


def test_what_a_kill_left_behind_is_no_harm(tmp_path: Path) -> None:
    log, memory = GrowingLog().grow(2), CheckpointMemory(tmp_path)
    memory.advance(log.note(), log.key)
    (file,) = tmp_path.glob("*.checkpoint")
    file.with_name(f".{file.name}.new").write_bytes(b"half a")
    log.grow(2)
    memory.advance(log.note(), log.key, log)
    assert size_of(memory, log) == 4


def test_several_at_once_end_with_the_largest(tmp_path: Path) -> None:
    log = GrowingLog().grow(24)
    faults: list[BaseException] = []

    def work(size: int) -> None:
        try:
            CheckpointMemory(tmp_path).advance(log.note(size), log.key, log)
        except RollbackError:
            pass  # another thread was faster
        except BaseException as error:  # shown below
            faults.append(error)

    threads = [threading.Thread(target=work, args=(size,)) for size in range(1, 25)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert size_of(CheckpointMemory(tmp_path), log) == 24


def test_evidence_does_not_fill_the_disk(tmp_path: Path) -> None:
    log, memory = GrowingLog().grow(5), CheckpointMemory(tmp_path)
    memory.advance(log.note(), log.key)
    for number in range(MOST_EVIDENCE + 3):
        with pytest.raises(SplitViewError):
            memory.advance(log.fork(2).grow(3, f"another {number}").note(), log.key)
    assert len(memory.evidence()) == MOST_EVIDENCE
    other = GrowingLog(origin="example.org/other").grow(5)  # which keeps no place from that of another log
    memory.advance(other.note(), other.key)
    with pytest.raises(SplitViewError, match="kept in"):
        memory.advance(other.fork(2).grow(3, "another").note(), other.key)
    assert len(memory.evidence()) == MOST_EVIDENCE + 1


def test_the_same_evidence_from_many_at_once(tmp_path: Path) -> None:
    """Nobody trips over the file of another one: each ends with the split view, and not with a disk that fails."""
    log = GrowingLog().grow(5)
    CheckpointMemory(tmp_path).advance(log.note(), log.key)
    forked = log.fork(2).grow(3, "another").note()
    ready = threading.Barrier(8)
    told: list[str] = []

    def work() -> None:
        ready.wait()
        try:
            CheckpointMemory(tmp_path).advance(forked, log.key)
        except Exception as error:  # shown below
            told.append(type(error).__name__)

    for _ in range(10):
        for file in CheckpointMemory(tmp_path).evidence():
            file.unlink()
        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert set(told) == {"SplitViewError"}
    assert len(list((tmp_path / "evidence").iterdir())) == 1


@pytest.mark.parametrize("letter", ['"', "\\", "\N{RIGHT-TO-LEFT OVERRIDE}", "\U0001f600"])
def test_evidence_of_the_longest_heads_is_read_again(tmp_path: Path, letter: str) -> None:
    """Whatever a log writes into its heads: what shows its fork stays small enough to be shown."""
    log = GrowingLog().grow(5)
    notes = []
    for history in (log, log.fork(2).grow(3, "another")):
        text = history.head().text
        count = (LARGEST_TEXT_BYTES - len(text.encode()) - 1) // len(letter.encode())
        text += letter * count + "\n"
        more = [NoteSignature('"' * 200 + str(number), bytes(4), bytes(800)) for number in range(90)]
        notes.append(write_note(SignedNote(text, (sign(text, log.key.name, log.secret), *more))))
    memory = CheckpointMemory(tmp_path)
    memory.advance(notes[0], log.key)
    with pytest.raises(SplitViewError):
        memory.advance(notes[1], log.key)
    (file,) = memory.evidence()
    assert set(read_evidence(file.read_bytes()).heads) == set(notes)


def test_a_folder_that_is_made_survives_a_power_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each new folder is named durably in the one above it before anything is signed on its strength."""
    synced: list[Path] = []
    fsync = os.fsync

    def remember(handle: int) -> None:
        synced.append(Path(os.readlink(f"/proc/self/fd/{handle}")))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", remember)
    log = GrowingLog().grow(2)
    CheckpointMemory(tmp_path / "a" / "b").advance(log.note(), log.key)
    assert {tmp_path, tmp_path / "a", tmp_path / "a" / "b"} <= set(synced)
