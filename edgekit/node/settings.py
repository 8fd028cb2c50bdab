"""Settings of a node, `node.toml`: what it was told when it was set up, and may be told otherwise by an editor."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgekit.errors import InputError, RecipeError
from edgekit.node.disk import Disk, save
from edgekit.transport.inflow import LEAST_BYTES_PER_S
from edgekit.types.manifest import NAME
from edgekit.types.strict_table import read

SCHEMA = "edgekit.node/1"
MOST_CHANNELS = 32
MOST_LOGS = 16
LARGEST_BYTES = 100_000
POLICY_FILE = "policy.txt"
UNLIMITED = 0
LARGEST_RATE = 2**40
_POLICY_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,59}\.txt")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class TransparencySettings:
    """Which log has to show a release before it is installed.

    Attributes:
        policy: Name of a file in the node's folder: logs, witnesses, and how many of them (c2sp.org/tlog-policy).
        policy_sha256: Digest of that file, so that a damaged one is not taken for a milder one; "" takes it as it is.
        logs: URLs of logs whose newest checkpoint is looked at; none looks below each channel, in `log/`.
        cosign: Sign each newer checkpoint that is consistent with the one before, with the node's key, for others.
    """

    policy: str = POLICY_FILE
    policy_sha256: str = ""
    logs: tuple[str, ...] = ()
    cosign: bool = False

    def check(self) -> None:
        """Do nothing where it can be.

        Raises:
            InputError: A value that cannot be.
        """
        if not _POLICY_NAME.fullmatch(self.policy):
            raise InputError(
                f"transparency.policy is the name of a text file in the node's folder, not {self.policy[:80]!r}",
                hint=f"for example {POLICY_FILE}",
            )
        if self.policy_sha256 and not _SHA256.fullmatch(self.policy_sha256):
            raise InputError(f"transparency.policy_sha256 is 64 lower-case hex digits, not {self.policy_sha256[:80]!r}")
        if len(self.logs) > MOST_LOGS:
            raise InputError(f"a node looks at {MOST_LOGS} logs at most, not {len(self.logs)}")
        _check_urls(self.logs, "log")


@dataclass(frozen=True)
class SeedSettings:
    """How much `edgekit node seed` may give and keep; its flags come before these.

    Attributes:
        upload_bytes_per_s: To all together; 0 is as much as goes through.
        keep_bytes: Disk for what is kept for others beside the slots.
    """

    upload_bytes_per_s: int = UNLIMITED
    keep_bytes: int = 0

    def check(self) -> None:
        """Do nothing where it can be.

        Raises:
            InputError: A value that cannot be.
        """
        for name, value in vars(self).items():
            if not 0 <= value <= LARGEST_RATE:
                raise InputError(f"seed.{name} is 0 to {LARGEST_RATE}, not {value}")


@dataclass(frozen=True)
class NodeSettings:
    """What a node follows.

    Attributes:
        model: FAMILY/NAME in the channel.
        channels: URLs of the channel's mirrors; none is trusted, the newest that verifies counts.
        self_test_s: Longest time of a self-test, seconds.
        sources: URLs of places that have blobs alone, such as a swarm or an IPFS gateway; asked besides the channels.
        transparency: Which log has to show a release; None where none has to.
        seed: What it gives to others.
        download_bytes_per_s: What it receives at most, over all transports together; 0 is as much as goes through.
        schema: Always SCHEMA.
    """

    model: str
    channels: tuple[str, ...]
    self_test_s: float = 120.0
    sources: tuple[str, ...] = ()
    transparency: TransparencySettings | None = None
    seed: SeedSettings = field(default_factory=SeedSettings)
    download_bytes_per_s: int = UNLIMITED
    schema: str = SCHEMA

    def check(self) -> NodeSettings:
        """Itself.

        Raises:
            InputError: A value that cannot be.
        """
        if not NAME.fullmatch(self.model):
            raise InputError(f"'{self.model[:200]}' is no FAMILY/NAME", hint="for example vision/resnet8, lower case")
        if not 1 <= len(self.channels) <= MOST_CHANNELS:
            raise InputError(f"a node follows 1 to {MOST_CHANNELS} mirrors of a channel, not {len(self.channels)}")
        if len(self.sources) > MOST_CHANNELS:
            raise InputError(f"a node has {MOST_CHANNELS} sources at most, not {len(self.sources)}")
        _check_urls(self.channels, "channel")
        _check_urls(self.sources, "source")
        if not 1 <= self.self_test_s <= 86_400:
            raise InputError(f"self_test_s is 1 to 86400 seconds, not {self.self_test_s:g}")
        if self.transparency is not None:
            self.transparency.check()
        self.seed.check()
        if self.download_bytes_per_s and not LEAST_BYTES_PER_S <= self.download_bytes_per_s <= LARGEST_RATE:
            raise InputError(
                f"download_bytes_per_s is 0 for no limit, or {LEAST_BYTES_PER_S} to {LARGEST_RATE} bytes per second, "
                f"not {self.download_bytes_per_s}",
                hint="with less, what several mirrors say of a channel does not come in time",
            )
        if self.schema != SCHEMA:
            raise InputError(
                f"these settings are of schema '{self.schema[:80]}'; this edgekit reads '{SCHEMA}'",
                hint="a newer edgekit wrote them: update edgekit-ml",
            )
        return self


def write_settings(disk: Disk, path: Path, settings: NodeSettings) -> None:
    """Write `node.toml`; what is as it would be anyway is left out, so that an older edgekit reads it too.

    Raises:
        InputError: A value that cannot be.
        StorageError: The system refuses.
    """
    import tomli_w  # only a node's first minute needs it

    settings.check()
    table: dict[str, Any] = {
        "schema": settings.schema,
        "model": settings.model,
        "channels": list(settings.channels),
        "self_test_s": settings.self_test_s,
    }
    if settings.sources:
        table["sources"] = list(settings.sources)
    if settings.transparency is not None:
        table["transparency"] = {**vars(settings.transparency), "logs": list(settings.transparency.logs)}
    if settings.seed != SeedSettings():
        table["seed"] = dict(vars(settings.seed))
    if settings.download_bytes_per_s:
        table["download_bytes_per_s"] = settings.download_bytes_per_s
    save(disk, path, tomli_w.dumps(table, multiline_strings=False).encode())


def read_settings(path: Path) -> NodeSettings:
    """Read `node.toml`.

    Raises:
        InputError: It cannot be read, or a value that cannot be.
    """
    try:
        with path.open("rb") as stream:
            text = stream.read(LARGEST_BYTES + 1)
        if len(text) > LARGEST_BYTES:
            raise InputError(f"{path} has more than {LARGEST_BYTES} bytes")
        return read(NodeSettings, _moved(tomllib.loads(text.decode()))).check()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path} is no TOML: {error}", hint="edgekit node init writes a new one") from error
    except RecipeError as error:
        raise InputError(f"{path}: {error}", hint=error.hint) from error


def _moved(table: dict[str, Any]) -> dict[str, Any]:
    """A table that has the limit of what is received where it once stood, among those of seeding."""
    seed = table.get("seed")
    if isinstance(seed, dict) and "download_bytes_per_s" in seed:
        seed = dict(seed)
        return {"download_bytes_per_s": seed.pop("download_bytes_per_s"), **table, "seed": seed}
    return table


def _check_urls(urls: Sequence[str], what: str) -> None:
    if len(set(urls)) != len(urls):
        raise InputError(f"the same {what} is named twice")
    if not all(url.strip() for url in urls):
        raise InputError(f"an empty text names no {what}", hint="write a path or a URL")
    for url in urls:
        try:
            url.encode()
        except UnicodeEncodeError as error:  # a path of this machine can be any bytes; TOML is UTF-8
            raise InputError(f"the {what} {url!r} is no UTF-8, which node.toml is", hint="rename the folder") from error
