"""A node that was off for some releases: it takes a delta from the one that it has, which `publish` made by itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edgekit.node.disk import Disk
from edgekit.node.opened import open_node
from edgekit.node.settings import NodeSettings
from edgekit.node.setup import set_up
from edgekit.node.update import Updated, update
from edgekit.node.world import World, no_passphrase
from edgekit.publish.publishing import publish
from edgekit.transport.file import FileTransport
from tests.node.scene import MACHINE, Trials
from tests.publish.lab import MODEL, Lab
from tests.publish.related import FILE, MODELS, related


class Away:
    """A channel in a folder, and a node that looks now and then.

    Attributes:
        last: From how many releases deltas are made.
    """

    def __init__(self, folder: Path, *, last: int) -> None:
        self.last = last
        self._lab = Lab(folder / "bundles")
        self._lab.found()
        self._place = FileTransport(folder / "channel")
        for name, data in self._lab.place.files.items():
            self._place.write(name, [data], size_bytes=len(data))
        self._node = folder / "node"
        self._told: list[str] = []
        root = (self._place.folder / "metadata" / "1.root.json").read_bytes()
        set_up(self._node, NodeSettings(MODEL, (str(self._place.folder),)), root, None, disk=Disk())

    def publish(self, version: int) -> None:
        lab = self._lab
        built = related(lab.folder / str(version), lab.publisher, version, name=MODEL)
        settings = replace(lab.settings(), delta_releases=self.last)
        publish(built.path, self._place, settings, now=lab.now)

    def update(self) -> Updated:
        world = World(
            disk=Disk(), clock=lambda: self._lab.now, probe=lambda folder: MACHINE, self_test=Trials(),
            passphrase=no_passphrase, tell=self._told.append,
        )  # fmt: skip
        with open_node(self._node, world) as node:
            return update(node)

    @property
    def model(self) -> bytes:
        """Of the release that runs."""
        return (self._node / "current" / "files" / FILE).read_bytes()


@pytest.mark.parametrize(("last", "has_delta"), [(3, True), (2, False)])
def test_it_was_off_for_two_releases(last: int, has_delta: bool, tmp_path: Path) -> None:
    away = Away(tmp_path, last=last)
    away.publish(1)
    away.update()
    for version in (2, 3, 4):
        away.publish(version)
    updated = away.update()
    assert updated.running.version == 4
    assert away.model == MODELS[4]
    assert (updated.fetched_bytes < len(MODELS[4])) == has_delta
