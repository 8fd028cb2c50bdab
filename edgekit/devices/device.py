"""Device: what a transport to a machine has to be able to do, and nothing more.

A transport pushes files into a folder of its own, runs one command there and streams its lines, pulls files back, and
on closing removes the folder. What the command is and what its lines mean is not its business: see `edgekit.agent`.
One thread drives one device.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from edgekit.types.bench import Kind


class LineStream(Protocol):
    """One running command."""

    def lines(self, timeout_s: float) -> Iterator[str]:
        """Lines of standard output as they come, without their ends.

        Args:
            timeout_s: Longest silence between two lines, seconds. After that error the command still runs, and
                `lines` may be called again for those that follow.

        Raises:
            DeviceTimeoutError: Longer silence.
            DeviceError: The device went away.
        """
        ...

    def finish(self) -> tuple[int, str]:
        """Wait for the end: exit code, and the last 4000 characters of standard error.

        Raises:
            DeviceError: The device went away before the command ended.
        """
        ...


class Device(Protocol):
    """One opened machine, with a folder on it that belongs to this run.

    Attributes:
        uri: As the user wrote it, without secrets.
        kind: What its costs count; None for one whose costs mean nothing (an emulator without a counter).
        python: The command that starts Python there, for example ("python3",).
        emulated: Why its wall time is no latency; "" for real hardware.
    """

    uri: str
    kind: Kind | None
    python: Sequence[str]
    emulated: str

    def push(self, files: Mapping[str, Path | bytes]) -> None:
        """Copy files into the folder.

        Args:
            files: Name in the folder (no separators) -> a local file, or contents.

        Raises:
            DeviceError: No space there, no permission, or the device went away.
        """
        ...

    def start(self, command: Sequence[str], stdin: str) -> AbstractContextManager[LineStream]:
        """Run a command in the folder; it is ended when the block is left.

        Args:
            command: Words; the device's shell sees them quoted.
            stdin: Text for its standard input, which then stays open until the block is left: the agent ends when
                its standard input does, so that nothing goes on running there after the connection is lost.

        Raises:
            DeviceError: The command cannot be started.
        """
        ...

    def pull(self, name: str, to: Path) -> None:
        """Copy one file from the folder.

        Raises:
            DeviceError: There is no such file, or the device went away.
        """
        ...

    def close(self) -> tuple[str, ...]:
        """Remove the folder and disconnect; never raises.

        Returns:
            What could not be removed, as places on the device; empty when nothing was left.
        """
        ...
