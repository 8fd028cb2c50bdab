"""`edgekit log`: a log's life on the command line, and its auditors."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from edgekit.transparency.checkpoint import Checkpoint
from edgekit.transparency.merkle import EMPTY_ROOT
from edgekit.transparency.note import NoteSignature, SignedNote, VerifierKey, write_note
from edgekit.transparency.policy import read_policy
from edgekit.transparency.proof import check_proof
from edgekit.transparency.splitview import Evidence, write_evidence
from edgekit.transparency.tile_log import TileLog, found_log
from tests.cli.channel_desk import INIT as CHANNEL
from tests.cli.log_desk import APPEND, INIT, ORIGIN, LogDesk, make_log_desk
from tests.transparency.growing_log import GrowingLog
from tests.transport.hostile_server import HostileServer


@pytest.fixture
def town(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[LogDesk]:
    with ExitStack() as stack:
        yield make_log_desk(tmp_path, stack, monkeypatch, capsys)


def test_init_shows_the_key_and_a_policy(town: LogDesk) -> None:
    told = town.desk.run(INIT.replace("channel/log", "another") + " --policy another.txt")
    assert str(town.log) in told
    assert read_policy(Path("another.txt").read_bytes()).logs[0].key == town.log
    found = town.desk.data(INIT.replace("channel/log", "third"))
    assert VerifierKey.parse(found["vkey"]) == town.log
    assert read_policy(found["policy"]).quorum == "none"


def test_a_policy_that_cannot_be_written_begins_no_log(town: LogDesk) -> None:
    """Its key would be shown nowhere, and the second try be refused."""
    Path("file").write_text("")
    init = INIT.replace("channel/log", "new")
    town.desk.run(f"{init} --policy file/policy.txt", code=5)
    town.desk.run(f"{init} --policy new.txt")
    assert "holds a log already" in town.desk.run(f"{init} --policy second.txt", code=2)
    assert not Path("second.txt").exists()


def test_what_is_no_file_is_not_replaced(town: LogDesk) -> None:
    """Whoever is root and names a device would lose it."""
    town.desk.run(f"{APPEND} {town.desk.bundle(1)}")
    os.mkfifo("device")
    for line in (
        "log prove channel/log 0 --out device",
        f"{APPEND} {town.desk.bundle(1)} --proof device",
        "log witness channel/log --key spare.key --name w --state w --policy policy.txt --out device",
    ):
        assert "no regular file" in town.desk.run(line, code=5)
    assert Path("device").is_fifo()


def test_what_somebody_gets_wrong_is_told_in_words(town: LogDesk) -> None:
    told = town.desk.run("log append channel/log --entry policy.txt --key spare.key", code=6)
    assert f"this is not the key of the log {ORIGIN}" in told
    assert "in a channel that is its folder log" in town.desk.run("log status channel", code=7)
    path = town.desk.bundle(1)
    assert f"edgekit log append channel/log {path} --key KEY" in town.desk.run(
        f"log prove channel/log {path} --out p", code=2
    )
    witness = town.witness("ada", answers=False).key
    for line in (f"log audit channel/log --log {witness}", f"log witness --listen 127.0.0.1:0 --for 1 --log {witness}"):
        told = town.desk.run(f"{line} {'--key spare.key --name w --state w' if 'listen' in line else ''}", code=2)
        assert "is the key of a witness" in told


def test_init_begins_nothing_twice(town: LogDesk) -> None:
    assert "holds a log already" in town.desk.run(INIT, code=2)
    assert "is there already" in town.desk.run(f"{INIT} --policy policy.txt", code=2)
    assert "no name of a log" in town.desk.run("log init new --origin with+plus --key log.key", code=2)
    told = town.desk.run(f"log init new --origin {ORIGIN} --key publisher.key", code=2)
    assert "logs and witnesses use ed25519" in told
    assert not Path("new").exists()


def test_a_log_lies_in_a_channel_and_outlives_pruning(town: LogDesk) -> None:
    town.desk.run(CHANNEL)
    town.desk.run(f"{APPEND} {town.desk.bundle(1)}")
    before = {path: path.read_bytes() for path in Path("channel/log").rglob("*") if path.is_file()}
    os.utime("channel/log/checkpoint", (0, 0))
    for path in before:
        os.utime(path, (0, 0))
    town.desk.run("channel prune channel")
    assert {path: path.read_bytes() for path in Path("channel/log").rglob("*") if path.is_file()} == before
    town.desk.run("log audit channel/log --policy policy.txt")


def test_append_a_bundle_and_prove_it(town: LogDesk) -> None:
    path, entry = town.bundle(1)
    assert "entry 0 of models.example.org/log at 1 entry" in town.desk.run(f"{APPEND} {path} --proof p.tlog-proof")
    policy = read_policy(Path("policy.txt").read_bytes())
    assert check_proof(Path("p.tlog-proof").read_bytes(), entry, policy).index == 0
    found = town.desk.data(f"{APPEND} {path}")
    assert (found["index"], found["new"], found["size"], found["proof"]) == (0, False, 1, None)
    town.desk.run(f"{APPEND} {town.desk.bundle(2)}")
    for what in (path, "0"):
        found = town.desk.data(f"log prove channel/log {what} --out q.tlog-proof --policy policy.txt")
        assert found == {"origin": ORIGIN, "index": 0, "size": 2, "proof": "q.tlog-proof"}
        assert check_proof(Path("q.tlog-proof").read_bytes(), entry, policy).size == 2


def test_append_a_file(town: LogDesk) -> None:
    Path("note.txt").write_text("hello")
    town.desk.run(f"{APPEND} --entry note.txt --proof note.tlog-proof")
    assert TileLog.open(Path("channel/log")).entry(0) == b"hello"
    Path("large.bin").write_bytes(bytes(65536))
    assert "at most 65535" in town.desk.run(f"{APPEND} --entry large.bin", code=2)
    assert "cannot read absent" in town.desk.run(f"{APPEND} --entry absent", code=2)


def test_flags_that_do_not_go_together(town: LogDesk) -> None:
    for line, told in (
        (f"{APPEND} {town.desk.bundle(1)} --entry policy.txt", "exclude one another"),
        (f"{APPEND} --proof p.tlog-proof", "--proof is of an entry"),
        ("log append channel/log --key log.key --cosigned policy.txt", "whose cosignatures count"),
        (
            f"log append channel/log {town.desk.bundle(1)} --key log.key --witness http://w.example",
            "whose cosignatures",
        ),
        ("log witness channel/log --listen 127.0.0.1:0 --key log.key --name w", "exclude one another"),
        ("log witness --out x --key log.key --name w", "--out goes with mirrors"),
        ("log witness --key log.key", "a key and a name"),
        ("log witness --key log.key --name w --node n", "--node stands in the place"),
        ("log witness channel/log --key log.key --name w", "add --state DIR"),
        ("log witness channel/log --key log.key --name w --state s", "nothing says whose log it is"),
        ("log audit", "no log is given"),
        ("log audit channel/log", "nothing says whose log it is"),
        ("log audit channel/log --evidence policy.txt", "--evidence goes alone"),
    ):
        assert told in town.desk.run(line, code=2), line


def test_what_is_no_log(town: LogDesk) -> None:
    for line, code in (
        ("log append nowhere --key log.key", 2),
        ("log prove nowhere 0 --out p", 2),
        ("log status nowhere", 7),
        ("log audit nowhere --policy policy.txt", 7),
        ("log prove channel/log 0 --out p", 2),
        (f"log prove channel/log {town.desk.bundle(1)} --out p", 2),
        ("log append channel/log --entry policy.txt --key vision-1.key", 6),
    ):
        town.desk.run(line, code=code)
    assert TileLog.open(Path("channel/log")).checkpoint.size == 0


def test_audit_lists_what_is_in_a_log(town: LogDesk) -> None:
    for version in (1, 2):
        town.desk.run(f"{APPEND} {town.desk.bundle(version)}")
    Path("note.txt").write_text("hello")
    town.desk.run(f"{APPEND} --entry note.txt")
    told = town.desk.run("log audit channel/log --policy policy.txt")
    for line in (
        "all 3 entries hash to its head",
        "0: vision/lite0 version 1 (1.0.0)",
        "1: vision/lite0 version 2 (2.0.0)",
        "1 entry of other kinds",
        "nothing is remembered",
    ):
        assert line in told
    found = town.desk.data(f"log audit channel/log --log {town.log} --state audit")
    assert (found["before"], found["size"], len(found["releases"])) == (None, 3, 2)
    town.desk.run(f"{APPEND} {town.desk.bundle(3)}")
    with HostileServer(Path("channel/log")) as server:
        found = town.desk.data(f"log audit channel/log {server.url} --policy policy.txt --state audit")
    assert (found["before"], found["size"]) == (3, 4)
    assert [mirror["size"] for mirror in found["mirrors"]] == [4, 4]


def test_audit_finds_a_log_among_several_of_a_policy(town: LogDesk) -> None:
    town.desk.run("log init other --origin other.example/log --key vision-1.key --policy other.txt")
    with Path("policy.txt").open("a") as stream:
        stream.write(Path("other.txt").read_text().replace("quorum none\n", ""))
    for place, origin in (("other", "other.example/log"), ("channel/log", ORIGIN)):
        assert town.desk.data(f"log audit {place} --policy policy.txt")["origin"] == origin
    assert "is the log 'other.example/log' by a key that is not known; known are" in town.desk.run(
        f"log audit other --log {town.log} --log {VerifierKey('third.example/log', town.log_key.public)}", code=6
    )


def test_audit_shows_a_split_view_and_evidence_of_it(town: LogDesk) -> None:
    town.desk.run(f"{APPEND} {town.desk.bundle(1)}")
    shutil.copytree("channel/log", "forked")
    Path("a.txt").write_text("a")
    Path("b.txt").write_text("b")
    town.desk.run(f"{APPEND} --entry a.txt")
    town.desk.run(f"{APPEND.replace('channel/log', 'forked')} --entry b.txt")
    heads = [Path(name, "checkpoint").read_text() for name in ("channel/log", "forked")]
    told = town.desk.run("log audit channel/log forked --policy policy.txt --state audit", code=6)
    for head in heads:
        assert head.strip() in told
    (file,) = Path("audit/evidence").iterdir()
    assert str(file) in told
    told = town.desk.run(f"log audit --evidence {file}")
    assert f"the evidence holds: {town.log}" in told
    for head in heads:
        assert head.strip() in told
    assert set(town.desk.data(f"log audit --evidence {file}")["heads"]) == set(heads)
    file.write_bytes(file.read_bytes().replace(b'"root":"', b'"root":"A'))
    town.desk.run(f"log audit --evidence {file}", code=6)
    found = town.desk.data("log audit forked channel/log --policy policy.txt", code=6)
    assert found["error"]["type"] == "SplitViewError"


def test_status_without_a_policy_verifies_nothing_and_says_so(town: LogDesk) -> None:
    told = town.desk.run("log status channel/log")
    assert f"signature by {ORIGIN}, not verified" in told
    found = town.desk.data("log status channel/log")
    assert (found["verified"], found["policy_met"], found["unfinished"]) == (False, None, False)
    Path("other.txt").write_text(f"log {VerifierKey(ORIGIN, town.desk.keys['spare'].public)}\nquorum none\n")
    assert "no log of the policy signed" in town.desk.run("log status channel/log --policy other.txt", code=6)


def test_nothing_that_a_stranger_wrote_paints_on_the_screen(town: LogDesk) -> None:
    """Of a log that is not known anything may come: its name, those of its signers, what a witness says."""
    Path("evil").mkdir()
    clear = "\N{CONTROL SEQUENCE INTRODUCER}2J\N{RIGHT-TO-LEFT OVERRIDE}"
    line = NoteSignature(f"signer{clear}", bytes(4), bytes(64))
    text = Checkpoint(f"evil{clear}", 0, EMPTY_ROOT, (f"more{clear}",)).text
    Path("evil/checkpoint").write_bytes(write_note(SignedNote(text, (line,))))
    told = town.desk.run("log status evil")
    assert "signer" in told
    town.witness("ada", answers=False)
    with HostileServer({}, lambda exchange: exchange.answer(500, f"no\x1b[2J{clear}".encode())) as server:
        town.urls["ada"] = server.url
        town.policy("any")
        refused = town.desk.run(f"{APPEND} {town.desk.bundle(1)}", code=6)
    assert "refused with status 500: no" in refused
    evil = GrowingLog([b"a"], origin=f"evil{clear}")
    heads = evil.note(), evil.fork(0).grow(1).note()
    root = evil.fork(0).grow(1).head().root
    Path("evidence.json").write_bytes(write_evidence(Evidence(evil.key, heads, root, ())))
    found = town.desk.run("log audit --evidence evidence.json")
    assert "the evidence holds: evil" in found
    found_log(Path("stick"), evil.key.name, evil.secret).append([b"a"], evil.secret)
    found += town.desk.run("log prove stick 0 --out p")
    for letter in (told + refused + found).replace("\n", ""):
        assert letter.isprintable(), repr(letter)


def test_two_keys_of_one_origin(town: LogDesk) -> None:
    """A log that gets a new key: a policy may know both, and the one that signed counts."""
    new = VerifierKey(ORIGIN, town.desk.keys["spare"].public)
    for first, second in ((town.log, new), (new, town.log)):
        Path("policy.txt").write_text(f"log {first}\nlog {second}\nquorum none\n")
        town.desk.run("log audit channel/log --policy policy.txt")
        town.desk.run("log status channel/log --policy policy.txt")
