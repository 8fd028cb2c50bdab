"""The swarm of a process: what it gives out, how fast, with whom it is shared, and that it always ends."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from edgekit.errors import DigestError, InputError, MalformedError, StorageError, TransferError
from edgekit.transport.swarm import Swarm, shared_swarm
from edgekit.transport.swarm_settings import SwarmSettings, session_settings
from edgekit.transport.torrent_url import parse_torrent_url
from tests.transport.torrent.conftest import LISTEN, Connect, Made
from tests.transport.torrent.patience import SHORT
from tests.transport.torrent.processes import ROOT, node, peer
from tests.transport.torrent.tracker import Ear, Tracker

LOOPBACK = SwarmSettings((("127.0.0.1", 0),), patience=SHORT)


@pytest.fixture
def swarm() -> Iterator[Swarm]:
    found = Swarm(LOOPBACK)
    yield found
    found.close()


def port_of(swarm: Swarm) -> int:
    deadline = time.monotonic() + 5
    while not swarm.status().listening and time.monotonic() < deadline:
        time.sleep(0.01)
    return swarm.status().listening[0][1]


def test_what_it_seeds_is_fetched_by_others(made: Made, swarm: Swarm, stack: ExitStack, tmp_path: Path) -> None:
    """Whatever the file is called where it lies."""
    path = tmp_path / "model.onnx"
    path.write_bytes(made.noise.data)
    path.chmod(0o444)
    swarm.seed(made.noise.blob, path)
    other = node(stack, made.blob, tmp_path / "other", f"torrent:?peer=127.0.0.1:{port_of(swarm)}&{LISTEN}")
    other.told("fetched")
    assert (tmp_path / "other").read_bytes() == made.noise.data
    [torrent] = swarm.status().torrents
    assert torrent.is_seed
    assert torrent.sha256 == made.noise.blob.sha256
    assert torrent.uploaded_bytes >= made.noise.blob.size_bytes
    swarm.unseed(made.noise.blob)
    assert swarm.status().torrents == ()
    assert swarm.status().uploaded_bytes >= made.noise.blob.size_bytes


def test_it_announces_what_it_seeds(made: Made, swarm: Swarm, tracker: Tracker) -> None:
    swarm.seed(made.noise.blob, made.file, places=[parse_torrent_url(f"torrent:?tracker={tracker.url}")])
    deadline = time.monotonic() + 5
    while len(tracker.swarms) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert made.noise.blob.addresses is not None
    assert bytes.fromhex(made.noise.blob.addresses.infohash)[:20] in tracker.swarms
    assert ("127.0.0.1", port_of(swarm)) in tracker.swarms[bytes.fromhex(made.noise.blob.addresses.infohash)[:20]]


def test_another_file_is_not_seeded(made: Made, swarm: Swarm, tmp_path: Path) -> None:
    path, data = tmp_path / "model.onnx", bytearray(made.noise.data)
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(DigestError):
        swarm.seed(made.noise.blob, path)
    path.write_bytes(made.noise.data[:-1])
    with pytest.raises(DigestError):
        swarm.seed(made.noise.blob, path)
    with pytest.raises(StorageError):
        swarm.seed(made.noise.blob, tmp_path / "absent")
    with pytest.raises(MalformedError):
        swarm.seed(replace(made.noise.blob, addresses=None), made.file)
    assert swarm.status().torrents == ()


def test_a_file_that_is_damaged_later_is_neither_given_out_nor_repaired(
    made: Made, swarm: Swarm, stack: ExitStack, tmp_path: Path
) -> None:
    """Though a peer is there who has it whole: a slot is never written to."""
    _, honest = peer(stack, made.torrent, made.file)
    path = tmp_path / "model.onnx"
    path.write_bytes(made.noise.data)
    swarm.seed(made.noise.blob, path, places=[parse_torrent_url(f"torrent:?peer=127.0.0.1:{honest}")])
    damaged = bytes(2**16) + made.noise.data[2**16 :]
    path.write_bytes(damaged)
    url = f"torrent:?peer=127.0.0.1:{port_of(swarm)}&{LISTEN}"
    other = node(stack, made.blob, tmp_path / "other", url)
    other.told("fetched")  # from the honest one, of whom it hears in the swarm
    assert (tmp_path / "other").read_bytes() == made.noise.data
    time.sleep(1.0)
    assert path.read_bytes() == damaged
    assert swarm.status().torrents[0].fault


def test_limits_count_on_the_loopback_too(made: Made, swarm: Swarm, stack: ExitStack, tmp_path: Path) -> None:
    slow = Swarm(replace(LOOPBACK, upload_bytes_per_s=700_000))
    stack.callback(slow.close)
    slow.seed(made.noise.blob, made.file)
    other = node(stack, made.blob, tmp_path / "slow", f"torrent:?peer=127.0.0.1:{port_of(slow)}&{LISTEN}")
    seconds = other.told("fetched")["seconds"]
    assert 0.6 * made.noise.blob.size_bytes / 700_000 < seconds < 20
    swarm.seed(made.noise.blob, made.file)
    other = node(
        stack, made.blob, tmp_path / "own", f"torrent:?peer=127.0.0.1:{port_of(swarm)}&{LISTEN}", "--down", 700_000
    )
    assert other.told("fetched")["seconds"] > 0.6 * made.noise.blob.size_bytes / 700_000


@pytest.mark.parametrize("changes", [{"upload_bytes_per_s": -1}, {"download_bytes_per_s": 2**31}, {"listen": ()},
                                     {"most_connections": 0}])  # fmt: skip
def test_impossible_settings_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(InputError):
        replace(LOOPBACK, **changes)  # type: ignore[arg-type]


def test_nothing_announces_this_machine_unless_asked() -> None:
    pack = session_settings(LOOPBACK)
    assert not any(pack[name] for name in ("enable_dht", "enable_lsd", "enable_upnp", "enable_natpmp"))
    assert pack["webtorrent_stun_server"] == ""
    assert pack["ssrf_mitigation"]


def test_it_is_one_for_all_of_a_process(made: Made) -> None:
    first = shared_swarm(LOOPBACK)
    second = shared_swarm(replace(LOOPBACK, upload_bytes_per_s=5, lsd=True))
    assert second is first
    assert first.settings.upload_bytes_per_s == 5
    assert first.settings.lsd
    first.seed(made.noise.blob, made.file)
    first.close()
    assert second.status().torrents
    second.close()
    with pytest.raises(TransferError):
        second.seed(made.noise.blob, made.file)
    third = shared_swarm(LOOPBACK)
    assert third is not first
    third.close()


def test_a_transport_reads_what_the_same_process_seeds(made: Made, connect: Connect, tmp_path: Path) -> None:
    swarm = shared_swarm(LOOPBACK)
    try:
        swarm.seed(made.noise.blob, made.file)
        with connect("?peer=192.0.2.1:6881").read_blob(
            made.noise.blob, start=7, stop=2**20 + 7, scratch=tmp_path
        ) as chunks:
            assert b"".join(chunks) == made.noise.data[7 : 2**20 + 7]
    finally:
        swarm.close()


def test_one_blob_lies_in_one_folder(made: Made, swarm: Swarm, ear: Ear, tmp_path: Path) -> None:
    place = parse_torrent_url(f"torrent:?peer=127.0.0.1:{ear.port}")
    first = swarm.fetch(made.noise.blob, place, tmp_path / "a", user=1)
    assert swarm.fetch(made.noise.blob, place, tmp_path / "a", user=2) is first
    with pytest.raises(TransferError, match="already"):
        swarm.fetch(made.noise.blob, place, tmp_path / "b", user=3)
    with pytest.raises(TransferError, match="still being fetched"):
        swarm.seed(made.noise.blob, made.file)
    swarm.leave(made.noise.blob, user=1)
    assert len(swarm.status().torrents) == 1
    swarm.leave(made.noise.blob, user=2)
    swarm.leave(made.noise.blob, user=2)
    assert swarm.status().torrents == ()
    assert swarm.fetch(made.noise.blob, place, tmp_path / "b", user=3) is not first


def test_closing_takes_seconds_whoever_never_answers(made: Made, ear: Ear, tmp_path: Path) -> None:
    dead = f"127.0.0.1:{ear.port}"
    place = parse_torrent_url(f"torrent:http://{dead}?tracker=http://{dead}/announce&tracker=udp://{dead}&peer={dead}")
    swarm = Swarm(LOOPBACK)
    swarm.seed(made.noise.blob, made.file, places=[place])
    deadline = time.monotonic() + 5
    while not ear.heard and time.monotonic() < deadline:
        time.sleep(0.02)
    began = time.monotonic()
    swarm.close()
    assert time.monotonic() - began < 3


def test_a_name_server_that_never_answers_holds_no_end_up(made: Made, tmp_path: Path) -> None:
    """libtorrent's own end would wait for it with the interpreter locked: nothing of this process would go on."""
    swarm, waiting = Swarm(LOOPBACK), threading.Event()

    def never(host: str) -> list[str]:
        waiting.wait(30)
        return []

    swarm._session.names._lookup = never
    session = swarm._session
    swarm.seed(
        made.noise.blob, made.file, places=[parse_torrent_url("torrent:?tracker=http://tracker.invalid/announce")]
    )
    began = time.monotonic()
    swarm.close()
    assert time.monotonic() - began < 4
    assert session._session is not None  # left alone, not destroyed
    waiting.set()


END = """
import sys, os
from pathlib import Path
from edgekit.transport.swarm import Swarm
from edgekit.transport.swarm_settings import SwarmSettings
from tests.transport.torrent.made import read_blob
swarm = Swarm(SwarmSettings((("127.0.0.1", 0),)))
swarm.seed(read_blob(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))
if sys.argv[3] == "raise":
    raise SystemExit(3)
if sys.argv[3] == "fork" and os.fork() == 0:
    swarm.close()
    raise SystemExit(0)
if sys.argv[3] == "fork":
    assert os.wait()[1] == 0
    swarm.close()
"""


@pytest.mark.parametrize(("how", "code"), [("forget", 0), ("raise", 3), ("fork", 0)])
def test_a_process_ends_though_nobody_closed_its_swarm(made: Made, how: str, code: int) -> None:
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", END, made.blob, made.file, how], cwd=ROOT, timeout=20)
    assert done.returncode == code
    assert time.monotonic() - began < 8


def test_an_address_that_cannot_be_listened_at_is_named() -> None:
    swarm = Swarm(replace(LOOPBACK, listen=(("192.0.2.1", 6881),)))
    try:
        deadline = time.monotonic() + 5
        while not swarm.status().faults and time.monotonic() < deadline:
            time.sleep(0.02)
        assert "192.0.2.1" in str(swarm.status().faults)
    finally:
        swarm.close()


def test_it_listens_where_it_was_told_to_and_nowhere_else(swarm: Swarm) -> None:
    port = port_of(swarm)
    socket.create_connection(("127.0.0.1", port), timeout=2).close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", port), timeout=2).close()
