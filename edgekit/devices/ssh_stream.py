"""SshStream: a command behind an SshConnection as a LineStream."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from edgekit.devices.processes import FINISH_S, GRACE_S, LINE_BYTES, STDERR_CHARACTERS
from edgekit.devices.ssh_connection import FAILURES, SshConnection
from edgekit.errors import DeviceError, DeviceTimeoutError

if TYPE_CHECKING:
    import asyncssh

PIECE_BYTES = 2**16


class SshStream:
    """One running command.

    When the connection is lost, sshd closes the command's standard input and output: the agent ends at that, and
    whatever ignores it is ended by `SshDevice.close`, if the host comes back.
    """

    def __init__(self, connection: SshConnection, command: str, stdin: str, *, ending: str) -> None:
        """Start it.

        Args:
            connection: That is up.
            command: For the shell there.
            stdin: First text of its standard input.
            ending: Command that ends it, for one that does not end with its input.

        Raises:
            DeviceError: The connection was lost.
        """
        self._connection = connection
        self._ending = ending
        self._pending = bytearray()
        self._stderr = ""
        self._read: asyncio.Future[bytes] | None = None
        self._process: asyncssh.SSHClientProcess[bytes] = self._run(self._begin(command, stdin))

    def lines(self, timeout_s: float) -> Iterator[str]:
        """See `LineStream.lines`; of a connection that was lost, the whole lines that came are given first."""
        while True:
            while (end := self._pending.find(b"\n")) >= 0:
                line = self._pending[: end + 1].decode(errors="replace").rstrip("\r\n")
                del self._pending[: end + 1]
                yield line
            if len(self._pending) > LINE_BYTES:
                raise DeviceError(f"a line of more than {LINE_BYTES} bytes", device=self._connection.device)
            try:
                piece = self._run(self._read_piece(), timeout_s)
            except TimeoutError:
                self._check_connection()
                raise DeviceTimeoutError(
                    f"nothing was heard for {timeout_s:g} s",
                    device=self._connection.device,
                    hint="the command hangs, or the model is too slow for this limit",
                ) from None
            self._read = None
            if not piece:
                break
            self._pending += piece
        self._check_connection()
        if self._pending:
            rest, self._pending = self._pending.decode(errors="replace"), bytearray()
            yield rest

    def finish(self) -> tuple[int, str]:
        """See `LineStream.finish`.

        Raises:
            DeviceTimeoutError: It does not end.
        """
        try:
            self._run(self._wait(), FINISH_S)
        except TimeoutError:
            raise DeviceTimeoutError(
                f"the command did not end within {FINISH_S:g} s", device=self._connection.device
            ) from None
        code = self._process.returncode
        if code is None:
            self._check_connection()
            raise DeviceError("the command ended without an exit code", device=self._connection.device)
        return code, self._stderr[-STDERR_CHARACTERS:]

    def __enter__(self) -> SshStream:
        return self

    def __exit__(self, *exception: object) -> None:
        """Standard input ends; then the command does, by force where that is not enough."""
        if self._connection.is_lost:
            return
        with suppress(*FAILURES, DeviceError):
            try:
                self._connection.run(self._leave(), GRACE_S)
            except TimeoutError:
                self._connection.ask(self._ending)
                self._connection.run(self._close(), GRACE_S)

    async def _begin(self, command: str, stdin: str) -> asyncssh.SSHClientProcess[bytes]:
        process = await self._connection.client.create_process(command, encoding=None)
        process.stdin.write(stdin.encode())
        self._reading = asyncio.ensure_future(self._read_stderr(process))
        return process

    async def _read_piece(self) -> bytes:
        """The next piece of output; one that comes just when nobody waits any longer is there for who asks next."""
        if self._read is None:
            self._read = asyncio.ensure_future(self._process.stdout.read(PIECE_BYTES))
        return await asyncio.shield(self._read)

    async def _read_stderr(self, process: asyncssh.SSHClientProcess[bytes]) -> None:
        with suppress(*FAILURES):
            while piece := await process.stderr.read(PIECE_BYTES):
                self._stderr = (self._stderr + piece.decode(errors="replace"))[-STDERR_CHARACTERS:]

    async def _wait(self) -> None:
        """Until the end; output that nobody reads is thrown away, or the command could not go on writing it."""
        if self._read is not None:
            self._read.cancel()
            await asyncio.wait([self._read])
        with suppress(*FAILURES):
            while await self._process.stdout.read(PIECE_BYTES):
                pass
        await self._process.wait_closed()
        await self._reading

    async def _leave(self) -> None:
        with suppress(OSError):  # it has ended
            self._process.stdin.write_eof()
        await self._wait()

    async def _close(self) -> None:
        self._process.close()
        await self._process.wait_closed()

    def _run(self, work: Any, timeout_s: float | None = None) -> Any:
        try:
            return self._connection.run(work, timeout_s)
        except TimeoutError:
            raise
        except FAILURES as error:
            raise self._connection.explain_loss(error) from error

    def _check_connection(self) -> None:
        if self._connection.is_lost:
            raise self._connection.explain_loss(None)
