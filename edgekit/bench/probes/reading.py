"""Reading: the files and commands of one event of the agent, as text that the probes can search.

Devices are not trusted: whatever has another type than the protocol says is left out here, once, so that the probes
see text only.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import islice

Commands = tuple[tuple[str, ...], ...]
MOST_ITEMS = 2000
"""Files, or commands, of one event: as many as the agent reads."""


@dataclass(frozen=True)
class Reading:
    """What was read at one moment.

    Attributes:
        files: Path -> contents.
        outputs: Command line, words joined by blanks -> what it printed, whatever its exit code.
    """

    files: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)

    def file(self, path: str) -> str:
        """Contents without blanks and NULs around them (device trees end in NUL); "" when not there."""
        return _strip(self.files.get(path, ""))

    def output(self, command: Sequence[str]) -> str:
        """What a command printed; "" when it is not there."""
        return self.outputs.get(" ".join(command), "")

    def folders(self, pattern: str) -> dict[str, dict[str, str]]:
        """Files grouped by their folder, in the order of the numbers in its path.

        Args:
            pattern: Glob for the folder, for example "/sys/class/hwmon/hwmon*".

        Returns:
            Folder -> name of a file in it -> contents, stripped.
        """
        found: dict[str, dict[str, str]] = {}
        inside = [path for path in self.files if fnmatchcase(path.rpartition("/")[0], pattern)]
        for path in sorted(inside, key=_natural):
            folder, _, name = path.rpartition("/")
            found.setdefault(folder, {})[name] = _strip(self.files[path])
        return found


def reading_of(event: object) -> Reading:
    """The files and outputs of an "environment" or "sensors" event; empty for anything else."""
    if not isinstance(event, Mapping):
        return Reading()
    files, commands = event.get("files"), event.get("commands")
    return Reading(
        files={path: text for path, text in _items(files) if isinstance(text, str)},
        outputs={
            line: answer["out"]
            for line, answer in _items(commands)
            if isinstance(answer, Mapping) and isinstance(answer.get("out"), str)
        },
    )


def number(text: object, *, scale: float = 1.0) -> float | None:
    """A finite number times `scale`; None when the text is none."""
    if isinstance(text, bool) or not isinstance(text, str | int | float):
        return None
    try:
        value = float(text) * scale
    except (ValueError, OverflowError):
        return None
    return value if math.isfinite(value) else None


def _items(mapping: object) -> list[tuple[str, object]]:
    if not isinstance(mapping, Mapping):
        return []
    return [(key, value) for key, value in islice(mapping.items(), MOST_ITEMS) if isinstance(key, str)]


def _strip(text: str) -> str:
    return text.strip("\0 \t\r\n")


def _natural(path: str) -> list[tuple[int, str]]:
    """Sorts cpu2 before cpu10."""
    return [(int(part) if part.isdecimal() and len(part) < 10 else -1, part) for part in re.split(r"(\d+)", path)]
