"""`edgekit verify --all`: the table, the document, and what each missing flag is told as."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edgekit.confirm.confirmation import SYSTEMS
from edgekit.errors import ProofError
from edgekit.seal.key_files import write_key
from edgekit.seal.keys import generate
from tests.cli.channel_desk import INIT, PUBLISH, Desk, make_desk

ALL = "--all --trust channel/metadata/1.root.json --policy policy.txt"


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Desk:
    """A channel with a log in it; version 1 is published, and net.tlog-proof proves that it is logged."""
    monkeypatch.chdir(tmp_path)
    made = make_desk(tmp_path, capsys)
    write_key(generate("ed25519"), tmp_path / "log.key", None)
    made.run(INIT)
    made.run("log init channel/log --origin models.example.org/log --key log.key --policy policy.txt")
    made.run(f"publish {made.bundle(1)} {PUBLISH} --signer publisher.pub")
    made.run(f"log append channel/log {made.bundle(1)} --key log.key --policy policy.txt --proof net.tlog-proof")
    return made


def put_proof(desk: Desk) -> None:
    """Into the channel, by the digest of the release."""
    release = desk.data(f"verify {desk.bundle(1)} --trust publisher.pub")["release_digest"].removeprefix("sha256:")
    (desk.folder / "channel" / "proofs").mkdir(exist_ok=True)
    shutil.copy(desk.folder / "net.tlog-proof", desk.folder / "channel" / "proofs" / f"{release}.tlog-proof")


def test_the_table(desk: Desk) -> None:
    told = desk.run(f"verify {desk.bundle(1)} {ALL} --proof net.tlog-proof")
    lines = told.splitlines()
    assert [line for line in lines if line in SYSTEMS.values()] == list(SYSTEMS.values())
    assert "FAILED" not in told
    assert "6 of 6 systems, 15 of 15 addresses verified" in told
    assert max(map(len, lines)) < 160


def test_the_proof_of_the_channel_is_taken(desk: Desk) -> None:
    told = desk.run(f"verify {desk.bundle(1)} {ALL}", code=6)
    assert "5 of 6 systems, 14 of 15 addresses verified" in told
    assert "hand the proof over with --proof" in told
    put_proof(desk)
    desk.run(f"verify {desk.bundle(1)} {ALL}")


def test_as_data(desk: Desk) -> None:
    found = desk.data(f"verify {desk.bundle(1)} {ALL} --proof net.tlog-proof")
    assert (found["name"], found["version"], found["verified"]) == ("vision/lite0", 1, True)
    assert {row["system"] for row in found["rows"]} == set(SYSTEMS)
    assert all(set(row) == {"system", "what", "address", "verified", "how", "details"} for row in found["rows"])
    found = desk.data(f"verify {desk.bundle(1)} {ALL}", code=6)
    assert found["verified"] is False
    assert [row["system"] for row in found["rows"] if not row["verified"]] == ["log"]


def test_a_bundle_that_was_altered(desk: Desk) -> None:
    blobs = desk.folder / desk.bundle(1) / "blobs" / "sha256"
    largest = max(blobs.iterdir(), key=lambda path: path.stat().st_size)
    largest.write_bytes(largest.read_bytes()[::-1])
    told = desk.run(f"verify {desk.bundle(1)} {ALL} --proof net.tlog-proof", code=6)
    assert "2 of 6 systems" in told
    assert "error: not everything is confirmed: OpenSSF model signing" in told


def test_what_a_mirror_says_does_not_paint_on_the_screen(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ProofError("\x1b[2J\x1b[32mverified\x9b")

    monkeypatch.setattr("edgekit.confirm.by_keys.check_proof", refuse)
    told = desk.run(f"verify {desk.bundle(1)} {ALL} --proof net.tlog-proof", code=6)
    assert "\x1b[2J" not in told
    assert "\x9b" not in told


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("--all --trust channel/metadata/1.root.json", "--policy"),
        ("--all --trust publisher.pub --policy policy.txt", "--trust ROOT"),
        ("--all --policy policy.txt", "--trust"),
        ("--trust publisher.pub --policy policy.txt", "--all"),
        ("--trust publisher.pub --proof net.tlog-proof", "--all"),
        (f"{ALL} --extract files", "--extract"),
        (f"{ALL} --proof absent", "absent"),
        ("--all --trust channel/metadata/1.root.json --policy net.tlog-proof", "line 1 of the policy"),
    ],
)
def test_flags_that_do_not_go_together(flags: str, said: str, desk: Desk) -> None:
    told = desk.run(f"verify {desk.bundle(1)} {flags}", code=2)
    assert said in told
