"""Auditing logs that lie on disks and behind servers: forks, stale and damaged mirrors, releases that contradict."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from edgekit.errors import ProofError, RollbackError, SignatureError, SourcesError, SplitViewError
from edgekit.seal.keys import generate
from edgekit.transparency.audit import MOST_FINDINGS, audit
from edgekit.transparency.log_reader import LogReader
from edgekit.transparency.memory import CheckpointMemory
from edgekit.transparency.note import COSIGNATURE, VerifierKey, read_note, write_note
from edgekit.transparency.policy import read_policy
from edgekit.transparency.splitview import read_evidence
from edgekit.transparency.witness import Witness
from edgekit.transport.http import HttpTransport
from edgekit.transport.patience import Patience
from tests.transparency.tiled_log import TiledLog, leaf, leaves
from tests.transport.hostile_server import Behaviour, HostileServer, lie, serve, stall, truncate

SHORT = Patience(connect_s=2.0, answer_s=1.0, silence_s=1.0, window_s=1.0)


@pytest.fixture
def log(tmp_path: Path) -> TiledLog:
    return TiledLog(tmp_path / "log")


class Served:
    """Mirrors over HTTP on the loopback."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack

    def __call__(self, log: TiledLog, behaviour: Behaviour = serve) -> LogReader:
        server = self._stack.enter_context(HostileServer(log.folder, behaviour))
        transport = HttpTransport(server.url, patience=SHORT)
        self._stack.callback(transport.close)
        return LogReader(transport, log.key)


@pytest.fixture
def served() -> Iterator[Served]:
    with ExitStack() as stack:
        yield Served(stack)


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 700])
def test_a_log_that_is_well(log: TiledLog, size: int, served: Served) -> None:
    log.grow(size)
    found = audit([served(log), log.reader()], log.key)
    assert (found.origin, found.size, found.root) == (log.key.name, size, log.log.checkpoint.root.hex())
    assert [mirror.size for mirror in found.mirrors] == [size, size]
    assert (found.others, found.releases, found.findings) == (size, (), ())


def test_releases_are_listed(log: TiledLog) -> None:
    log.add(*leaves(1, 2), b"something else", *leaves(4, 7, name="audio/kws"))
    found = audit([log.reader()], log.key)
    assert [(each.index, each.release.name, each.release.version) for each in found.releases] == [
        (0, "vision/lite0", 1),
        (1, "vision/lite0", 2),
        (3, "audio/kws", 4),
        (4, "audio/kws", 7),
    ]
    assert (found.others, found.findings) == (1, ())


def test_what_no_honest_publisher_logs(log: TiledLog) -> None:
    log.add(*leaves(1, 3), leaf(version=2), leaf(version=3, salt="another"), leaf(version=3), leaf(version=4))
    backwards, twice = audit([log.reader()], log.key).findings
    assert backwards == "entry 2: vision/lite0 version 2 comes after version 3 in entry 1"
    assert twice.startswith("entry 3: vision/lite0 version 3 is release ")
    assert twice.endswith("... in entry 1")


def test_very_many_findings_are_counted(log: TiledLog) -> None:
    log.add(*leaves(5), *(leaf(version=5, salt=str(number)) for number in range(MOST_FINDINGS + 7)))
    findings = audit([log.reader()], log.key).findings
    assert len(findings) == MOST_FINDINGS + 1
    assert findings[-1] == "and 7 more of this kind"


def test_a_split_view_is_shown_with_both_signed_heads(log: TiledLog, tmp_path: Path, served: Served) -> None:
    """Two mirrors, two histories: of one size, and of different ones."""
    log.grow(5)
    other = log.copy("other")
    log.grow(3)
    other.grow(3, "another")
    for extra in (0, 300):
        other.grow(extra, "another")
        memory = CheckpointMemory(tmp_path / f"memory-{extra}")
        with pytest.raises(SplitViewError) as caught:
            audit([served(log), served(other)], log.key, memory=memory)
        heads = {log.log.note.decode(), other.log.note.decode()}
        assert set(caught.value.heads) == heads
        for head in heads:
            assert head.strip() in str(caught.value)
        (file,) = memory.evidence()
        assert {head.decode() for head in read_evidence(file.read_bytes()).heads} == heads


def test_a_split_view_over_time(log: TiledLog, tmp_path: Path, served: Served) -> None:
    """One mirror that shows one history today and another one tomorrow."""
    log.grow(6)
    other = log.copy("other")
    memory = CheckpointMemory(tmp_path / "memory")
    assert audit([served(log)], log.key, memory=memory).before is None
    log.grow(2)
    assert audit([served(log)], log.key, memory=memory).before == 6
    other.grow(900, "another")
    with pytest.raises(SplitViewError):
        audit([served(other)], log.key, memory=memory)
    assert audit([served(log)], log.key, memory=memory).before == 8


def test_a_mirror_that_is_behind(log: TiledLog, tmp_path: Path, served: Served) -> None:
    log.grow(300)
    stale = log.copy("stale")
    log.grow(300)
    memory = CheckpointMemory(tmp_path / "memory")
    found = audit([served(stale), served(log)], log.key, memory=memory)
    assert [mirror.size for mirror in found.mirrors] == [300, 600]
    assert found.size == 600
    with pytest.raises(RollbackError, match="shown with 300 entries, and had 600 before"):
        audit([served(stale)], log.key, memory=memory)


@pytest.mark.parametrize("name", ["tile/0/000", "tile/1/000.p/2", "tile/entries/001", "tile/0/002.p/88"])
def test_a_damaged_mirror_is_passed_over_and_named(log: TiledLog, name: str, served: Served) -> None:
    log.grow(600)
    damaged = log.copy("damaged")
    data = (damaged.folder / name).read_bytes()
    (damaged.folder / name).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    bad, good = served(damaged), served(log)
    found = audit([bad, good], log.key)
    assert found.read_from == good.url
    assert found.mirrors[0].fault
    assert found.mirrors[1].fault == ""
    with pytest.raises(ProofError, match="no mirror has the whole log"):
        audit([served(damaged)], log.key)


@pytest.mark.parametrize("behaviour", [lie, truncate, stall])
def test_a_mirror_that_lies_or_is_silent(log: TiledLog, behaviour: Behaviour, served: Served) -> None:
    log.grow(3)
    bad, good = served(log, behaviour), served(log)
    found = audit([bad, good], log.key)
    assert (found.size, found.mirrors[0].size) == (3, None)
    assert found.mirrors[0].fault


def test_nobody_shows_a_head(log: TiledLog, tmp_path: Path, served: Served) -> None:
    empty = TiledLog(tmp_path / "another", origin="example.org/another")
    (log.folder / "checkpoint").unlink()
    with pytest.raises(SourcesError, match="there is no file checkpoint"):
        audit([served(log)], log.key)
    with pytest.raises(SignatureError, match="did not sign"):
        audit([LogReader(served(empty)._transport, log.key)], log.key)


def test_a_forged_head(log: TiledLog, tmp_path: Path, served: Served) -> None:
    """By another key under the same name."""
    log.grow(3)
    forger = TiledLog(tmp_path / "forged").grow(30)
    found = audit([LogReader(served(forger)._transport, log.key), served(log)], log.key)
    assert (found.size, found.mirrors[0].size) == (3, None)
    assert "did not sign" in found.mirrors[0].fault


def test_too_few_witnesses_are_a_finding(log: TiledLog, tmp_path: Path) -> None:
    log.grow(3)
    witness = Witness(CheckpointMemory(tmp_path / "w1"), "w1.example", generate("ed25519"), [log.key])
    absent = VerifierKey("w2.example", generate("ed25519").public, COSIGNATURE)
    text = f"log {log.key}\nwitness one {witness.key}\nwitness two {absent}\ngroup both any one two\nquorum both\n"
    policy = read_policy(text)
    (finding,) = audit([log.reader()], log.key, policy=policy).findings
    assert "too few for the quorum 'both'" in finding
    log.log.keep(witness.cosign(log.log.note))
    found = audit([log.reader()], log.key, policy=policy)
    assert (list(found.witnesses), found.findings) == (["one"], ())
    stranger = TiledLog(tmp_path / "stranger", origin="other.example/log")
    with pytest.raises(SignatureError, match="the policy does not know the log"):
        audit([stranger.reader()], stranger.key, policy=policy)


def test_a_mirror_that_spoils_or_drops_cosignatures(log: TiledLog, tmp_path: Path) -> None:
    """Beside an honest one it is no finding: the head is the same, and anybody can write lines below it."""
    log.grow(3)
    witness = Witness(CheckpointMemory(tmp_path / "w1"), "w1.example", generate("ed25519"), [log.key])
    policy = read_policy(f"log {log.key}\nwitness one {witness.key}\nquorum one\n")
    bare = log.copy("bare")
    log.log.keep(witness.cosign(log.log.note))
    spoiled = log.copy("spoiled")
    note = read_note(log.log.note)
    lines = [replace(each, signature=bytes(72)) for each in note.by(witness.key)]
    (spoiled.folder / "checkpoint").write_bytes(write_note(note.signed_also(lines)))
    found = audit([each.reader() for each in (spoiled, bare, log)], log.key, policy=policy)
    assert (list(found.witnesses), found.findings) == (["one"], ())
    assert ["does not verify" in mirror.fault for mirror in found.mirrors] == [True, False, False]
    (finding,) = audit([spoiled.reader(), bare.reader()], log.key, policy=policy).findings
    assert "does not verify" in finding
