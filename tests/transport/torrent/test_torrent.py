"""The transport against peers in other processes: what it brings, what it refuses, how long it waits."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from edgekit.addressing.torrent import SHORTEST_PIECE_BYTES
from edgekit.errors import AbsentError, DigestError, MalformedError, SourcesError, StalledError, TransferError
from edgekit.testing.transport_check import check_blob_transport
from edgekit.transport.fetch import SCRATCH_SUFFIX, Sources
from edgekit.transport.http import HttpTransport
from edgekit.transport.opening import open_transport
from edgekit.transport.patience import Patience
from edgekit.transport.swarm import shared_swarm
from edgekit.transport.swarm_settings import settings_for
from edgekit.transport.torrent import TorrentTransport
from edgekit.transport.torrent_url import parse_torrent_url
from edgekit.types.blob import Blob
from tests.transport import hostile_server as hostile
from tests.transport.blobs import noise
from tests.transport.conftest import Start as StartServer
from tests.transport.torrent.conftest import LISTEN, Connect, Made, Start, make
from tests.transport.torrent.made import addressed, stock_torrent
from tests.transport.torrent.patience import SHORT
from tests.transport.torrent.processes import node, peer
from tests.transport.torrent.tracker import Ear, Tracker


def fetched(transport: TorrentTransport, blob: Blob, folder: Path) -> bytes:
    target = folder / "fetched"
    Sources([transport]).fetch(blob, target)
    assert not target.with_name(target.name + SCRATCH_SUFFIX).exists()
    return target.read_bytes()


def read(transport: TorrentTransport, blob: Blob, start: int, stop: int, scratch: Path | None) -> bytes:
    with transport.read_blob(blob, start=start, stop=stop, scratch=scratch) as chunks:
        return b"".join(chunks)


def channel_of(made: Made, torrent: bytes | None = None) -> dict[str, bytes]:
    """A channel's files: the blob, and its torrent or another one in its place."""
    return {
        f"torrents/{made.noise.blob.sha256}.torrent": torrent or made.torrent.read_bytes(),
        made.noise.blob.file_name: made.noise.data,
    }


def test_a_blob_comes_from_a_peer_that_has_the_torrent_too(
    made: Made, seed: Start, connect: Connect, tmp_path: Path
) -> None:
    _, port = seed()
    assert fetched(connect(f"?peer=127.0.0.1:{port}"), made.noise.blob, tmp_path) == made.noise.data
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fetched"]


def test_a_blob_comes_from_peers_that_a_tracker_knows(
    made: Made, seed: Start, connect: Connect, tracker: Tracker, tmp_path: Path
) -> None:
    seed("--tracker", tracker.url)
    assert fetched(connect(f"?tracker={tracker.url}"), made.noise.blob, tmp_path) == made.noise.data


def test_a_blob_comes_from_the_channel_as_a_web_seed(
    made: Made, start: StartServer, connect: Connect, tmp_path: Path
) -> None:
    server = start(channel_of(made))
    assert fetched(connect(server.url), made.noise.blob, tmp_path) == made.noise.data


def test_a_web_seed_without_ranges_will_do(made: Made, start: StartServer, connect: Connect, tmp_path: Path) -> None:
    server = start(channel_of(made), hostile.serve_whole)
    assert fetched(connect(server.url), made.noise.blob, tmp_path) == made.noise.data


def test_peers_go_on_where_the_channel_is_down(made: Made, seed: Start, connect: Connect, tmp_path: Path) -> None:
    _, port = seed()
    with hostile.HostileServer({}) as server:
        down = server.url
    assert fetched(connect(f"{down}?peer=127.0.0.1:{port}"), made.noise.blob, tmp_path) == made.noise.data


def test_liars_with_the_only_piece_take_no_second_each(connect: Connect, stack: ExitStack, tmp_path: Path) -> None:
    """libtorrent alone asks the next one at its next tick or the one after: three to six seconds for eight."""
    small = make(tmp_path / "small", addressed(186))
    lie = tmp_path / "lie"
    lie.write_bytes(bytes(186))
    liars = "&".join(f"peer=127.0.0.1:{peer(stack, small.torrent, lie, '--lie')[1]}" for _ in range(8))
    tries = (seconds_of_lies(connect, small.noise.blob, liars, tmp_path / str(number)) for number in range(3))
    assert any(seconds < 2.5 for seconds in tries)


def seconds_of_lies(connect: Connect, blob: Blob, liars: str, scratch: Path) -> float:
    """How long it takes from the first wrong piece until each of eight has sent one."""
    scratch.mkdir()
    transport = connect(f"?{liars}", patience=Patience())
    swarm = shared_swarm(settings_for(parse_torrent_url(f"torrent:?{liars}&{LISTEN}")))

    def wrong_bytes() -> int:
        return sum(torrent.failed_bytes for torrent in swarm.status().torrents)

    def ask() -> None:
        with suppress(TransferError):
            read(transport, blob, 0, blob.size_bytes, scratch)

    asking = threading.Thread(target=ask)
    asking.start()
    moments = []
    for least in (1, 8 * blob.size_bytes):
        deadline = time.monotonic() + 20
        while wrong_bytes() < least and time.monotonic() < deadline:
            time.sleep(0.02)
        moments.append(time.monotonic())
    transport.close()
    asking.join()
    swarm.close()
    return moments[1] - moments[0]


@pytest.mark.parametrize("route", ["http://127.0.0.1:{0}", "?tracker=http://127.0.0.1:{0}/announce",
                                   "?tracker=udp://127.0.0.1:{0}", "?peer=127.0.0.1:{0}"])  # fmt: skip
def test_nobody_who_never_answers_is_waited_for(
    made: Made, connect: Connect, ear: Ear, tmp_path: Path, route: str
) -> None:
    transport = connect(route.format(ear.port))
    began = time.monotonic()
    with pytest.raises((AbsentError, StalledError)):
        read(transport, made.noise.blob, 0, 2**20, tmp_path)
    assert ear.heard
    assert time.monotonic() - began < SHORT.answer_s + 5
    began = time.monotonic()
    transport.close()
    assert time.monotonic() - began < 3


def test_a_good_peer_is_enough_beside_all_that_never_answer(
    made: Made, seed: Start, connect: Connect, ear: Ear, tmp_path: Path
) -> None:
    _, port = seed()
    dead = f"http://127.0.0.1:{ear.port}"
    transport = connect(
        f"{dead}?tracker={dead}/announce&tracker=udp://127.0.0.1:{ear.port}&peer=127.0.0.1:{ear.port}"
        f"&peer=127.0.0.1:{port}"
    )
    began = time.monotonic()
    assert fetched(transport, made.noise.blob, tmp_path) == made.noise.data
    assert time.monotonic() - began < 6 * SHORT.answer_s  # each of them alone would cost as much, and be tried again


def test_an_infohash_that_nobody_knows_is_absent(made: Made, seed: Start, connect: Connect, tmp_path: Path) -> None:
    _, port = seed()
    other = addressed(2**20 + 1, seed=7)
    with pytest.raises(AbsentError, match="nobody who has it was found"):
        read(connect(f"?peer=127.0.0.1:{port}"), other.blob, 0, 2**20, tmp_path)


def test_a_blob_without_addresses_is_absent(connect: Connect, tmp_path: Path) -> None:
    with pytest.raises(AbsentError, match="nobody signed an infohash"):
        read(connect("?peer=127.0.0.1:6881"), noise(100).blob, 0, 100, tmp_path)


def test_a_swarm_has_no_files_and_takes_none(connect: Connect) -> None:
    transport = connect("?peer=127.0.0.1:6881")
    with pytest.raises(AbsentError), transport.read("metadata/root.json"):
        pass
    with pytest.raises(TransferError):
        transport.write("metadata/root.json", [b""], size_bytes=0)


def test_the_transport_keeps_its_promises(made: Made, seed: Start, connect: Connect, tmp_path: Path) -> None:
    _, port = seed()
    check_blob_transport(lambda: connect(f"?peer=127.0.0.1:{port}"), made.noise.blob, made.noise.data, folder=tmp_path)


def test_a_small_blob_comes_to_memory(made: Made, seed: Start, connect: Connect) -> None:
    _, port = seed()
    found = Sources([connect(f"?peer=127.0.0.1:{port}")]).read(made.noise.blob, limit_bytes=2**23)
    assert found == made.noise.data


def test_only_what_is_asked_for_is_fetched(made: Made, seed: Start, connect: Connect, tmp_path: Path) -> None:
    _, port = seed()
    transport = connect(f"?peer=127.0.0.1:{port}")
    assert read(transport, made.noise.blob, 2**20, 2**20 + 5, tmp_path) == made.noise.data[2**20 : 2**20 + 5]
    swarm = transport._swarm
    assert swarm is not None
    assert swarm.status().downloaded_bytes <= 2**18
    assert swarm.pieces(made.noise.blob) == {2**20 // SHORTEST_PIECE_BYTES}


def test_what_is_there_is_given_out_while_the_rest_comes(
    made: Made, seed: Start, connect: Connect, stack: ExitStack, tmp_path: Path
) -> None:
    """Another node, which knows this one alone, gets the first half before this one has the second."""
    _, port = seed("--rate", 1_000_000)
    transport, half = connect(f"?peer=127.0.0.1:{port}"), made.noise.blob.size_bytes // 2
    read(transport, made.noise.blob, 0, half, tmp_path / "own")
    swarm = transport._swarm
    assert swarm is not None
    [(_, own)] = swarm.status().listening
    other = node(stack, made.blob, tmp_path / "other", f"torrent:?peer=127.0.0.1:{own}&{LISTEN}", "--pieces")
    deadline = time.monotonic() + 20
    while swarm.status().uploaded_bytes < half and time.monotonic() < deadline:
        other.told("pieces")
    assert half <= swarm.status().uploaded_bytes
    assert len(swarm.pieces(made.noise.blob)) * SHORTEST_PIECE_BYTES < made.noise.blob.size_bytes - 2**20


def test_a_closed_transport_ends_its_readers(made: Made, connect: Connect, ear: Ear, tmp_path: Path) -> None:
    transport = connect(f"?peer=127.0.0.1:{ear.port}")
    with transport.read_blob(made.noise.blob, start=0, stop=2**20, scratch=tmp_path) as chunks:
        closer = threading.Timer(0.3, transport.close)
        closer.start()
        with pytest.raises(TransferError, match="was ended"):
            next(chunks)
        closer.join()
    with pytest.raises(TransferError, match="closed"):
        read(transport, made.noise.blob, 0, 1, tmp_path)


def test_a_fetch_that_others_finish_lets_go_of_the_swarm(
    made: Made, seed: Start, start: StartServer, connect: Connect, tmp_path: Path
) -> None:
    """The scratch folder is gone, and stays away, whatever was under way in it."""
    _, port = seed("--rate", 200_000)
    server = start(channel_of(made))
    transport, mirror = connect(f"?peer=127.0.0.1:{port}"), HttpTransport(server.url)
    target = tmp_path / "fetched"
    began = time.monotonic()
    sources = Sources([transport, mirror])
    sources.fetch(made.noise.blob, target)
    mirror.close()
    assert target.read_bytes() == made.noise.data
    assert time.monotonic() - began < 5
    time.sleep(0.5)
    assert [path.name for path in tmp_path.iterdir()] == ["fetched"]
    assert sources.dropped == ()
    assert transport._swarm is not None
    assert transport._swarm.status().torrents == ()


def test_a_disk_that_cannot_be_written_is_said(made: Made, seed: Start, connect: Connect, tmp_path: Path) -> None:
    _, port = seed()
    (tmp_path / "scratch").write_text("a file in the place of the folder")
    with pytest.raises(TransferError, match="scratch"):
        read(connect(f"?peer=127.0.0.1:{port}"), made.noise.blob, 0, 1, tmp_path / "scratch")


def test_the_url_opens_it() -> None:
    transport = open_transport("torrent:?peer=192.0.2.1:6881")
    assert isinstance(transport, TorrentTransport)
    transport.close()  # nobody was contacted, nothing was started


# What a mirror may give out as the torrent.


def test_the_torrent_of_something_else_is_refused(
    made: Made, start: StartServer, connect: Connect, tmp_path: Path
) -> None:
    other = addressed(made.noise.blob.size_bytes, seed=5)
    server = start(channel_of(made, stock_torrent(other.data, tmp_path)))
    with pytest.raises(DigestError, match="has the infohash"):
        read(connect(server.url), made.noise.blob, 0, 2**20, tmp_path)


def test_forged_hashes_of_v1_are_refused(made: Made, start: StartServer, connect: Connect, tmp_path: Path) -> None:
    whole = made.torrent.read_bytes()
    at = whole.index(b"6:pieces") + 20
    forged = whole[:at] + bytes(20) + whole[at + 20 :]
    with pytest.raises(DigestError, match="has the infohash"):
        read(connect(start(channel_of(made, forged)).url), made.noise.blob, 0, 2**20, tmp_path)


@pytest.mark.parametrize("name", [b"../../../../tmp/x", b"/etc/passwd", b"a/b", b"C:\\x", b"..", b""])
def test_path_tricks_are_refused(made: Made, start: StartServer, connect: Connect, tmp_path: Path, name: bytes) -> None:
    sha256 = made.noise.blob.sha256.encode()
    tricked = made.torrent.read_bytes().replace(b"64:" + sha256, b"%d:%s" % (len(name), name))
    with pytest.raises((DigestError, MalformedError)):
        read(connect(start(channel_of(made, tricked)).url), made.noise.blob, 0, 2**20, tmp_path / "scratch")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["scratch", "torrent"]


def test_a_lying_channel_is_passed_over_where_peers_are_known(
    made: Made, seed: Start, start: StartServer, connect: Connect, tmp_path: Path
) -> None:
    _, port = seed()
    server = start({f"torrents/{made.noise.blob.sha256}.torrent": b"d4:infodee"})
    assert fetched(connect(f"{server.url}?peer=127.0.0.1:{port}"), made.noise.blob, tmp_path) == made.noise.data


def test_trackers_and_web_seeds_that_a_mirror_wrote_in_are_not_contacted(
    made: Made, seed: Start, start: StartServer, connect: Connect, ear: Ear, tmp_path: Path
) -> None:
    _, port = seed()
    evil = f"http://127.0.0.1:{ear.port}/announce".encode()
    whole = made.torrent.read_bytes()
    assert whole.startswith(b"d4:info")
    written = b"d8:announce%d:%s13:announce-listll%d:%see" % (len(evil), evil, len(evil), evil)
    seeds = b"8:url-list%d:%se" % (len(evil), evil)
    server = start(channel_of(made, written + whole[1:-1] + seeds))
    transport = connect(f"{server.url}?peer=127.0.0.1:{port}")
    assert fetched(transport, made.noise.blob, tmp_path) == made.noise.data
    assert any(seen.name.startswith("torrents/") for seen in server.seen)
    time.sleep(0.5)
    assert ear.heard == 0


def test_a_torrent_without_an_end_is_cut_off(made: Made, start: StartServer, connect: Connect, tmp_path: Path) -> None:
    server = start(channel_of(made), hostile.send_endlessly)
    with pytest.raises(SourcesError):
        Sources([connect(server.url)]).fetch(made.noise.blob, tmp_path / "fetched")
    assert not (tmp_path / "fetched").exists()


def test_without_libtorrent_its_extra_is_named() -> None:
    program = (
        "import sys; sys.modules['libtorrent'] = None\n"
        "from edgekit.errors import MissingExtraError\n"
        "from edgekit.transport.opening import open_transport\n"
        "try: open_transport('torrent:?peer=192.0.2.1:6881')\n"
        "except MissingExtraError as error: print(error.hint)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "edgekit-ml[p2p]" in done.stdout
