"""NVIDIA Jetson's own tools: a line of tegrastats, and the power mode of nvpmodel.

Both are described in NVIDIA's Jetson Linux Developer Guide ("Tegrastats Utility", "Power Mode Controls"). tegrastats
prints for ever, hence the `timeout`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from edgekit.bench.probes.reading import Commands, Reading, number

TEGRASTATS = ("timeout", "1", "tegrastats", "--interval", "200")
NVPMODEL = ("nvpmodel", "-q")
MODES = "/etc/nvpmodel.conf"
STATUS = "/var/lib/nvpmodel/status"
FILES = (MODES, STATUS)
COMMANDS: Commands = (TEGRASTATS, NVPMODEL)

_CORES = re.compile(r"\bCPU \[([^\]]*)\]", re.IGNORECASE)
_TEMPERATURE = re.compile(r"\b([A-Za-z]\w*)@(-?\d+(?:\.\d+)?)C\b")
_RAIL = re.compile(r"\b([A-Z][A-Z0-9_]*) (\d+)(?:mW)?/\d+(?:mW)?(?=\s|$)")
_MODE = re.compile(r"^[ \t]*<[ \t]*POWER_MODEL[ \t]+ID=(\d+)\s+NAME=([^\s>]+)", re.MULTILINE)


@dataclass(frozen=True)
class Tegrastats:
    """One line of tegrastats.

    Attributes:
        frequency_mhz: Core ("cpu0") -> frequency; cores that are off are missing.
        temperature_c: Sensor -> degrees Celsius.
        power_w: Rail -> watts, the momentary value of the two it prints.
    """

    frequency_mhz: Mapping[str, float] = field(default_factory=dict)
    temperature_c: Mapping[str, float] = field(default_factory=dict)
    power_w: Mapping[str, float] = field(default_factory=dict)


def read_tegrastats(reading: Reading) -> Tegrastats:
    """The last line that was printed; empty without one."""
    lines = [line for line in reading.output(TEGRASTATS).splitlines() if "RAM " in line]
    if not lines:
        return Tegrastats()
    cores = _CORES.search(lines[-1])
    loads = cores[1].split(",") if cores else []
    frequencies = {f"cpu{core}": number(load.partition("@")[2]) for core, load in enumerate(loads)}
    return Tegrastats(
        frequency_mhz={core: value for core, value in frequencies.items() if value},
        temperature_c=_numbers(_TEMPERATURE, lines[-1], 1.0),
        power_w=_numbers(_RAIL, lines[-1], 1e-3),
    )


def read_power_mode(reading: Reading) -> str:
    """Name of the power mode, for example "MAXN" or "15W"; "" where there is none."""
    found = re.search(r"NV Power Mode:\s*(\S+)", reading.output(NVPMODEL))
    if found:
        return found[1]
    stored = re.match(r"pmode:(\d{1,9})", reading.file(STATUS))
    return _list_modes(reading).get(int(stored[1]), "") if stored else ""


def read_largest_mode(reading: Reading) -> str:
    """The power mode that limits least: MAXN_SUPER, else MAXN, else the one of most watts; "" when not told."""
    modes = sorted(_list_modes(reading).values(), key=_rank)
    return modes[-1] if modes else ""


def _list_modes(reading: Reading) -> dict[int, str]:
    return {int(number): name for number, name in _MODE.findall(reading.file(MODES)) if len(number) < 10}


def _rank(mode: str) -> tuple[int, float]:
    """Smaller is more limited."""
    if "MAXN" in mode.upper():
        return 1, float("SUPER" in mode.upper())
    watts = re.search(r"(\d{1,6})W", mode, re.IGNORECASE)
    return 0, float(watts[1]) if watts else 0.0


def _numbers(pattern: re.Pattern[str], line: str, scale: float) -> dict[str, float]:
    found = {name: number(text, scale=scale) for name, text in pattern.findall(line)}
    return {name: value for name, value in found.items() if value is not None}
