"""How fast the cores run: cpufreq's governor and frequencies (Linux, Documentation/admin-guide/pm/cpufreq.rst)."""

from __future__ import annotations

from edgekit.bench.probes.cpu import CPUINFO
from edgekit.bench.probes.jetson import read_tegrastats
from edgekit.bench.probes.reading import Commands, Reading, number

_CORES = "/sys/devices/system/cpu/cpu[0-9]*/cpufreq"
CURRENT = f"{_CORES}/scaling_cur_freq"
FILES = (f"{_CORES}/scaling_governor", CURRENT, f"{_CORES}/scaling_max_freq", f"{_CORES}/cpuinfo_max_freq")
"""All frequencies are in kHz."""
COMMANDS: Commands = ()


def read_governor(reading: Reading) -> str:
    """The cores' governors, each once, joined by commas; "" without cpufreq."""
    found = (files.get("scaling_governor", "") for files in reading.folders(_CORES).values())
    return ", ".join(dict.fromkeys(name for name in found if name))


def read_frequencies(reading: Reading) -> dict[str, float]:
    """Core ("cpu0") -> its frequency now, MHz: of cpufreq, else of tegrastats, else of /proc/cpuinfo (x86)."""
    return (
        _column(reading, "scaling_cur_freq")
        or dict(read_tegrastats(reading).frequency_mhz)
        or _read_cpuinfo(reading.file(CPUINFO))
    )


def read_caps(reading: Reading) -> dict[str, tuple[float, float]]:
    """Cores that may not use their whole range: core -> (highest that is allowed, highest that it can), MHz."""
    allowed, possible = _column(reading, "scaling_max_freq"), _column(reading, "cpuinfo_max_freq")
    return {core: (allowed[core], most) for core, most in possible.items() if core in allowed and allowed[core] < most}


def _column(reading: Reading, name: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for folder, files in reading.folders(_CORES).items():
        megahertz = number(files.get(name), scale=1e-3)
        if megahertz is not None and megahertz > 0:
            found[folder.split("/")[-2]] = megahertz
    return found


def _read_cpuinfo(text: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for line in text.splitlines():
        key, _, value = line.partition(":")
        megahertz = number(value.strip()) if key.strip() == "cpu MHz" else None
        if megahertz is not None and megahertz > 0:
            found[f"cpu{len(found)}"] = megahertz
    return found
