"""Transports of other packages: found by their entry point, and held to the promises by a check that can fail."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edgekit.errors import AbsentError, CheckError
from edgekit.testing.transport_check import check_transport
from edgekit.transport.file import FileTransport
from edgekit.transport.names import check_name
from edgekit.transport.opening import open_transport

MODULE = """
from edgekit.transport.file import FileTransport
from pathlib import Path

def open_shelf(url):
    return FileTransport(Path(url.removeprefix("shelf:")), url=url)
"""


def test_a_transport_of_another_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "acme_shelf-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-shelf\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[edgekit.transports]\nshelf = acme_shelf:open_shelf\n")
    (tmp_path / "acme_shelf.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    check_transport(lambda: open_transport(f"shelf:{tmp_path}/there"))


class Memory:
    """As short as a transport can be."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.url = "memory:"
        self.files = files

    @contextmanager
    def read(self, name: str, *, start: int = 0, stop: int | None = None) -> Iterator[Iterator[bytes]]:
        if check_name(name) not in self.files:
            raise AbsentError(f"there is no file {name}", source=self.url)
        yield iter([self.files[name][start:stop]])

    def write(self, name: str, chunks: Iterable[bytes], *, size_bytes: int) -> None:
        data = b"".join(chunks)
        if len(data) != size_bytes:
            raise AbsentError("another length", source=self.url)
        self.files[check_name(name)] = data

    def close(self) -> None:
        pass


def test_the_shortest_one_passes() -> None:
    files: dict[str, bytes] = {}
    check_transport(lambda: Memory(files))
    check_transport(lambda: Memory(files), files=dict(files))


class Forgetful(Memory):
    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(dict(files))


class Rangeless(Memory):
    @contextmanager
    def read(self, name: str, *, start: int = 0, stop: int | None = None) -> Iterator[Iterator[bytes]]:
        with super().read(name) as chunks:
            yield chunks


class Careless(Memory):
    def write(self, name: str, chunks: Iterable[bytes], *, size_bytes: int) -> None:
        self.files[check_name(name)] = b"".join(chunks)


class Trusting(Memory):
    @contextmanager
    def read(self, name: str, *, start: int = 0, stop: int | None = None) -> Iterator[Iterator[bytes]]:
        yield iter([self.files.get(name, b"")[start:stop]])


class Nameless(Memory):
    @contextmanager
    def read(self, name: str, *, start: int = 0, stop: int | None = None) -> Iterator[Iterator[bytes]]:
        if name not in self.files:
            raise AbsentError("no such file")
        yield iter([self.files[name][start:stop]])


class Keeping(Memory):
    def write(self, name: str, chunks: Iterable[bytes], *, size_bytes: int) -> None:
        if name not in self.files:
            super().write(name, chunks, size_bytes=size_bytes)


@pytest.mark.parametrize("kind", [Forgetful, Rangeless, Careless, Trusting, Nameless, Keeping])
def test_a_broken_promise_is_named(kind: type[Memory]) -> None:
    files: dict[str, bytes] = {}
    with pytest.raises((CheckError, AbsentError)):
        check_transport(lambda: kind(files))


def test_a_place_that_others_read_is_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "some.json").write_bytes(b"x" * 5000)
    check_transport(lambda: FileTransport(tmp_path), files={"some.json": b"x" * 5000})
    assert [place.name for place in tmp_path.iterdir()] == ["some.json"]
