"""All probes together: what a job asks a device for, and what its answers say."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, TypedDict

from edgekit.bench.probes import android, battery, cpu, emulation, frequency, jetson, power, thermal, throttling
from edgekit.bench.probes.reading import Reading, number, reading_of
from edgekit.types.bench import Environment

_MEMINFO = "/proc/meminfo"
_FAMILIES = (android, battery, cpu, emulation, frequency, jetson, power, thermal, throttling)


class Wanted(TypedDict):
    """What the agent is to read: globs, and the words of commands."""

    files: list[str]
    commands: list[list[str]]


def probes() -> Wanted:
    """Everything, for before and after a measurement."""
    return _wanted(
        (_MEMINFO, *(path for family in _FAMILIES for path in family.FILES)),
        (words for family in _FAMILIES for words in family.COMMANDS),
    )


def sensors() -> Wanted:
    """What changes while a measurement runs and costs little: milliseconds on a Pi, tens of them on a phone."""
    return _wanted(
        (frequency.CURRENT, *thermal.FILES, *throttling.FILES, *power.FILES, *battery.FILES),
        (throttling.GET_THROTTLED, power.PMIC_READ_ADC, thermal.THERMALSERVICE),
    )


def read_environment(event: Mapping[str, Any]) -> Environment:
    """The state that an "environment" event tells; never raises, "" and None stand for what it does not tell."""
    reading = reading_of(event)
    system, release, _, machine = _texts(event.get("uname"), 4)
    affinity = read_affinity(event)
    cells = battery.read_battery(reading)
    temperatures = thermal.read_temperatures(reading)
    if cells.temperature_c is not None:
        temperatures.setdefault("battery", cells.temperature_c)
    phone, android_release = android.read_phone(reading), android.read_release(reading)
    cores = cpu.describe_cores(cpu.read_cores(reading.file(cpu.CPUINFO)))
    return Environment(
        cpu=f"{phone}: {cores}" if phone and cores else phone or cpu.read_name(reading),
        isa=cpu.read_isa(reading),
        architecture=machine,
        system=f"Android {android_release}, {system} {release}" if android_release else f"{system} {release}".strip(),
        cores=len(affinity),
        affinity=affinity,
        governor=frequency.read_governor(reading),
        frequency_mhz=frequency.read_frequencies(reading),
        load=read_load(event),
        memory_bytes=_read_memory(reading),
        temperatures_c=temperatures,
        throttling=throttling.read_throttling(reading).words,
        power_w=power.read_rails(reading),
        power_mode=jetson.read_power_mode(reading),
        battery_percent=cells.percent,
        emulated=emulation.read_emulation(reading, machine),
        runtimes=_read_versions(event),
    )


def read_sensors(event: Mapping[str, Any]) -> tuple[float | None, float | None, float | None]:
    """The numbers of a "sensors" event.

    Returns:
        Hottest sensor in degrees Celsius, fastest core in MHz, and watts of the board; each None where not told.
        Counters of energy (RAPL) are no watts: see `edgekit.bench.energy`.
    """
    reading = reading_of(event)
    celsius = thermal.read_temperatures(reading).values()
    megahertz = frequency.read_frequencies(reading).values()
    return max(celsius, default=None), max(megahertz, default=None), power.total_power(power.read_rails(reading))


def read_affinity(event: Mapping[str, Any]) -> tuple[int, ...]:
    """Numbers of the cores that the process may use; empty when not told."""
    cores = event.get("affinity")
    if not isinstance(cores, list | tuple):
        return ()
    return tuple(core for core in cores if isinstance(core, int) and not isinstance(core, bool) and core >= 0)


def read_load(event: Mapping[str, Any]) -> float | None:
    """One-minute load average; None when not told."""
    load = event.get("load")
    return number(load[0]) if isinstance(load, list | tuple) and load else None


def _wanted(files: Iterable[str], commands: Iterable[tuple[str, ...]]) -> Wanted:
    """Each once, in the order given."""
    return {"files": list(dict.fromkeys(files)), "commands": [list(words) for words in dict.fromkeys(commands)]}


def _texts(values: object, count: int) -> list[str]:
    """The first `count` texts of a list; "" for what is missing or none."""
    given = list(values) if isinstance(values, list | tuple) else []
    return [value if isinstance(value, str) else "" for value in (given + [""] * count)[:count]]


def _read_memory(reading: Reading) -> int | None:
    found = re.search(r"^MemTotal:\s*(\d{1,15}) kB", reading.file(_MEMINFO), re.MULTILINE)
    return int(found[1]) * 1024 if found else None


def _read_versions(event: Mapping[str, Any]) -> dict[str, str]:
    packages = event.get("packages")
    given = packages if isinstance(packages, Mapping) else {}
    found = {name: text for name, text in given.items() if isinstance(name, str) and isinstance(text, str)}
    python = event.get("python")
    return found | ({"python": python} if isinstance(python, str) and python else {})
