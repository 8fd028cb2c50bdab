"""Nodes in a swarm: one seeds what it has, another one installs from it, and both are one peer each, not two."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from edgekit.node.disk import Disk
from edgekit.node.outlets import SwarmOutlet
from edgekit.node.seeding import Seeder, SeedPlan
from edgekit.node.settings import read_settings, write_settings
from edgekit.node.update import Outcome
from edgekit.transport.swarm import shared_swarm
from edgekit.transport.swarm_settings import SwarmSettings
from edgekit.transport.torrent_url import parse_torrent_url
from tests.node.neighbours import documents, has_documents, running, slot_digests, until
from tests.node.scene import Scene
from tests.transport.torrent.conftest import LISTEN
from tests.transport.torrent.made import write_blob
from tests.transport.torrent.processes import node

SIZE = 3_000_000
SEEDING = r"seeding at 127\.0\.0\.1:(\d+)"
WORDS = [sys.executable, "-m", "edgekit", "node", "seed"]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    scene = Scene(tmp_path)
    scene.publisher.release(1, size_bytes=SIZE)
    scene.set_up()
    scene.update()
    return scene


class Process:
    """`edgekit node seed`, as a process of its own.

    Attributes:
        lines: What it wrote to stderr so far.
    """

    def __init__(self, folder: Path, *words: str) -> None:
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        self.child = subprocess.Popen(
            [*WORDS, str(folder), "--update-every", "0", "--json", *words],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.child.stderr is not None
        self.lines.extend(iter(self.child.stderr.readline, ""))

    def port(self, pattern: str) -> int:
        """The port in the first line that matches."""
        expression = re.compile(pattern)

        def find() -> re.Match[str] | None:
            return next((found for line in list(self.lines) if (found := expression.search(line))), None)

        until(lambda: find() or self.child.poll() is not None, 30.0)
        found = find()
        assert found, "".join(self.lines)
        return int(found[1])

    def end(self, number: int = signal.SIGTERM) -> int:
        self.child.send_signal(number)
        code = self.child.wait(30.0)
        self._reader.join(10.0)
        return code

    def close(self) -> None:
        if self.child.poll() is None:
            self.child.kill()
            self.child.wait(10.0)
        self._reader.join(10.0)
        for stream in (self.child.stdout, self.child.stderr):
            assert stream is not None
            stream.close()


@pytest.fixture
def process(scene: Scene) -> Iterator[Process]:
    made = Process(scene.path, "--listen", "127.0.0.1:0", "--gateway", "127.0.0.1:0")
    with contextlib.closing(made):
        yield made


def test_a_node_installs_from_the_swarm_of_another(scene: Scene, process: Process, tmp_path: Path) -> None:
    """The channel's server has lost the model, and has everything else; a peer that the node was told of has it."""
    peer = process.port(SEEDING)
    web = process.port(r"seeding at http://127\.0\.0\.1:(\d+)")
    until(lambda: has_documents(scene, f"http://127.0.0.1:{web}"), 20.0)
    model = scene.publisher.built[1].draft.manifest.file("model.v0.onnx")
    scene.publisher.remove_blob(model.sha256)
    other = Scene(tmp_path / "other")
    other.publisher = scene.publisher
    other.set_up()
    path = other.folder.settings
    source = f"torrent:?peer=127.0.0.1:{peer}&listen=127.0.0.1:0"
    write_settings(Disk(), path, replace(read_settings(path), sources=(source,)))
    updated = other.update()
    assert (updated.outcome, updated.running.version) == (Outcome.INSTALLED, 1)
    assert other.version() == 1
    assert process.end() == 0
    assert process.child.stdout is not None
    told = json.loads(process.child.stdout.read())
    swarm, gateway = told["outlets"]
    assert swarm["uploaded_bytes"] >= SIZE
    assert gateway["uploaded_bytes"] > 0
    assert told["files"] == len(slot_digests(scene) | documents(scene))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(process: Process, number: int) -> None:
    process.port(SEEDING)
    assert process.end(number) == 0
    assert not [line for line in process.lines if "Traceback" in line]


def test_an_address_that_somebody_has_taken(scene: Scene, process: Process) -> None:
    port = process.port(SEEDING)
    with contextlib.closing(Process(scene.path, "--listen", f"127.0.0.1:{port}")) as second:
        assert second.child.wait(30.0) == 2
        assert any("cannot connect here" in line for line in second.lines)


def test_kill_9_and_again(scene: Scene, process: Process) -> None:
    process.port(r"seeding at http://127\.0\.0\.1:(\d+)")
    process.end(signal.SIGKILL)
    with contextlib.closing(Process(scene.path, "--gateway", "127.0.0.1:0")) as again:
        web = again.port(r"seeding at http://127\.0\.0\.1:(\d+)")
        until(lambda: has_documents(scene, f"http://127.0.0.1:{web}"), 20.0)
        assert again.end() == 0


def test_it_updates_through_the_swarm_that_it_seeds_in(scene: Scene, tmp_path: Path) -> None:
    """A release that only a peer has comes by the one session of the process, and goes on from there to the next."""
    middle = Scene(tmp_path / "middle")
    middle.publisher = scene.publisher
    middle.set_up()
    middle.update()
    model = scene.publisher.release(2, size_bytes=SIZE, seed=2).draft.manifest.file("model.v0.onnx").blob
    scene.update()
    with ExitStack() as stack:
        first = stack.enter_context(contextlib.closing(Process(scene.path, "--listen", "127.0.0.1:0")))
        scene.publisher.remove_blob(model.sha256)
        source = f"torrent:?peer=127.0.0.1:{first.port(SEEDING)}"
        path = middle.folder.settings
        write_settings(Disk(), path, replace(read_settings(path), sources=(source,)))
        swarm = shared_swarm(SwarmSettings((("127.0.0.1", 0),)))
        outlet = SwarmOutlet(swarm, [parse_torrent_url(source)])
        outlet.wait_until_open()
        ((_, port),) = swarm.status().listening
        with running(Seeder(middle.path, middle.world, [outlet], SeedPlan(update_every_s=3600.0))) as made:
            until(lambda: any(each.sha256 == model.sha256 and each.is_seed for each in swarm.status().torrents), 60.0)
            assert middle.version() == 2
            assert swarm.status().listening == (("127.0.0.1", port),), "one session, not two"
            assert swarm.status().downloaded_bytes >= SIZE
            first.end(signal.SIGKILL)
            (tmp_path / "blob.json").write_text(write_blob(model))
            last = node(stack, tmp_path / "blob.json", tmp_path / "last", f"torrent:?peer=127.0.0.1:{port}&{LISTEN}")
            last.told("fetched")
        assert made.given_out[0]["uploaded_bytes"]  # type: ignore[truthy-bool]
    assert (tmp_path / "last").read_bytes() == (middle.serving().files / "model.v0.onnx").read_bytes()
