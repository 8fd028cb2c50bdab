"""Logs that fork, go backwards or are damaged, as witnesses and auditors see them; and witnesses that lie, T18.

Everything is as in life: the command line, folders, and servers on the loopback. What nodes make of it is in
`test_transparency.py`.
"""

from __future__ import annotations

import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from edgekit.seal.keys import generate
from edgekit.transparency.cosignature import cosign
from edgekit.transparency.memory import CheckpointMemory
from edgekit.transparency.note import read_note
from edgekit.transparency.splitview import read_evidence
from edgekit.transparency.tile_log import TileLog
from edgekit.transparency.witness import Witness
from edgekit.transparency.witness_request import LARGEST_BYTES, AddCheckpoint, write_request
from edgekit.transparency.witness_server import serve
from edgekit.transport.bounded_server import ServerLimits
from edgekit.types.strict_json import canonical
from tests.bundle.building import build
from tests.cli.log_desk import APPEND, LogDesk, make_log_desk
from tests.transport.hostile_server import Exchange, HostileServer, stall

LOG = Path("channel/log")


@pytest.fixture
def town(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[LogDesk]:
    """A log with an entry, cosigned by ada and bob."""
    with ExitStack() as stack:
        made = make_log_desk(tmp_path, stack, monkeypatch, capsys)
        for name in ("ada", "bob"):
            made.witness(name)
        made.policy()
        log(made, "the first entry")
        yield made


def log(town: LogDesk, text: str, *, folder: Path = LOG, code: int = 0) -> str:
    """Log a text, as the owner of the log does; what was said."""
    Path("entry.txt").write_text(text)
    return town.desk.run(f"{APPEND.replace(str(LOG), str(folder))} --entry entry.txt", code=code)


def audit(town: LogDesk, *places: object, code: int = 0) -> str:
    return town.desk.run(f"log audit {' '.join(map(str, places))} --policy policy.txt --state audit", code=code)


def fork(name: str = "forked") -> Path:
    """A copy of the log, in which its owner goes on otherwise."""
    shutil.copytree(LOG, name)
    return Path(name)


@pytest.mark.parametrize("entries", [1, 300])
def test_witnesses_sign_one_history_of_a_log_that_forks(town: LogDesk, entries: int) -> None:
    """The owner shows one thing here and another there: the second one gets no cosignature, and is evidence."""
    other = fork()
    log(town, "for these")
    TileLog.open(other).append([f"for those {number}".encode() for number in range(entries)], town.log_key)
    before = (other / "checkpoint").read_bytes()
    told = town.desk.run(f"log append {other} --key log.key --policy policy.txt", code=6)
    assert "nobody did, ada, bob did not" in told
    assert (other / "checkpoint").read_bytes() == before
    if entries == 1:  # of one size; a proof from a size that is a power of two would not show the fork
        for name in town.witnesses:
            (file,) = town.evidence(name)
            heads = {read_note(head).text for head in read_evidence(file.read_bytes()).heads}
            assert heads == {read_note((each / "checkpoint").read_bytes()).text for each in (LOG, other)}


def test_a_log_that_is_set_back_gets_no_cosignature(town: LogDesk) -> None:
    """A backup was put back, and other entries follow."""
    backup = fork("backup")
    log(town, "the second entry")
    log(town, "the third entry")
    assert "has seen this log with 3 entries; this head has 2" in log(
        town, "another second entry", folder=backup, code=6
    )
    audit(town, LOG)
    assert "had 3 before; whether that continues it, nobody shows" in audit(town, backup, code=6)
    told = audit(town, backup, LOG, code=6)  # now somebody has the larger tree
    assert "signed two histories that cannot both be true" in told


def test_an_auditor_is_not_shown_an_older_head(town: LogDesk) -> None:
    stale = fork("stale")
    log(town, "the second entry")
    audit(town, LOG)
    assert "is shown with 1 entries, and had 2 before" in audit(town, stale, code=6)
    assert "1 entry" in audit(town, stale, LOG)


def test_a_split_view_is_shown_with_both_signed_heads(town: LogDesk) -> None:
    """Two mirrors at once, or one after the other; both heads are printed, and kept as evidence that stands alone."""
    other = fork()
    log(town, "for these")
    TileLog.open(other).append([b"for those", b"and more"], town.log_key)
    heads = [(each / "checkpoint").read_text().strip() for each in (LOG, other)]
    with HostileServer(LOG) as one, HostileServer(other) as two:
        told = audit(town, one.url, two.url, code=6)
        assert all(head in told for head in heads)
        audit(town, one.url)
        told = audit(town, two.url, code=6)
        assert all(head in told for head in heads)
    (file,) = Path("audit/evidence").iterdir()
    assert f"kept in {file}" in told
    shutil.move(file, "evidence.json")
    shutil.rmtree(LOG)
    shutil.rmtree(other)
    told = town.desk.run("log audit --evidence evidence.json")
    assert all(head in told for head in heads)


def test_evidence_against_an_honest_log_is_none(town: LogDesk) -> None:
    older = (LOG / "checkpoint").read_text()
    for number in range(5):
        log(town, f"entry {number}")
    newer, history = (LOG / "checkpoint").read_text(), TileLog.open(LOG)
    base64 = newer.splitlines()[2]
    table = {"schema": "edgekit.split-view/1", "log": str(town.log), "heads": [older, newer]}
    for root, proof in ((base64, []), (older.splitlines()[2], []), (base64, [base64] * 3)):
        Path("evidence.json").write_bytes(canonical(table | {"root": root, "proof": proof}))
        town.desk.run("log audit --evidence evidence.json", code=6)
    assert history.checkpoint.size == 6


def test_two_releases_under_one_version_are_found(town: LogDesk) -> None:
    town.desk.run(f"{APPEND} {town.desk.bundle(2)}")
    town.desk.run(f"{APPEND} {town.desk.bundle(1)}")
    other = Path("other")
    other.mkdir()
    build(other, town.desk.publisher, name="vision/lite0", version=2, semver="2.0.1", variants=1)
    town.desk.run(f"{APPEND} other/net.edgekit")
    told = audit(town, LOG, code=6)
    assert "entry 2: vision/lite0 version 1 comes after version 2 in entry 1" in told
    assert "entry 3: vision/lite0 version 2 is release " in told


@pytest.mark.parametrize("name", ["tile/0/000.p/1", "tile/entries/000.p/1", "checkpoint"])
def test_a_log_whose_files_were_altered_is_neither_continued_nor_believed(town: LogDesk, name: str) -> None:
    path = LOG / name
    good = path.read_bytes()
    path.write_bytes(good[:-6] + bytes([good[-6] ^ 1]) + good[-5:])
    audit(town, LOG, code=6)
    if name != "checkpoint":  # there only a cosignature was hit, by which the owner's own log is not bound
        before = {each: each.read_bytes() for each in LOG.rglob("*") if each.is_file()}
        log(town, "more", code=6)
        assert {each: each.read_bytes() for each in LOG.rglob("*") if each.is_file()} == before


def test_a_witness_that_never_answers_holds_nobody_up(town: LogDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgekit.transparency.witness_client.DEADLINE_S", 1.5)
    with HostileServer({}, stall) as server:
        town.witness("eve", answers=False)
        town.urls["eve"] = server.url
        town.policy("2")
        began = time.monotonic()
        told = log(town, "the second entry")
    assert time.monotonic() - began < 15
    assert "cosigned by ada, bob" in told
    assert server.url in told


def other_head(town: LogDesk, key: Witness) -> bytes:
    return signed(town, "models.example.org/log\n9\n" + (LOG / "checkpoint").read_text().splitlines()[2] + "\n")


def replayed(town: LogDesk, key: Witness) -> bytes:
    """What it signed before, of the head before."""
    return signed(town, read_note(Path("before").read_bytes()).text)


def by_another(town: LogDesk, key: Witness) -> bytes:
    text = read_note((LOG / "checkpoint").read_bytes()).text
    return str(cosign(text, "eve.example", generate("ed25519"), int(time.time()))).encode()


def of_the_future(town: LogDesk, key: Witness) -> bytes:
    text = read_note((LOG / "checkpoint").read_bytes()).text
    return str(cosign(text, "eve.example", town.witnesses["eve"]._secret, 2**40)).encode()


def moved_text(town: LogDesk, key: Witness) -> bytes:
    """An empty line, so that a careless reader takes the log's own signature for a part of the text."""
    return b"another\n\n" + signed(town, read_note((LOG / "checkpoint").read_bytes()).text)


def signed(town: LogDesk, text: str) -> bytes:
    return str(cosign(text, "eve.example", town.witnesses["eve"]._secret, int(time.time()))).encode()


@pytest.mark.parametrize("lie", [other_head, replayed, by_another, of_the_future, moved_text])
def test_a_witness_that_lies_does_not_count(town: LogDesk, lie: Callable[[LogDesk, Witness], bytes]) -> None:
    eve = town.witness("eve", answers=False)
    shutil.copy(LOG / "checkpoint", "before")

    def answer(exchange: Exchange) -> None:
        exchange.answer(200, lie(town, eve))

    with HostileServer({}, answer) as server:
        town.urls["eve"] = server.url
        town.policy()
        told = log(town, "the second entry", code=6)
    assert "ada, bob did, eve did not" in told
    assert server.url in told
    assert b"eve.example" not in (LOG / "checkpoint").read_bytes()


@pytest.fixture
def server(town: LogDesk) -> Iterator[tuple[str, int]]:
    """Ada with little patience: address and port."""
    limits = ServerLimits(most_connections=8, request_s=1.0, most_body_bytes=LARGEST_BYTES)
    with serve(town.witnesses["ada"], "127.0.0.1", 0, limits=limits) as found:
        yield found.host, found.port


def test_a_witness_under_garbage_goes_on_and_signs_none_of_it(town: LogDesk, server: tuple[str, int]) -> None:
    """Wrong, too large, too slow, too many; and then somebody who means it."""
    memory = CheckpointMemory(town.desk.folder / "ada-memory")
    before = memory.newest(town.log)
    good = write_request(AddCheckpoint(1, (), (LOG / "checkpoint").read_bytes()))
    head = b"POST /add-checkpoint HTTP/1.1\r\nContent-Length: %d\r\n\r\n"
    held = [socket.create_connection(server, timeout=10) for _ in range(3)]
    for connection in held:
        connection.sendall(head % len(good) + good[:20])
    for data in (
        b"\x00" * 5000,
        head % 10 + b"old 1\n\n\xff\xff\xff",
        head % 10**9 + b"x" * 10_000,
        b"POST /add-checkpoint HTTP/1.1\r\n" + b"X: y\r\n" * 50_000,
        *(head % len(spoiled) + spoiled for spoiled in (good[:-30] + good[-29:], good.replace(b"\n1\n", b"\n2\n"))),
    ):
        with socket.create_connection(server, timeout=10) as connection, suppress(OSError):
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            answer = connection.recv(2**16)
            assert not answer.startswith(b"HTTP/1.1 2")
    assert memory.newest(town.log) == before
    connection = HTTPConnection(*server, timeout=10)
    connection.request("POST", "/add-checkpoint", good)
    assert connection.getresponse().status == 200
    connection.close()
    for connection_ in held:
        connection_.close()


def test_a_witness_asked_for_two_histories_at_once_signs_one(town: LogDesk) -> None:
    """Many ask at the same time, half of them with a log that forked: of a size, one tree is cosigned."""
    other = fork()
    logs = {folder: TileLog.open(folder) for folder in (LOG, other)}
    for folder, each in logs.items():
        each.append([f"{folder} {number}".encode() for number in range(2)], town.log_key)
    url = urlsplit(town.urls["bob"])
    ready, signed_roots, statuses = threading.Barrier(8), set[bytes](), list[int]()

    def ask(each: TileLog) -> None:
        body = write_request(AddCheckpoint(1, tuple(each.prove_consistency(1)), each.note))
        connection = HTTPConnection(url.hostname or "", url.port, timeout=20)
        ready.wait()
        connection.request("POST", "/add-checkpoint", body)
        answer = connection.getresponse()
        answer.read()
        statuses.append(answer.status)
        if answer.status == 200:
            signed_roots.add(each.checkpoint.root)
        connection.close()

    threads = [threading.Thread(target=ask, args=(each,)) for each in logs.values() for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(set(statuses)) == [200, 409]
    assert statuses.count(200) == 1
    assert len(signed_roots) == 1


def test_a_witness_whose_memory_was_damaged_signs_nothing(town: LogDesk) -> None:
    (file,) = (town.desk.folder / "ada-memory").glob("*.checkpoint")
    for data in (b"", file.read_bytes()[:-20], file.read_bytes().replace(b"\n1\n", b"\n0\n")):
        file.write_bytes(data)
        assert "refused with status 500" in log(town, f"entry {len(data)}", code=6)
