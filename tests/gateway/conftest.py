"""Gateways that end with their test, and a shelf with one file on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from edgekit.gateway.server import Gateway, GatewayLimits
from edgekit.gateway.shelf import Shelf
from tests.transport.ipfs_blocks import in_ipfs

MIB = 2**20
FILE = in_ipfs(2 * MIB + 12_345, seed=3)
"""Three leaves and a node."""

Open = Callable[..., Gateway]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the file lies that is given out."""
    place = tmp_path / "slot" / "model.onnx"
    place.parent.mkdir()
    place.write_bytes(FILE.data)
    return place


@pytest.fixture
def shelf(path: Path) -> Shelf:
    """The file, some metadata, and a small document."""
    found = Shelf()
    found.put_file(FILE.blob, path)
    found.put_bytes("metadata/timestamp.json", b'{"signed":{}}')
    found.put_bytes("targets/vision/" + "0" * 64 + ".lite0+deltas.json", b"{}")
    return found


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def open_gateway(shelf: Shelf, opened: ExitStack) -> Open:
    """A gateway of the shelf; arguments are its limits."""
    return lambda **limits: opened.enter_context(Gateway(shelf, limits=GatewayLimits(**limits)))


@pytest.fixture
def gateway(open_gateway: Open) -> Gateway:
    return open_gateway()
