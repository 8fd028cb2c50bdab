"""Which CPU this is, as far as it decides int8 kernels, and which runtimes are installed."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from edgekit.types.report import Machine

ISA = (
    "avx", "avx2", "fma", "avx512f", "avx512bw", "avx512_vnni", "avx_vnni", "avx_vnni_int8", "amx_int8",
    "asimd", "asimddp", "i8mm", "sve", "sve2",
)  # fmt: skip
"""Extensions with kernels of their own in MLAS (ONNX Runtime) or XNNPACK; Linux spelling."""

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


def read_cpuinfo(text: str) -> tuple[str, frozenset[str]]:
    """CPU name and extension flags from the text of Linux's /proc/cpuinfo, x86 or ARM.

    ARM kernels give no model name: the board ("Model") or the implementer and part numbers stand in for it.
    """
    fields: dict[str, str] = {}
    for line in text.splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip().lower(), value.strip())
    flags = frozenset((fields.get("flags") or fields.get("features") or "").split())
    name = fields.get("model name") or _last_value(text, "Model")
    if not name and "cpu part" in fields:
        name = f"ARM implementer {fields.get('cpu implementer', '?')} part {fields['cpu part']}"
    return name, flags


def _last_value(text: str, key: str) -> str:
    """Value of a key whose spelling matters: Raspberry Pi kernels end with "Model : Raspberry Pi 4 Model B"."""
    values = [line.partition(":")[2].strip() for line in text.splitlines() if line.partition(":")[0].strip() == key]
    return values[-1] if values else ""


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
