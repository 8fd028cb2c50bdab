"""How much memory there is: the machine's, or the least that a control group above this process allows.

Linux only: /proc/meminfo, and the memory controller of cgroup v2 (`memory.max`) and v1 (`memory.limit_in_bytes`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

MEMINFO = Path("/proc/meminfo")
MEMBERSHIP = Path("/proc/self/cgroup")
HIERARCHY = Path("/sys/fs/cgroup")


def memory_bytes(*, meminfo: Path = MEMINFO, membership: Path = MEMBERSHIP, hierarchy: Path = HIERARCHY) -> int:
    """Memory that this process and its children may use, bytes; 0 where nothing tells.

    Args:
        meminfo: Of the kernel.
        membership: Which control groups this process is in.
        hierarchy: Where control groups are mounted.
    """
    found = re.search(r"^MemTotal:\s+(\d{1,15}) kB$", _text(meminfo), re.MULTILINE)
    physical = int(found[1]) * 1024 if found else 0
    told = (_text(file).strip() for file in _limit_files(_text(membership), hierarchy))
    limits = [int(text) for text in told if re.fullmatch(r"\d{1,19}", text)]  # v2 says "max" for none, v1 a huge number
    return min((limit for limit in (physical, *limits) if limit > 0), default=0)


def _limit_files(membership: str, hierarchy: Path) -> Iterator[Path]:
    """Files with the limits of a process's groups and of all groups above them.

    Inside a container the named group may not be there, or be one outside ("/../.."): then the top one counts, where
    the container's own is mounted.
    """
    for line in membership.splitlines():
        number, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if number == "0" and not controllers:
            top, name = hierarchy, "memory.max"
        elif "memory" in controllers.split(","):
            top, name = hierarchy / "memory", "memory.limit_in_bytes"
        else:
            continue
        path = PurePosixPath(group.lstrip("/"))
        inside = PurePosixPath() if ".." in path.parts else path
        for level in (inside, *inside.parents):
            yield top / level / name


def _text(path: Path) -> str:
    try:
        with path.open(encoding="ascii", errors="replace") as stream:
            return stream.read(65_536)
    except OSError:
        return ""
