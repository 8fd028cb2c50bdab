"""MemoryTransport: a channel's files in a dictionary, with every fault that a mirror may have."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from edgekit.errors import AbsentError, EdgekitError


@dataclass
class MemoryTransport:
    """A Transport whose files are the entries of `files`, live.

    Attributes:
        files: Content by name.
        url: What messages call it.
        faults: Name -> error that reading it raises; "*" for every name.
        endless: Names whose reading never ends.
        gate: Where there is one, reading waits for it.
        reads: Name and bytes sent, in order.
        writes: Names, in order.
        fail_write: Called with each name before it is written; may raise.
    """

    files: MutableMapping[str, bytes]
    url: str = "memory:channel"
    faults: dict[str, EdgekitError] = field(default_factory=dict)
    endless: set[str] = field(default_factory=set)
    gate: threading.Event | None = None
    reads: list[tuple[str, int]] = field(default_factory=list)
    writes: list[str] = field(default_factory=list)

    @contextmanager
    def read(self, name: str, *, start: int = 0, stop: int | None = None) -> Iterator[Iterator[bytes]]:
        if self.gate is not None:
            self.gate.wait(30)
        fault = self.faults.get(name) or self.faults.get("*")
        if fault is not None:
            raise fault
        if name in self.endless:
            yield iter(lambda: b" " * 65536, None)
            return
        if name not in self.files:
            self.reads.append((name, 0))
            raise AbsentError(f"there is no {name}", source=self.url, status=404)
        data = self.files[name][start:stop]
        self.reads.append((name, len(data)))
        yield iter([data[: len(data) // 2], data[len(data) // 2 :]])

    def write(self, name: str, chunks: Iterable[bytes], *, size_bytes: int) -> None:
        data = b"".join(chunks)
        assert len(data) == size_bytes
        self.writes.append(name)
        self.files[name] = data

    def close(self) -> None:
        """There is nothing to let go of."""
