"""World: what a node needs of the world outside its folder. Tests put other things in its place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from edgekit.errors import KeyFileError
from edgekit.node.disk import Disk
from edgekit.node.probe import probe
from edgekit.types.capabilities import Capabilities
from edgekit.types.manifest import Variant
from edgekit.types.progress import Progress, Silent
from edgekit.types.receipt import Trial


class Tester(Protocol):
    """A self-test."""

    def __call__(self, folder: Path, variant: Variant, *, timeout_s: float) -> Trial:
        """Run a variant's golden inputs.

        Raises:
            SelfTestError: The answers are not the publisher's, or there are none.
        """
        ...


def utc_now() -> datetime:
    """What this machine's clock says."""
    return datetime.now(UTC)


def no_passphrase() -> bytes:
    """For a node whose key has none.

    Raises:
        KeyFileError: It has one, and was asked for.
    """
    raise KeyFileError("the node's key has a passphrase, and none was given", hint="give it with --passphrase-file")


def try_out(folder: Path, variant: Variant, *, timeout_s: float) -> Trial:
    """The self-test on the real runtime."""
    from edgekit.node.selftest import self_test  # numpy is not for a node that finds nothing new

    found = self_test(folder, variant, timeout_s=timeout_s)
    return Trial(True, found.runtime, found.version, found.outputs_sha256)


def forget(text: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class World:
    """Everything outside.

    Attributes:
        disk: Writes to the node's folder.
        clock: The time, aware of its zone.
        probe: What this machine is.
        self_test: Tries a variant out.
        passphrase: Opens the node's key; asked at most once, and not at all where nothing is signed.
        tell: Gets a line for each thing that takes time or that a person should know.
        progress: Watches transfers, in bytes.
        download_bytes_per_s: What is received at most, in place of what `node.toml` says; None for what that says.
    """

    disk: Disk = field(default_factory=Disk)
    clock: Callable[[], datetime] = utc_now
    probe: Callable[[Path], Capabilities] = probe
    self_test: Tester = try_out
    passphrase: Callable[[], bytes] = no_passphrase
    tell: Callable[[str], None] = forget
    progress: Progress = field(default_factory=Silent)
    download_bytes_per_s: int | None = None
