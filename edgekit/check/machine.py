"""Which CPU this is, as far as it decides int8 kernels, and which runtimes are installed."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from edgekit.types.cpu import ISA, read_cpuinfo
from edgekit.types.report import Machine

RUNTIMES = ("onnxruntime", "ai-edge-litert", "tflite-runtime", "numpy")
_APPLE = {"hw.optional.neon": "asimd", "hw.optional.arm.FEAT_DotProd": "asimddp", "hw.optional.arm.FEAT_I8MM": "i8mm"}


def describe_machine() -> Machine:
    """The machine this process runs on."""
    cpu, flags = _read_cpu()
    return Machine(
        cpu=cpu or platform.processor() or platform.machine(),
        isa=tuple(name for name in ISA if name in flags),
        cores=_count_cores(),
        system=f"{platform.system()} {platform.machine()}",
        runtimes=_find_versions(RUNTIMES),
    )


def _read_cpu() -> tuple[str, frozenset[str]]:
    if platform.system() == "Darwin":
        return _sysctl("machdep.cpu.brand_string"), frozenset(
            flag for key, flag in _APPLE.items() if _sysctl(key) == "1"
        )
    try:
        return read_cpuinfo(Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return "", frozenset()


def _sysctl(key: str) -> str:
    try:
        done = subprocess.run(["sysctl", "-n", key], capture_output=True, text=True, timeout=5, check=False)
    except OSError:
        return ""
    return done.stdout.strip()


def _count_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _find_versions(packages: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
