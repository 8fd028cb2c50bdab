"""Nodes that seed, for tests: an outlet that shows what would be given out, and a gateway that really gives it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from edgekit import digest
from edgekit.errors import TransferError
from edgekit.gateway.server import Gateway
from edgekit.gateway.shelf import Shelf
from edgekit.node.outlets import GatewayOutlet
from edgekit.node.seeding import Seeder, SeedPlan
from edgekit.transport.http import HttpTransport
from edgekit.transport.reading import read_all
from edgekit.types.blob import Blob
from tests.node.scene import Scene

QUIET = SeedPlan(update_every_s=0.0)


class Window:
    """An outlet that shows what would be given out, and reads every file that it is offered."""

    def __init__(self) -> None:
        self.blobs: dict[str, Path] = {}
        self.files: Mapping[str, bytes] = {}
        self.broken: set[str] = set()
        self.offers = 0

    def offer(self, blob: Blob, path: Path) -> None:
        assert digest.of_file(path) == blob.sha256
        self.blobs[blob.sha256] = path
        self.offers += 1

    def withdraw(self, blob: Blob) -> None:
        self.blobs.pop(blob.sha256, None)
        self.broken.discard(blob.sha256)

    def name(self, files: Mapping[str, bytes]) -> None:
        self.files = dict(files)

    def faults(self) -> frozenset[str]:
        return frozenset(self.broken)

    def status(self) -> Mapping[str, object]:
        return {}

    def close(self) -> None:
        self.blobs.clear()


def seeder(scene: Scene, *outlets: object, plan: SeedPlan = QUIET) -> Seeder:
    """One that is not running: its two threads' work is called by hand."""
    made = Seeder(scene.path, scene.world, outlets, plan)  # type: ignore[arg-type]
    made.share.prepare()
    return made


def slot_digests(scene: Scene) -> set[str]:
    slot = scene.serving()
    return {*slot.record.deployed.files.values(), digest.of_file(slot.folder / "model.sig")}


def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)


@contextmanager
def running(made: Seeder) -> Iterator[Seeder]:
    thread = threading.Thread(target=made.run)
    thread.start()
    try:
        yield made
    finally:
        made.stop.set()
        thread.join(20.0)
        assert not thread.is_alive()


@contextmanager
def gateway(scene: Scene, plan: SeedPlan = QUIET) -> Iterator[tuple[str, Seeder]]:
    """A node that seeds over http."""
    shelf = Shelf()
    server = Gateway(shelf)
    server.start()
    with running(Seeder(scene.path, scene.world, [GatewayOutlet(shelf, server)], plan)) as made:
        yield server.url, made


def documents(scene: Scene) -> set[str]:
    """Digests of everything in the current bundle that is no file of it."""
    built = scene.publisher.built[max(scene.publisher.built)]
    files = {file.sha256 for file in built.draft.manifest.files}
    return set(os.listdir(built.path / "blobs" / "sha256")) - files - {digest.of_bytes(b"{}")}


def has_documents(scene: Scene, url: str) -> bool:
    """Whether all that a new node needs is there, its files apart."""
    names = [f"blobs/sha256/{sha256}" for sha256 in documents(scene)]
    return all(has_file(url, name) for name in [*names, "metadata/timestamp.json"])


def has_file(url: str, name: str) -> bool:
    try:
        return bool(read_file(url, name))
    except TransferError:
        return False


def read_file(url: str, name: str) -> bytes:
    transport = HttpTransport(url)
    try:
        return read_all(transport, name, limit_bytes=10**6)
    finally:
        transport.close()
