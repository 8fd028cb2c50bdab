"""State of the device, raw: files and commands that the job lists. What they mean is the host's business."""

from __future__ import annotations

import glob
import os
import platform
import subprocess
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

PACKAGES = ("onnxruntime", "onnxruntime-gpu", "ai-edge-litert", "tflite-runtime", "numpy")
_MOST_FILES = 2000
_MOST_BYTES = 65_536
_COMMAND_SECONDS = 5


def environment(when: str, files: Iterable[str], commands: Iterable[Sequence[str]]) -> dict[str, Any]:
    """Everything that is asked of a device before and after a measurement.

    Args:
        when: "before" or "after".
        files: Globs; what cannot be read is left out.
        commands: Words of each; what is not there is left out.
    """
    names = os.uname()
    return {
        "when": when,
        "uname": [names.sysname, names.release, names.version, names.machine],
        "python": platform.python_version(),
        "packages": _versions(),
        "affinity": sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [],
        "load": _load(),
        **readings(files, commands),
        **clocks(),
    }


def clocks() -> dict[str, int]:
    """The clock that somebody may set, and the one that nobody can: when they part, the clock jumped."""
    return {"wall_ns": time.time_ns(), "monotonic_ns": time.monotonic_ns()}


def readings(files: Iterable[str], commands: Iterable[Sequence[str]]) -> dict[str, Any]:
    """Contents of the files and output of the commands, by name."""
    return {"files": _read(files), "commands": _run(commands)}


def peak_rss_bytes() -> int:
    """Largest resident memory of this process so far, bytes; 0 where nobody knows."""
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as stream:
            for line in stream:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    try:
        import resource
    except ImportError:
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _load() -> list[float]:
    try:
        return list(os.getloadavg())
    except (OSError, AttributeError):
        return []


def _read(patterns: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for pattern in patterns:
        for path in sorted(glob.glob(pattern)):
            if len(found) >= _MOST_FILES:
                return found
            try:
                with open(path, "rb") as stream:
                    found[path] = stream.read(_MOST_BYTES).decode("utf-8", "replace")
            except OSError:
                continue
    return found


def _run(commands: Iterable[Sequence[str]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for words in commands:
        try:
            done = subprocess.run(
                list(words),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=_COMMAND_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired, ValueError):
            continue
        found[" ".join(words)] = {"code": done.returncode, "out": done.stdout[:_MOST_BYTES].decode("utf-8", "replace")}
    return found


def _versions() -> dict[str, str]:
    from importlib import metadata

    found = {}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
