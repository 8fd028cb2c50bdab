"""What takes the clock down: counters, states and bits, each with who writes it.

- Raspberry Pi: `vcgencmd get_throttled`, bits 0-3 now and 16-19 since boot (raspberrypi.com, os.html#get_throttled);
  some kernels have the same word as a file.
- x86: thermal_throttle's counts of events since boot (Linux, arch/x86, therm_throt.c).
- Linux: states of the cooling devices that slow a processor down; fans and displays are none of those.
- Jetson: events of the over-current comparators since boot (Jetson Linux Developer Guide, "soctherm OC").
- Android: the thermal status, 0 none to 6 shutdown (PowerManager.THERMAL_STATUS_*).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from edgekit.bench.probes.reading import Commands, Reading, number
from edgekit.bench.probes.thermal import THERMALSERVICE

GET_THROTTLED = ("vcgencmd", "get_throttled")
_THROTTLED_FILE = "/sys/devices/platform/soc/soc:firmware/get_throttled"
_X86 = "/sys/devices/system/cpu/cpu[0-9]*/thermal_throttle"
_COOLING = "/sys/class/thermal/cooling_device*"
_HWMON = "/sys/class/hwmon/hwmon*"
FILES = (
    _THROTTLED_FILE,
    f"{_X86}/core_throttle_count",
    f"{_X86}/package_throttle_count",
    f"{_COOLING}/type",
    f"{_COOLING}/cur_state",
    f"{_HWMON}/oc*_event_cnt",
)
COMMANDS: Commands = (GET_THROTTLED, THERMALSERVICE)

_PI_BITS = ("under-voltage", "ARM frequency capped", "throttled")
_PI_SOFT = "soft temperature limit"
"""Bits 0-2 (now) and 16-18 (since boot) lower the clock; the fourth of each does so on some boards only."""
_SINCE_BOOT = " since boot"
_STATUS = ("none", "light", "moderate", "severe", "critical", "emergency", "shutdown")
_STATUS_SPOILING = 2
_SLOWING = re.compile(r"cpufreq|^processor$|devfreq|throttle|-balanced$|-heavy$|powerclamp", re.IGNORECASE)


@dataclass(frozen=True)
class Throttling:
    """What limits the clock at one moment, or did before it.

    Attributes:
        spoiling: In force now and too strong for a measurement.
        mild: In force now or since boot, and may be without effect.
        rising: What grows when the clock is limited: event -> count, state, or 0 until it has happened and 1 then.
    """

    spoiling: tuple[str, ...] = ()
    mild: tuple[str, ...] = ()
    rising: Mapping[str, int] = field(default_factory=dict)

    @property
    def words(self) -> tuple[str, ...]:
        """All of it for people; empty when nothing limits the clock or did since boot."""
        past = (
            event if event.endswith(_SINCE_BOOT) else f"{event}: {count}"
            for event, count in self.rising.items()
            if count
        )
        return (*self.spoiling, *self.mild, *past)


def read_throttling(reading: Reading) -> Throttling:
    """Everything the device tells about limits of its clock."""
    spoiling, mild, since_boot = _read_pi(reading)
    status = _read_status(reading)
    if status is not None and status > 0:
        word = _STATUS[min(status, len(_STATUS) - 1)]
        (spoiling if status >= _STATUS_SPOILING else mild).append(f"Android thermal status {status} ({word})")
    rising = since_boot | _read_x86(reading) | _read_overcurrent(reading) | _read_cooling(reading)
    return Throttling(tuple(spoiling), tuple(mild), rising)


def throttled_during(states: Sequence[Throttling]) -> tuple[str, ...]:
    """How the clock was limited while something ran.

    Args:
        states: In the order of time, the first of before it, the last of after it.

    Returns:
        What was in force at any moment, then what rose, each with by how much; empty when nothing was limited.
    """
    found = dict.fromkeys(limit for state in states for limit in state.spoiling)
    first: dict[str, int] = {}
    grown: dict[str, int] = {}
    for state in states:
        for event, count in state.rising.items():
            if count > first.setdefault(event, count):
                grown[event] = max(grown.get(event, 0), count - first[event])
    rises = (
        event.removesuffix(_SINCE_BOOT) if event.endswith(_SINCE_BOOT) else f"{event} +{count}"
        for event, count in grown.items()
    )
    return (*found, *rises)


def _read_pi(reading: Reading) -> tuple[list[str], list[str], dict[str, int]]:
    """Spoiling, mild, and since boot, of the firmware's word of bits."""
    found = re.search(r"throttled=0x([0-9a-fA-F]{1,8})\b", reading.output(GET_THROTTLED))
    text = found[1] if found else reading.file(_THROTTLED_FILE)
    try:
        word = int(text, 16)
    except ValueError:
        return [], [], {}
    return (
        [f"{name} now" for bit, name in enumerate(_PI_BITS) if word >> bit & 1],
        [f"{_PI_SOFT}{when}" for bit, when in ((3, " now"), (19, _SINCE_BOOT)) if word >> bit & 1],
        {name + _SINCE_BOOT: word >> 16 + bit & 1 for bit, name in enumerate(_PI_BITS)},
    )


def _read_status(reading: Reading) -> int | None:
    found = re.search(r"^[ \t]*Thermal Status:[ \t]*(\d{1,3})[ \t\r]*$", reading.output(THERMALSERVICE), re.MULTILINE)
    return int(found[1]) if found else None


def _read_x86(reading: Reading) -> dict[str, int]:
    """Core events are each core's own; every core of a package repeats the package's."""
    cores = list(reading.folders(_X86).values())
    own = _counts(files.get("core_throttle_count") for files in cores)
    shared = _counts(files.get("package_throttle_count") for files in cores)
    found = {"core throttle events": sum(own)} if own else {}
    return found | ({"package throttle events": max(shared)} if shared else {})


def _read_overcurrent(reading: Reading) -> dict[str, int]:
    found: dict[str, int] = {}
    for files in reading.folders(_HWMON).values():
        for name, text in files.items():
            counts = _counts([text]) if re.fullmatch(r"oc\d+_event_cnt", name) else []
            found |= {f"{name.partition('_')[0].upper()} over-current events": count for count in counts}
    return found


def _read_cooling(reading: Reading) -> dict[str, int]:
    found: dict[str, int] = {}
    for files in reading.folders(_COOLING).values():
        kind, counts = files.get("type", ""), _counts([files.get("cur_state")])
        if counts and _SLOWING.search(kind):
            event = f"cooling state of {kind}"
            found[event] = max(found.get(event, 0), counts[0])
    return found


def _counts(texts: Iterable[str | None]) -> list[int]:
    found = [number(text) for text in texts]
    return [int(count) for count in found if count is not None and count >= 0]
