"""`edgekit log witness`: over HTTP, by hand, as a node; and what the log's owner does with it."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from edgekit.node.disk import Disk
from edgekit.node.folder import find_node
from edgekit.node.settings import NodeSettings
from edgekit.node.setup import set_up
from edgekit.node.witnessing import cosigned_file
from edgekit.transparency.note import VerifierKey, read_note
from edgekit.transparency.policy import read_policy
from edgekit.transparency.proof import check_proof
from tests.cli.channel_desk import INIT as CHANNEL
from tests.cli.log_desk import APPEND, INIT, ORIGIN, LogDesk, make_log_desk
from tests.transport.hostile_server import HostileServer


@pytest.fixture
def town(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[LogDesk]:
    with ExitStack() as stack:
        yield make_log_desk(tmp_path, stack, monkeypatch, capsys)


def test_witnesses_cosign_over_http(town: LogDesk) -> None:
    for name in ("ada", "bob"):
        town.witness(name)
    town.policy()
    path, entry = town.bundle(1)
    found = town.desk.data(f"{APPEND} {path} --proof p.tlog-proof")
    assert (set(found["witnesses"]), found["faults"]) == ({"ada", "bob"}, {})
    proven = check_proof(Path("p.tlog-proof").read_bytes(), entry, read_policy(Path("policy.txt").read_bytes()))
    assert set(proven.witnesses) == {"ada", "bob"}
    assert "cosigned by ada, bob" in town.desk.run(f"{APPEND} {town.desk.bundle(2)}")
    status = town.desk.run("log status channel/log --policy policy.txt")
    for line in ("2 entries, root ", "signed by the log", "cosigned by ada at 20", "cosigned by bob at 20"):
        assert line in status


def test_too_few_witnesses_and_the_way_on(town: LogDesk) -> None:
    town.witness("ada")
    town.witness("bob", answers=False)
    town.urls["bob"] = "http://127.0.0.1:9"
    town.policy()
    told = town.desk.run(f"{APPEND} {town.desk.bundle(1)} --proof p.tlog-proof", code=6)
    for line in ("ada did, bob did not", "http://127.0.0.1:9: cannot be reached", "do the same again"):
        assert line in told
    assert not Path("p.tlog-proof").exists()
    found = town.desk.data("log status channel/log --policy policy.txt", code=6)
    assert (found["size"], found["policy_met"], set(found["witnesses"])) == (1, False, {"ada"})
    town.policy("any")
    assert town.desk.data(f"{APPEND} {town.desk.bundle(1)} --proof p.tlog-proof")["new"] is False


def test_a_witness_for_a_static_log(town: LogDesk) -> None:
    """Nobody listens anywhere: the head is read, and the cosigned one is handed over as a file."""
    town.witness("ada", answers=False)
    town.policy()
    town.desk.run(f"log append channel/log {town.desk.bundle(1)} --key log.key")
    line = "log witness channel/log --key ada.key --name ada.example --state ada --policy policy.txt"
    found = town.desk.data(line)
    assert (found["origin"], found["size"], found["vkey"]) == (ORIGIN, 1, str(town.witnesses["ada"].key))
    told = town.desk.run(f"{APPEND} --cosigned {found['cosigned']}")
    assert "cosigned by ada" in told
    town.desk.run("log prove channel/log 0 --out p.tlog-proof --policy policy.txt")
    town.desk.run(f"log append channel/log {town.desk.bundle(2)} --key log.key")
    assert "not the log's head" in town.desk.run(f"{APPEND} --cosigned {found['cosigned']}", code=2)
    with HostileServer(Path("channel/log")) as server:
        again = town.desk.data(line.replace("channel/log", server.url) + " --out ada.note")
    assert (again["size"], again["cosigned"]) == (2, "ada.note")
    assert len(read_note(Path("ada.note").read_bytes()).signatures) == 2


def test_a_node_is_a_witness(town: LogDesk) -> None:
    town.desk.run(CHANNEL)
    root = Path("channel/metadata/1.root.json").read_bytes()
    did = set_up(Path("node"), NodeSettings("vision/lite0", ("channel",)), root, None, disk=Disk())
    vkey = VerifierKey.parse(town.desk.data("log witness --node node")["vkey"])
    assert (vkey.name, vkey.public.did) == (did, did)
    town.desk.run(f"{APPEND} {town.desk.bundle(1)}")
    town.desk.run("log witness channel/log --node node --policy policy.txt --out node.note")
    Path("policy.txt").write_text(f"log {town.log}\nwitness node {vkey}\nquorum node\n")
    assert "cosigned by node" in town.desk.run(f"{APPEND} --cosigned node.note")
    kept = town.desk.data("log witness channel/log --node node --policy policy.txt")["cosigned"]
    assert Path(kept) == cosigned_file(find_node(Path("node")), town.log)  # from where the node gives it out


def start_witness(*flags: str) -> tuple[subprocess.Popen[str], str]:
    """The witness ada in a process of its own, and where it answers."""
    words = ["log", "witness", "--listen", "127.0.0.1:0", "--key", "ada.key", "--name", "ada.example", "--json"]
    process = subprocess.Popen(
        [sys.executable, "-m", "edgekit", *words, "--state", "ada", "--policy", "policy.txt", *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    text = ""
    while not text.endswith("}\n"):
        line = process.stdout.readline()
        assert line, "the witness ended"
        text += line
    return process, str(json.loads(text)["url"])


def end(process: subprocess.Popen[str], number: signal.Signals) -> int:
    """End the witness; its exit code."""
    process.send_signal(number)
    process.communicate(timeout=20)
    return process.returncode


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_witness_as_a_server_ends_when_told_to(town: LogDesk, number: signal.Signals, code: int) -> None:
    town.witness("ada", answers=False)
    town.policy()
    process, url = start_witness()
    try:
        found = town.desk.data(f"{APPEND} {town.desk.bundle(1)} --witness {url}")
        assert list(found["witnesses"]) == ["ada"]
    finally:
        assert end(process, number) == code


def test_a_witness_that_is_killed_remembers(town: LogDesk) -> None:
    """kill -9, and the next process refuses the other history all the same."""
    town.witness("ada", answers=False)
    town.policy()
    process, url = start_witness()
    town.desk.run(f"{APPEND} {town.desk.bundle(1)} --witness {url}")
    assert end(process, signal.SIGKILL) == -signal.SIGKILL
    shutil.rmtree("channel/log")
    town.desk.run(INIT)
    process, url = start_witness("--for", "60")
    try:
        told = town.desk.run(f"{APPEND} {town.desk.bundle(2)} --witness {url}", code=6)
        assert "has cosigned another tree of 1 entries" in told
    finally:
        end(process, signal.SIGTERM)


def test_a_witness_ends_by_itself(town: LogDesk) -> None:
    town.witness("ada", answers=False)
    town.policy()
    line = "log witness --listen 127.0.0.1:0 --for 0.2 --key ada.key --name ada.example --state s --policy policy.txt"
    assert "answers at http://127.0.0.1:" in town.desk.run(line)
    assert "not in the range" in town.desk.run(line.replace("0.2", "inf"), code=2)
    assert "no address to listen at" in town.desk.run(line.replace("127.0.0.1:0", "localhost:80"), code=2)


def test_a_witness_whose_name_is_no_utf_8(town: LogDesk) -> None:
    """A policy may have it; what is shown can be written anywhere."""
    town.witness("ada")
    town.policy()
    Path("policy.txt").write_bytes(
        Path("policy.txt").read_bytes().replace(b" ada ", b" \xff\xe9 ").replace(b" ada\n", b" \xff\xe9\n")
    )
    shown = r"\xff\xe9"
    assert list(town.desk.data(f"{APPEND} {town.desk.bundle(1)}")["witnesses"]) == [shown]
    assert f"cosigned by {shown}" in town.desk.run(f"{APPEND} {town.desk.bundle(2)}")
    for line in ("log status channel/log --policy policy.txt", "log audit channel/log --policy policy.txt"):
        assert f"cosigned by {shown}" in town.desk.run(line)
        assert shown in town.desk.data(line)["witnesses"]
