"""Settings of a node, `node.toml`: what it was told when it was set up, and may be told otherwise by an editor."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from edgekit.errors import InputError, RecipeError
from edgekit.node.disk import Disk, save
from edgekit.types.manifest import NAME
from edgekit.types.strict_table import read

SCHEMA = "edgekit.node/1"
MOST_CHANNELS = 32
LARGEST_BYTES = 100_000


@dataclass(frozen=True)
class NodeSettings:
    """What a node follows.

    Attributes:
        model: FAMILY/NAME in the channel.
        channels: URLs of the channel's mirrors; none is trusted, the newest that verifies counts.
        self_test_s: Longest time of a self-test, seconds.
        schema: Always SCHEMA.
    """

    model: str
    channels: tuple[str, ...]
    self_test_s: float = 120.0
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
        if len(set(self.channels)) != len(self.channels):
            raise InputError("the same channel is named twice")
        if not 1 <= self.self_test_s <= 86_400:
            raise InputError(f"self_test_s is 1 to 86400 seconds, not {self.self_test_s:g}")
        if self.schema != SCHEMA:
            raise InputError(
                f"these settings are of schema '{self.schema[:80]}'; this edgekit reads '{SCHEMA}'",
                hint="a newer edgekit wrote them: update edgekit-ml",
            )
        return self


def write_settings(disk: Disk, path: Path, settings: NodeSettings) -> None:
    """Write `node.toml`.

    Raises:
        InputError: A value that cannot be.
        StorageError: The system refuses.
    """
    import tomli_w  # only a node's first minute needs it

    settings.check()
    table = {
        "schema": settings.schema,
        "model": settings.model,
        "channels": list(settings.channels),
        "self_test_s": settings.self_test_s,
    }
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
        return read(NodeSettings, tomllib.loads(text.decode())).check()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path} is no TOML: {error}", hint="edgekit node init writes a new one") from error
    except RecipeError as error:
        raise InputError(f"{path}: {error}", hint=error.hint) from error
