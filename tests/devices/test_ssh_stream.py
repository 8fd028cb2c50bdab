"""SshStream without a server: what comes in the instant in which nobody waits any longer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from edgekit.devices.ssh_stream import SshStream
from edgekit.errors import DeviceTimeoutError


class Late:
    """A connection whose first reading is over just after its caller gave up on it."""

    device = "ssh://pi"
    is_lost = False

    def __init__(self, loop: asyncio.AbstractEventLoop, pieces: list[bytes]) -> None:
        self._loop = loop
        self._runs = 0
        stdout = SimpleNamespace(read=self._read)
        stderr = SimpleNamespace(read=self._end)
        stdin = SimpleNamespace(write=lambda _: None)
        self._pieces = pieces
        process = SimpleNamespace(stdout=stdout, stderr=stderr, stdin=stdin)
        self.client = SimpleNamespace(create_process=lambda *_, **__: self._given(process))

    def run(self, work: Awaitable[Any], timeout_s: float | None = None) -> Any:
        found = self._loop.run_until_complete(work)
        self._runs += 1
        if self._runs == 2:
            raise TimeoutError
        return found

    async def _given(self, process: object) -> object:
        return process

    async def _end(self, _: int) -> bytes:
        return b""

    async def _read(self, _: int) -> bytes:
        return self._pieces.pop(0) if self._pieces else b""


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    opened = asyncio.new_event_loop()
    yield opened
    opened.close()


def test_a_piece_that_comes_too_late_is_there_for_who_asks_next(loop: asyncio.AbstractEventLoop) -> None:
    stream = SshStream(Late(loop, [b"first\n", b"second\n"]), "command", "", ending="")  # type: ignore[arg-type]
    with pytest.raises(DeviceTimeoutError):
        next(stream.lines(1.0))
    assert list(stream.lines(1.0)) == ["first", "second"]
