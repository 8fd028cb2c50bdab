"""Desk: a folder with the keys of a channel and bundles, and the command line at it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from edgekit.cli.app import run
from edgekit.seal.key_files import write_key
from edgekit.seal.keys import MemoryKey, generate
from tests.bundle.building import build

KEYS = ("root-1", "root-2", "root-3", "targets", "vision-1", "vision-2", "online", "spare")
INIT = (
    "channel init channel --root-key root-1.key --root-key root-2.key --root-key root-3.pub --root-threshold 2 "
    "--targets-key targets.key --family vision=vision-1.key,vision-2.key:2 --online-key online.key"
)
PUBLISH = "--to channel --key vision-1.key --key vision-2.key --online-key online.key"


@dataclass
class Desk:
    """The folder that commands run in.

    Attributes:
        folder: It.
        keys: By name; NAME.key and NAME.pub lie in the folder, without a passphrase.
        publisher: Signs bundles; publisher.pub lies there too.
        capture: What commands print.
    """

    folder: Path
    keys: dict[str, MemoryKey]
    publisher: MemoryKey
    capture: pytest.CaptureFixture[str]

    def run(self, line: str, *, code: int = 0) -> str:
        """Run a command line without its `edgekit`; what it printed, on both streams."""
        found = run(line.split())
        out, err = self.capture.readouterr()
        assert found == code, f"{line}: exit code {found}\n{out}{err}"
        return out + err

    def data(self, line: str, *, code: int = 0) -> Any:
        """Run it with --json; what it printed on stdout."""
        found = run([*line.split(), "--json", "--quiet"])
        out, err = self.capture.readouterr()
        assert found == code, f"{line}: exit code {found}\n{out}{err}"
        return json.loads(out)

    def bundle(self, version: int, *, name: str = "vision/lite0") -> str:
        """Path of a bundle of that version."""
        folder = self.folder / f"bundle-{version}"
        if not folder.exists():
            folder.mkdir()
            build(folder, self.publisher, name=name, version=version, semver=f"{version}.0.0", variants=1)
        return f"bundle-{version}/net.edgekit"


def make_desk(folder: Path, capture: pytest.CaptureFixture[str]) -> Desk:
    """Keys in a folder."""
    keys = {name: generate("ed25519") for name in KEYS}
    for name, key in keys.items():
        write_key(key, folder / f"{name}.key", None)
    publisher = generate("p256")
    write_key(publisher, folder / "publisher.key", None)
    return Desk(folder, keys, publisher, capture)
