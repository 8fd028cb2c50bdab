"""A node that finds nothing new: below 10 kB of traffic and 0.5 s of CPU, and nothing heavy is imported."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.node_update import Commands, serve
from edgekit.node.update import Outcome
from tests.node.notary import Notary
from tests.node.scene import Scene

LIMIT_BYTES = 10_000
LIMIT_CPU_S = 0.5
LOG_BYTES = 40_000
HEAVY = ("torch", "onnx", "onnxruntime", "ai_edge_litert", "numpy", "rich", "libtorrent", "zstandard", "bsdiff4")

PROGRAM = """
import json, sys
from edgekit.cli.app import run
code = run(sys.argv[1:])
print(json.dumps({"code": code, "modules": sorted(sys.modules)}), file=sys.stderr)
"""


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    scene = Scene(tmp_path)
    scene.publisher.release(1, variants=2)
    return scene


@pytest.mark.parametrize("mirrors", [1, 2])
def test_traffic(scene: Scene, mirrors: int) -> None:
    with serve(scene.publisher.folder) as (url, traffic):
        scene.set_up(*(f"{url}{'/' * number}" for number in range(mirrors)))
        assert scene.update().outcome is Outcome.INSTALLED
        first = traffic.total
        traffic.sent = traffic.received = traffic.requests = 0
        assert scene.update().outcome is Outcome.UNCHANGED
        assert 0 < traffic.total < LIMIT_BYTES
        assert traffic.total < first / 3


def test_cpu_and_imports(scene: Scene, tmp_path: Path) -> None:
    edgekit = Commands(tmp_path)
    with serve(scene.publisher.folder) as (url, traffic):
        scene.set_up(url)
        scene.update()
        words = ["node", "update", str(scene.path)]
        traffic.sent = traffic.received = traffic.requests = 0
        best = min(edgekit.cpu_seconds(*words) for _ in range(4))
        assert traffic.requests >= 4
        done = subprocess.run([sys.executable, "-c", PROGRAM, *words], capture_output=True, text=True, check=True)
    found = json.loads(done.stderr.splitlines()[-1])
    assert found["code"] == 0
    assert [name for name in HEAVY if name in found["modules"]] == []
    assert best < LIMIT_CPU_S, f"{best:.2f} s of CPU"


@pytest.mark.parametrize("entries", [1, 2000])
def test_with_a_policy(scene: Scene, tmp_path: Path, entries: int) -> None:
    """The proof of what runs is verified from the disk; of the log nothing is read but its newest head."""
    notary = Notary(scene.publisher.folder)
    notary.append(*(b"entry %d" % number for number in range(entries)))
    notary.record(scene.publisher.built[1].path)
    edgekit = Commands(tmp_path)
    with serve(scene.publisher.folder) as (url, traffic):
        scene.set_up(url)
        notary.watch(scene.path)
        scene.update()
        words = ["node", "update", str(scene.path)]
        traffic.sent = traffic.received = traffic.requests = 0
        assert scene.update().outcome is Outcome.UNCHANGED
        assert 0 < traffic.total < LIMIT_BYTES
        unchanged = traffic.total
        best = min(edgekit.cpu_seconds(*words) for _ in range(4))
        done = subprocess.run([sys.executable, "-c", PROGRAM, *words], capture_output=True, text=True, check=True)
        found = json.loads(done.stderr.splitlines()[-1])
        assert found["code"] == 0
        assert [name for name in HEAVY if name in found["modules"]] == []
        assert best < LIMIT_CPU_S, f"{best:.2f} s of CPU"
        notary.append(b"another")
        notary.cosign()
        traffic.sent = traffic.received = traffic.requests = 0
        assert scene.update().outcome is Outcome.UNCHANGED
        assert unchanged < traffic.total < unchanged + LOG_BYTES, "a log that has grown costs some tiles more"


def test_the_counting_server_counts(tmp_path: Path) -> None:
    import http.client

    (tmp_path / "x").write_bytes(b"1" * 1000)
    with serve(tmp_path) as (url, traffic):
        connection = http.client.HTTPConnection(url.removeprefix("http://"))
        for _ in range(2):
            connection.request("GET", "/x")
            assert len(connection.getresponse().read()) == 1000
        connection.close()
    assert traffic.requests == 2
    assert traffic.received > 2000
    assert 60 < traffic.sent < 300
