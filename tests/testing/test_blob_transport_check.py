"""The check of transports that find blobs by other addresses can pass, and can fail for each promise."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edgekit.errors import AbsentError, CheckError, TransferError, TransportError
from edgekit.testing.transport_check import check_blob_transport
from edgekit.transport.names import check_name
from edgekit.types.blob import Blob
from tests.transport.blobs import noise

MADE = noise(2_500_000)


class Memory:
    """As short as such a transport can be."""

    url = "memory:"

    @contextmanager
    def read_blob(self, blob: Blob, *, start: int, stop: int, scratch: Path | None) -> Iterator[Iterator[bytes]]:
        if blob.sha256 != MADE.blob.sha256:
            raise AbsentError("no such blob", source=self.url)
        yield iter([MADE.data[start:stop]])

    @contextmanager
    def read(self, name: str, *, start: int = 0, stop: int | None = None) -> Iterator[Iterator[bytes]]:
        raise AbsentError(f"there is no file {check_name(name)}", source=self.url)
        yield iter(())

    def write(self, name: str, chunks: Iterable[bytes], *, size_bytes: int) -> None:
        raise TransferError(f"{check_name(name)} cannot be written", source=self.url)

    def close(self) -> None:
        pass


class Blobless:
    url = "memory:"
    read, write, close = Memory.read, Memory.write, Memory.close


class Rangeless(Memory):
    @contextmanager
    def read_blob(self, blob: Blob, *, start: int, stop: int, scratch: Path | None) -> Iterator[Iterator[bytes]]:
        with super().read_blob(blob, start=0, stop=blob.size_bytes, scratch=scratch) as chunks:
            yield chunks


class Generous(Memory):
    @contextmanager
    def read_blob(self, blob: Blob, *, start: int, stop: int, scratch: Path | None) -> Iterator[Iterator[bytes]]:
        with super().read_blob(blob, start=start, stop=stop + 1, scratch=scratch) as chunks:
            yield chunks


class Single(Memory):
    """One transfer, ever."""

    def __init__(self) -> None:
        self._busy = False

    @contextmanager
    def read_blob(self, blob: Blob, *, start: int, stop: int, scratch: Path | None) -> Iterator[Iterator[bytes]]:
        with super().read_blob(blob, start=start, stop=stop, scratch=scratch) as chunks:
            if self._busy:
                raise TransferError("busy", source=self.url)
            self._busy = True
            yield chunks


class Trusting(Memory):
    @contextmanager
    def read_blob(self, blob: Blob, *, start: int, stop: int, scratch: Path | None) -> Iterator[Iterator[bytes]]:
        yield iter([MADE.data[start:stop]])


class Nameless(Memory):
    @contextmanager
    def read_blob(self, blob: Blob, *, start: int, stop: int, scratch: Path | None) -> Iterator[Iterator[bytes]]:
        if blob.sha256 != MADE.blob.sha256:
            raise AbsentError("no such blob")
        yield iter([MADE.data[start:stop]])


class Writable(Memory):
    def write(self, name: str, chunks: Iterable[bytes], *, size_bytes: int) -> None:
        check_name(name)


class Careless(Memory):
    @contextmanager
    def read(self, name: str, *, start: int = 0, stop: int | None = None) -> Iterator[Iterator[bytes]]:
        yield iter([b""])


def test_the_shortest_one_passes(tmp_path: Path) -> None:
    check_blob_transport(Memory, MADE.blob, MADE.data, folder=tmp_path)


@pytest.mark.parametrize("kind", [Blobless, Rangeless, Generous, Single, Trusting, Nameless, Writable, Careless])
def test_a_broken_promise_is_named(kind: type[Memory], tmp_path: Path) -> None:
    with pytest.raises((CheckError, TransportError)):
        check_blob_transport(kind, MADE.blob, MADE.data, folder=tmp_path)
