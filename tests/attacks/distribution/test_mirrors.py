"""Mirrors that lie about bytes, never end, or never begin: T6, T7, T12; all else that they have is the channel's."""

from __future__ import annotations

import gzip
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from edgekit.errors import (
    DigestError,
    EdgekitError,
    LengthError,
    MalformedError,
    SourcesError,
    StalledError,
    TransferError,
)
from tests.attacks.distribution.forger import Forger
from tests.attacks.distribution.realm import Realm
from tests.transport import hostile_server
from tests.transport.hostile_server import Behaviour, Exchange, HostileServer, serve


def only(name: str, behaviour: Behaviour) -> Behaviour:
    """Do that to files of that name, and be honest about all others."""

    def answer(exchange: Exchange) -> None:
        (behaviour if name in exchange.name else serve)(exchange)

    return answer


def packed(exchange: Exchange) -> None:
    """In an encoding that nobody asked for: what it unpacks to is not to be found out."""
    status, body, headers = exchange.part()
    exchange.answer(status, gzip.compress(body), {**headers, "Content-Encoding": "gzip"})


ON_METADATA: list[tuple[str, Behaviour, type[EdgekitError]]] = [
    ("timestamp.json", hostile_server.send_endlessly, LengthError),
    ("2.root.json", hostile_server.send_endlessly, LengthError),
    ("snapshot.json", hostile_server.send_endlessly, LengthError),
    ("vision.json", hostile_server.send_endlessly, LengthError),
    ("timestamp.json", hostile_server.lie, MalformedError),
    ("timestamp.json", hostile_server.flood_headers, TransferError),
    ("timestamp.json", packed, TransferError),
    ("timestamp.json", hostile_server.redirect_in_circles, TransferError),
    ("timestamp.json", hostile_server.truncate, TransferError),
    ("timestamp.json", hostile_server.stall, StalledError),
    ("timestamp.json", hostile_server.dribble, StalledError),
    ("timestamp.json", hostile_server.dribble_headers, StalledError),
    ("timestamp.json", hostile_server.inform_forever, StalledError),
]


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(
    ("name", "behaviour", "error"), ON_METADATA, ids=[f"{does.__name__}-{name}" for name, does, _ in ON_METADATA]
)
def test_a_server_that_misbehaves_with_metadata(
    realm: Realm, name: str, behaviour: Behaviour, error: type[EdgekitError]
) -> None:
    realm.publish(3)
    if name == "2.root.json":
        forger = Forger(realm.channel, realm.keys.root[:2], realm.now)
        root = forger.read("root")
        root.version += 1
        forger.write("root", root)
    with HostileServer(realm.channel, only(name, behaviour)) as server, realm.refuses(error, match=server.url):
        realm.update(server.url)


@pytest.mark.usefixtures("hasty")
def test_a_release_index_without_an_end(realm: Realm) -> None:
    realm.publish(3)
    server = HostileServer(realm.channel, only("targets/", hostile_server.send_endlessly))
    with server, realm.refuses(LengthError, match=server.url, learns=True):
        realm.update(server.url)
    assert server.sent_bytes < 2**24


def endless(exchange: Exchange) -> None:
    """Begins as it should, in a chunk that is longer than what was asked for, and goes on and on."""
    status, body, headers = exchange.part()
    exchange.head(status, {"Transfer-Encoding": "chunked", **headers})
    chunk = body + bytes(2**16)
    while True:
        exchange.send(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")


ON_BLOBS: tuple[Behaviour, ...] = (
    endless,
    hostile_server.lie,
    hostile_server.lie_at_the_end,
    hostile_server.claim_wrong_range,
    hostile_server.truncate,
    hostile_server.truncate_politely,
    hostile_server.stall,
    hostile_server.dribble,
    packed,
    hostile_server.refuse(500),
)


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("behaviour", ON_BLOBS, ids=lambda behaviour: behaviour.__name__)
def test_a_server_that_misbehaves_with_blobs(realm: Realm, behaviour: Behaviour) -> None:
    """No slot is written; beside an honest mirror the release is installed, and the other one is named."""
    built = realm.publish(3)
    model = built.draft.manifest.file("model.onnx").sha256
    with HostileServer(realm.channel, only(model, behaviour)) as server:
        with realm.refuses(SourcesError, match=server.url, learns=True) as caught:
            realm.update(server.url)
        assert isinstance(caught[0], SourcesError)
        assert server.url in caught[0].faults
        assert server.sent_bytes < 2**27
        with HostileServer(realm.channel) as honest:
            assert realm.update(server.url, honest.url).running.version == realm.answer() == 3


@pytest.mark.parametrize("what", ["manifest.json", "image", "signature", "golden.outputs.npz", "model.onnx"])
def test_other_bytes_of_the_same_length(realm: Realm, what: str) -> None:
    """No key. Any one blob of the release is another one; all digests above it are right."""
    built = realm.publish(3)
    mirror = realm.mirror("mirror")
    place = mirror.blob(blob_of(realm, what))
    place.write_bytes(bytes(byte ^ 1 for byte in place.read_bytes()))
    with realm.refuses(SourcesError, match="lie|sha256|digest|bytes", learns=True):
        realm.update(mirror.folder)
    assert realm.update(mirror.folder, realm.channel).running.version == realm.answer() == 3
    assert built.draft.manifest.version == 3


def blob_of(realm: Realm, what: str) -> str:
    """Digest of a part of version 3."""
    from edgekit.bundle.opening import open_bundle
    from edgekit.bundle.release import read_image, read_release

    path = max(realm.folder.glob("draft-*"), key=lambda folder: int(folder.name.split("-")[1])) / "net.edgekit"
    with open_bundle(path) as bundle:
        release = read_release(bundle.blobs, bundle.index_bytes)
        image = read_image(bundle.blobs, release, "first")
    if what == "image":
        return release.images["first"].sha256
    return image.signature_layer.sha256 if what == "signature" else image.layers[what].sha256


def link_to_the_file(place: Path, secret: Path) -> None:
    place.symlink_to(secret)


def link_in_the_tree(place: Path, secret: Path) -> None:
    place.symlink_to(os.path.relpath(secret, place.parent))


def a_pipe(place: Path, secret: Path) -> None:
    os.mkfifo(place)


def a_folder(place: Path, secret: Path) -> None:
    place.mkdir()


@pytest.mark.parametrize("put", [link_to_the_file, link_in_the_tree, a_pipe, a_folder], ids=lambda put: put.__name__)
def test_a_folder_of_a_channel_leads_nowhere_else(realm: Realm, put: Callable[[Path, Path], None]) -> None:
    """A channel on a stick that somebody handed over: a blob is a link to a file of this machine, or no file."""
    built = realm.publish(3)
    mirror = realm.mirror("mirror")
    place = mirror.blob(built.draft.manifest.file("model.onnx").sha256)
    secret = realm.folder / "secret"
    shutil.move(place, secret)  # the right bytes, so that nothing but the link is wrong
    put(place, secret)
    with realm.refuses(SourcesError, match="leads out of the folder|no regular file", learns=True):
        realm.update(mirror.folder)


def test_all_mirrors_lie(realm: Realm) -> None:
    """Each is named with what it did, and nothing is installed."""
    built = realm.publish(3)
    mirrors = [realm.mirror(f"mirror-{number}") for number in range(3)]
    for mirror in mirrors:
        mirror.blob(built.draft.manifest.file("model.onnx").sha256).write_bytes(b"another model")
    with realm.refuses(SourcesError, learns=True) as caught:
        realm.update(*(mirror.folder for mirror in mirrors))
    assert isinstance(caught[0], SourcesError)
    assert set(caught[0].faults) == {str(mirror.folder) for mirror in mirrors}


def test_a_mirror_without_the_index_is_passed_over(realm: Realm) -> None:
    """The newest metadata and a forged index from one, everything from another."""
    realm.publish(3)
    mirror = realm.mirror("mirror")
    for place in (mirror.folder / "targets" / "vision").iterdir():
        place.write_bytes(place.read_bytes()[::-1])
    with realm.refuses(DigestError, learns=True):
        realm.update(mirror.folder)
    assert realm.update(mirror.folder, realm.channel).running.version == realm.answer() == 3
