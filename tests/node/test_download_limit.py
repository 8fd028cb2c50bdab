"""One limit for all that a node receives, from all of its mirrors, for its own slots and for others."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from edgekit.errors import InputError
from edgekit.node.disk import Disk
from edgekit.node.opened import look_at, open_node
from edgekit.node.seeding import SeedPlan
from edgekit.node.settings import LARGEST_RATE, read_settings, write_settings
from edgekit.node.status import read_status
from edgekit.node.update import Outcome, Updated, update
from edgekit.transport.inflow import INFLOW, LEAST_BYTES_PER_S
from tests.node.neighbours import Window, seeder
from tests.node.scene import Scene
from tests.transport.hostile_server import HostileServer

SIZE_BYTES = 200_000
TEXT = 'schema = "edgekit.node/1"\nmodel = "vision/net"\nchannels = ["/srv/c"]\n'


@pytest.fixture
def mirrors(tmp_path: Path) -> Iterator[list[HostileServer]]:
    """Ten good mirrors of the scene's channel, over http."""
    with ExitStack() as stack:
        yield [stack.enter_context(HostileServer(tmp_path / "channel")) for _ in range(10)]


@pytest.fixture
def scene(tmp_path: Path, mirrors: list[HostileServer]) -> Scene:
    scene = Scene(tmp_path)
    scene.publisher.release(1, variants=2, size_bytes=SIZE_BYTES)
    scene.set_up(*(server.url for server in mirrors))
    return scene


def limit(scene: Scene, bytes_per_s: int) -> None:
    path = scene.folder.settings
    write_settings(Disk(), path, replace(read_settings(path), download_bytes_per_s=bytes_per_s))


def timed_update(scene: Scene, bytes_per_s: int | None = None) -> tuple[Updated, float]:
    """An update by a world that may have a limit of its own, and its seconds."""
    began = time.monotonic()
    with open_node(scene.path, replace(scene.world, download_bytes_per_s=bytes_per_s)) as node:
        updated = update(node)
    return updated, time.monotonic() - began


def test_an_update_from_ten_mirrors_keeps_it_and_blames_nobody(scene: Scene, mirrors: list[HostileServer]) -> None:
    limit(scene, 100_000)
    updated, took_s = timed_update(scene)
    received = sum(server.sent_bytes for server in mirrors)
    assert updated.outcome is Outcome.INSTALLED
    assert updated.faults == {}
    assert updated.fetched_bytes >= SIZE_BYTES
    assert 0.9 * received / 100_000 < took_s < 60
    assert INFLOW.bytes_per_s == 0


def test_a_flag_counts_in_place_of_the_settings(scene: Scene) -> None:
    limit(scene, LEAST_BYTES_PER_S)
    updated, took_s = timed_update(scene, 0)
    assert updated.outcome is Outcome.INSTALLED
    assert took_s < 0.5 * SIZE_BYTES / LEAST_BYTES_PER_S
    scene.publisher.release(2, size_bytes=SIZE_BYTES, seed=2)
    limit(scene, 0)
    updated, took_s = timed_update(scene, 100_000)
    assert updated.faults == {}
    assert took_s > 0.9 * updated.fetched_bytes / 100_000
    with pytest.raises(InputError, match="download_bytes_per_s"), open_node(
        scene.path, replace(scene.world, download_bytes_per_s=LEAST_BYTES_PER_S - 1)
    ):  # fmt: skip
        pass


def test_what_is_kept_for_others_comes_within_it(scene: Scene, mirrors: list[HostileServer]) -> None:
    timed_update(scene)
    limit(scene, 100_000)
    made = seeder(scene, Window(), plan=SeedPlan(keep_bytes=10**7, update_every_s=0.0))
    before, began = sum(server.sent_bytes for server in mirrors), time.monotonic()
    made.gather()
    took_s = time.monotonic() - began
    received = sum(server.sent_bytes for server in mirrors) - before
    assert received > SIZE_BYTES, "the file of another machine"
    assert took_s > 0.9 * received / 100_000
    assert not any("no source" in line for line in scene.told)


def test_it_is_written_and_shown_only_where_there_is_one(scene: Scene) -> None:
    assert "download" not in scene.folder.settings.read_text()
    limit(scene, 123_456)
    assert "download_bytes_per_s = 123456\n" in scene.folder.settings.read_text()
    assert read_status(look_at(scene.path, scene.world)).download_bytes_per_s == 123_456


@pytest.mark.parametrize("value", [-1, 1, LEAST_BYTES_PER_S - 1, LARGEST_RATE + 1, "'100kB'", 1e5, "true"])
def test_what_is_no_limit_is_refused(value: object, tmp_path: Path) -> None:
    path = tmp_path / "node.toml"
    path.write_text(f"{TEXT}download_bytes_per_s = {value}\n")
    with pytest.raises(InputError, match="download_bytes_per_s"):
        read_settings(path)


@pytest.mark.parametrize("value", [0, LEAST_BYTES_PER_S, LARGEST_RATE])
def test_what_is_a_limit_is_read(value: int, tmp_path: Path) -> None:
    path = tmp_path / "node.toml"
    path.write_text(f"{TEXT}download_bytes_per_s = {value}\n")
    assert read_settings(path).download_bytes_per_s == value


def test_where_it_once_stood_it_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "node.toml"
    path.write_text(f"{TEXT}seed = {{download_bytes_per_s = 50000, keep_bytes = 7}}\n")
    found = read_settings(path)
    assert (found.download_bytes_per_s, found.seed.keep_bytes) == (50_000, 7)
    path.write_text(f"{TEXT}download_bytes_per_s = 70000\nseed = {{download_bytes_per_s = 50000}}\n")
    assert read_settings(path).download_bytes_per_s == 70_000
