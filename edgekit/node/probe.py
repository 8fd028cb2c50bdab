"""What this machine has, as far as it decides which variant of a bundle it can run. Looks only; imports no runtime."""

from __future__ import annotations

import platform
import shutil
import sys
from pathlib import Path

from edgekit.errors import StorageError
from edgekit.node.arm_features import read_features
from edgekit.node.installed import installed_runtimes, offered_providers
from edgekit.node.memory_limit import memory_bytes
from edgekit.types.capabilities import Capabilities
from edgekit.types.cpu import ISA, read_cpuinfo

CPUINFO = Path("/proc/cpuinfo")
_ARCHITECTURES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
_NARROW = {"amd64": "386", "arm64": "arm"}
"""What a 32-bit Python on a 64-bit kernel runs: usual on older Raspberry Pi OS."""


def probe(folder: Path) -> Capabilities:
    """Look at this machine.

    Args:
        folder: Of the node: its file system is where models are installed. It need not be there yet.

    Raises:
        StorageError: Its file system cannot be looked at.
    """
    arch = architecture(platform.machine(), is_64_bit=sys.maxsize > 2**32)
    cpu, flags = read_cpuinfo(_text(CPUINFO))
    if arch == "arm64":
        flags = read_features() or flags
    runtimes = installed_runtimes()
    return Capabilities(
        os=platform.system().lower(),
        arch=arch,
        isa=tuple(sorted(flags.intersection(ISA))),
        cpu=cpu,
        ram_bytes=memory_bytes(),
        disk_bytes=_free_bytes(folder),
        runtimes=runtimes,
        providers=offered_providers(runtimes),
    )


def architecture(machine: str, *, is_64_bit: bool) -> str:
    """The architecture in OCI's and Go's words.

    Args:
        machine: As `uname -m` prints it, which is the kernel's.
        is_64_bit: Whether this program has 64-bit addresses.

    >>> architecture("aarch64", is_64_bit=True), architecture("aarch64", is_64_bit=False)
    ('arm64', 'arm')
    """
    known = _ARCHITECTURES.get(machine.lower())
    if known:
        return known if is_64_bit else _NARROW[known]
    return "arm" if machine.startswith("arm") else machine.lower()


def _free_bytes(folder: Path) -> int:
    """Free bytes for an ordinary user on the file system that the folder is, or will be, on."""
    place = folder.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        return shutil.disk_usage(place).free
    except OSError as error:
        raise StorageError(f"the file system of {folder} cannot be looked at: {error.strerror or error}") from error


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
