"""Sources that lie, are silent, or have something else, T15, T16: swarms, gateways of IPFS, and nodes that seed.

A source has bytes and no say: what is current comes from the channel, and each piece is held against its digest.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from edgekit.addressing.torrent import make_torrent, torrent_file, write_torrent
from edgekit.errors import EdgekitError, SourcesError
from edgekit.gateway.server import Gateway
from edgekit.gateway.shelf import Shelf
from edgekit.node.disk import Disk
from edgekit.node.folder import NodeFolder
from edgekit.node.outlets import GatewayOutlet
from edgekit.node.seeding import Seeder, SeedPlan
from edgekit.node.settings import read_settings, write_settings
from edgekit.node.slots import current_slot
from edgekit.transport.http import HttpTransport
from edgekit.transport.reading import read_all
from edgekit.types.blob import Blob
from tests.attacks.distribution.realm import Realm
from tests.attacks.distribution.releases import model_bytes
from tests.bundle.building import Built
from tests.node.scene import flip
from tests.transport import hostile_server
from tests.transport.hostile_server import Behaviour, Exchange, HostileServer

LISTEN = "listen=127.0.0.1:0"


def have(realm: Realm, *sources: str) -> None:
    """Give the node these sources."""
    path = realm.node / "node.toml"
    write_settings(Disk(), path, replace(read_settings(path), sources=sources))


def model_of(built: Built) -> Blob:
    return built.draft.manifest.file("model.onnx").blob


def lose(realm: Realm, built: Built) -> Path:
    """The channel's server has the model no more; a copy of it for those who still do."""
    place = realm.channel / model_of(built).file_name
    return place.rename(realm.folder / model_of(built).sha256)


def raw(status: int, body: bytes, **headers: str) -> Behaviour:
    """The same answer to everything."""

    def answer(exchange: Exchange) -> None:
        exchange.answer(status, body, {"Content-Type": "application/vnd.ipld.raw", **headers})

    answer.__name__ = f"answer_{status}_{len(body)}"
    return answer


def endless(exchange: Exchange) -> None:
    exchange.head(200, {"Transfer-Encoding": "chunked", "Content-Type": "application/vnd.ipld.raw"})
    while True:
        exchange.send(b"10000\r\n" + bytes(2**16) + b"\r\n")


GATEWAYS: tuple[Behaviour, ...] = (
    raw(200, model_bytes(4)),
    raw(200, b""),
    raw(404, b"no"),
    raw(500, b"no"),
    endless,
    hostile_server.stall,
    hostile_server.redirect_in_circles,
    hostile_server.flood_headers,
)


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("behaviour", GATEWAYS, ids=lambda behaviour: behaviour.__name__)
def test_a_gateway_that_misbehaves(realm: Realm, behaviour: Behaviour) -> None:
    """Alone it is refused and named; beside the channel it costs nothing but a moment."""
    third = realm.publish(3)
    with HostileServer({}, behaviour) as server:
        have(realm, f"ipfs:{server.url}")
        copy = lose(realm, third)
        with realm.refuses(SourcesError, learns=True) as caught:
            realm.update()
        assert isinstance(caught[0], SourcesError)
        assert f"ipfs:{server.url}" in caught[0].faults
        assert server.sent_bytes < 2**26
        copy.rename(realm.channel / model_of(third).file_name)
        began = time.monotonic()
        assert realm.update().running.version == realm.answer() == 3
        assert time.monotonic() - began < 20.0


@pytest.mark.usefixtures("hasty")
def test_a_gateway_has_no_say_in_what_is_current(realm: Realm) -> None:
    """It is asked for blocks alone: of metadata it could have whatever it likes."""
    realm.publish(3)
    newer = realm.mirror("newer", *realm.keys.vision, *realm.keys.online)
    newer.offer(realm.bundle(4), signers=[realm.keys.publisher.public])
    with HostileServer(newer.folder) as server:
        have(realm, f"ipfs:{server.url}", server.url)
        assert realm.update().running.version == realm.answer() == 3
    assert {seen.name.split("/")[0] for seen in server.seen} <= {"ipfs", "blobs"}


@contextmanager
def gateway(files: dict[Blob, Path]) -> Iterator[str]:
    """An honest gateway."""
    shelf = Shelf()
    for blob, path in files.items():
        shelf.put_file(blob, path)
    with Gateway(shelf) as server:
        yield server.url


def test_an_honest_gateway_brings_what_the_channel_lost(realm: Realm) -> None:
    third = realm.publish(3)
    copy = lose(realm, third)
    with gateway({model_of(third): copy}) as url:
        have(realm, f"ipfs:{url}")
        assert realm.update().running.version == realm.answer() == 3


def test_a_gateway_whose_file_was_exchanged(realm: Realm) -> None:
    """It notices, and gives nothing out under the old name."""
    third = realm.publish(3)
    copy = lose(realm, third)
    with gateway({model_of(third): copy}) as url:
        have(realm, f"ipfs:{url}")
        flip(copy)
        with realm.refuses(SourcesError, learns=True):
            realm.update()
        flip(copy)


def test_a_source_that_this_machine_cannot_use(realm: Realm, monkeypatch: pytest.MonkeyPatch) -> None:
    """No libtorrent here, a scheme that nobody knows: told, and the channel has everything too."""
    for name in [
        name for name in sys.modules if name.startswith(("edgekit.transport.torrent", "edgekit.transport.sw"))
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "libtorrent", None)
    realm.publish(3)
    have(realm, f"torrent:?peer=127.0.0.1:6881&{LISTEN}", "gopher:hole")
    updated = realm.update()
    assert updated.running.version == realm.answer() == 3
    told = "\n".join([*realm.told, *updated.faults.values()])
    assert "gopher" in told


class Peers:
    """Processes of libtorrent alone that have a file, or say so."""

    def __init__(self, stack: ExitStack, realm: Realm, built: Built) -> None:
        self._stack = stack
        blob = model_of(built)
        data = (realm.channel / blob.file_name).read_bytes()
        self.torrent = realm.folder / "one.torrent"
        self.torrent.write_bytes(write_torrent(make_torrent(data, blob.sha256)))
        self.good, self.bad = realm.folder / "good", realm.folder / "bad"
        self.good.write_bytes(data)
        self.bad.write_bytes(bytes(byte ^ 1 for byte in data))

    def start(self, *, lies: bool) -> str:
        from tests.transport.torrent.processes import peer

        _, port = peer(self._stack, self.torrent, self.bad if lies else self.good, *(["--lie"] if lies else []))
        return f"peer=127.0.0.1:{port}"


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as found:
        yield found


@pytest.mark.usefixtures("hasty")
def test_a_swarm_of_liars(realm: Realm, stack: ExitStack) -> None:
    """Alone they are refused; beside one who is honest the release is installed."""
    third = realm.publish(3)
    peers = Peers(stack, realm, third)
    lose(realm, third)
    liars = "&".join(peers.start(lies=True) for _ in range(3))
    have(realm, f"torrent:?{liars}&{LISTEN}")
    with realm.refuses(SourcesError, match="torrent:", learns=True):
        realm.update()
    have(realm, f"torrent:?{liars}&{peers.start(lies=False)}&{LISTEN}")
    assert realm.update().running.version == realm.answer() == 3


@pytest.mark.usefixtures("hasty")
def test_a_tracker_that_never_answers(realm: Realm, stack: ExitStack) -> None:
    from tests.transport.torrent.tracker import deaf_ear

    third = realm.publish(3)
    ear = stack.enter_context(deaf_ear())
    have(realm, f"torrent:?tracker=http://127.0.0.1:{ear.port}/announce&{LISTEN}")
    copy = lose(realm, third)
    began = time.monotonic()
    with realm.refuses(SourcesError, match="torrent:", learns=True):
        realm.update()
    assert time.monotonic() - began < 40.0
    copy.rename(realm.channel / model_of(third).file_name)
    assert realm.update().running.version == realm.answer() == 3


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("what", ["another file", "path tricks", "nothing", "a tracker of its own"])
def test_a_torrent_file_that_is_another_one(realm: Realm, what: str) -> None:
    """No key: the channel's server has put it in the place of the right one. The infohash is signed."""
    third = realm.publish(3)
    blob = model_of(third)
    data = (realm.channel / blob.file_name).read_bytes()
    good = write_torrent(make_torrent(data, blob.sha256))
    made: dict[str, Callable[[], bytes]] = {
        "another file": lambda: write_torrent(make_torrent(model_bytes(4), blob.sha256)),
        "path tricks": lambda: good.replace(blob.sha256.encode(), b"../" + blob.sha256[3:].encode()),
        "nothing": lambda: b"",
        "a tracker of its own": lambda: write_torrent(
            make_torrent(data, blob.sha256), trackers=["http://127.0.0.1:9/announce"]
        ),
    }
    place = realm.channel / torrent_file(blob.sha256)
    place.parent.mkdir(exist_ok=True)
    place.write_bytes(made[what]())
    outside = realm.outside()
    with HostileServer(realm.channel) as server:
        have(realm, f"torrent:{server.url}?{LISTEN}")
        assert realm.update().running.version == realm.answer() == 3
    assert realm.outside() == outside


@contextmanager
def seeding(realm: Realm) -> Iterator[tuple[str, Seeder]]:
    """The realm's node, as it gives out what it has."""
    shelf = Shelf()
    server = Gateway(shelf)
    server.start()
    made = Seeder(realm.node, realm.world, [GatewayOutlet(shelf, server)], SeedPlan(update_every_s=0.0))
    thread = threading.Thread(target=made.run)
    thread.start()
    try:
        yield server.url, made
    finally:
        made.stop.set()
        thread.join(20.0)


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10.0
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)


def fetch(url: str, blob: Blob) -> bytes | None:
    """A blob as it comes from there; None where it does not."""
    transport = HttpTransport(url)
    try:
        return read_all(transport, blob.file_name, limit_bytes=10**6)
    except EdgekitError:
        return None
    finally:
        transport.close()


@pytest.mark.parametrize("file", ["files/model.onnx", "files/manifest.json", "model.sig"])
def test_a_seeding_node_whose_slot_rots_gives_nothing_of_it(realm: Realm, file: str, tmp_path: Path) -> None:
    """Before it was seen nobody gets a wrong byte, and after it was nobody gets any, of sound files either."""
    slot = current_slot(NodeFolder(realm.node))
    assert slot is not None
    model = slot.manifest().file("model.onnx").blob
    documents = len(slot.record.deployed.files)
    other = Realm(realm.folder, realm.keys)
    other.node = tmp_path / "other"
    with seeding(realm) as (url, made):
        until(lambda: model.sha256 in made.given and len(made.share.kept) > documents)
        good = fetch(url, model)
        flip(slot.folder / file)
        for _ in range(20):
            assert fetch(url, model) in (good, None)
        until(lambda: model.sha256 not in made.given)
        assert fetch(url, model) is None
        until(lambda: any("is not given out" in line for line in realm.told))
        other.set_up(url)
        with pytest.raises(SourcesError, match="no source gave"):
            other.update()
        assert other.update(url, realm.channel).running.version == other.answer() == 2


def test_what_a_node_gives_out_it_does_not_list_or_leave(realm: Realm) -> None:
    """Neither its key nor its receipts, nor anything of the machine, by any name."""
    with seeding(realm) as (url, made):
        until(lambda: made.given)
        transport = HttpTransport(url)
        for name in ("identity.key", "node.toml", "state.json", "receipts/00000001.json", "slots/a/slot.json",
                     "blobs/sha256", "metadata", "share/kept.json"):  # fmt: skip
            with pytest.raises(EdgekitError):
                read_all(transport, name, limit_bytes=10**6)
        transport.close()
