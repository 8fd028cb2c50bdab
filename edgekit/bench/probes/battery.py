"""The battery: how full, how warm, whether it feeds the device, and with how many watts.

Of /sys/class/power_supply (Linux, Documentation/ABI/testing/sysfs-class-power: microvolt, microampere, microwatt,
tenths of degrees) and of Android's `dumpsys battery` (millivolt, tenths of degrees). Some phones give current and
voltage in thousandths instead of millionths, and the sign of a discharging current is the driver's choice.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from edgekit.bench.probes.reading import Commands, Reading, number

DUMPSYS = ("dumpsys", "battery")
_SUPPLY = "/sys/class/power_supply/*"
FILES = tuple(
    f"{_SUPPLY}/{name}"
    for name in ("type", "scope", "status", "capacity", "temp", "current_now", "voltage_now", "power_now")
)
COMMANDS: Commands = (DUMPSYS,)

_MOST_MILLIAMPERE = 10_000
"""A current below this is in mA: 10 mA in µA would not even keep the display off."""
_MOST_MILLIVOLT = 100_000
_DISCHARGING = 3
"""android.os.BatteryManager.BATTERY_STATUS_DISCHARGING."""


@dataclass(frozen=True)
class Battery:
    """A device's battery, or all of them together.

    Attributes:
        percent: How full, 0..100; None when not told.
        temperature_c: Degrees Celsius.
        feeding: Whether the device runs from it; None when not told.
        power_w: What the device draws from it; None while it is not feeding, since the charger's share is unknown.
    """

    percent: float | None = None
    temperature_c: float | None = None
    feeding: bool | None = None
    power_w: float | None = None


def read_battery(reading: Reading) -> Battery:
    """Of the kernel's files, and what these do not tell of Android's service."""
    percent: list[float] = []
    celsius: list[float] = []
    feeding: list[bool] = []
    watts: list[float] = []
    for files in reading.folders(_SUPPLY).values():
        if files.get("type") != "Battery" or files.get("scope") == "Device":
            continue  # the scope "Device" is a mouse or a headset
        _keep(percent, number(files.get("capacity")))
        _keep(celsius, number(files.get("temp"), scale=0.1))
        if files.get("status"):
            feeding.append(files["status"] == "Discharging")
            _keep(watts, _power_of(files) if feeding[-1] else None)
    service = _read_service(reading)
    return Battery(
        percent=min(percent) if percent else service.percent,
        temperature_c=max(celsius) if celsius else service.temperature_c,
        feeding=any(feeding) if feeding else service.feeding,
        power_w=sum(watts) if watts else None,
    )


def _power_of(files: dict[str, str]) -> float | None:
    power = number(files.get("power_now"), scale=1e-6)
    if power:
        return abs(power)
    current, voltage = number(files.get("current_now")), number(files.get("voltage_now"))
    if not current or not voltage:
        return None
    amperes = abs(current) * (1e-3 if abs(current) < _MOST_MILLIAMPERE else 1e-6)
    volts = abs(voltage) * (1e-3 if abs(voltage) < _MOST_MILLIVOLT else 1e-6)
    return amperes * volts


def _read_service(reading: Reading) -> Battery:
    """Of `dumpsys battery`; the first of each key counts, since a log with the same words may follow."""
    fields: dict[str, str] = {}
    for line in reading.output(DUMPSYS).splitlines():
        key, _, text = line.partition(":")
        fields.setdefault(key.strip().lower(), text.strip())
    level, scale = number(fields.get("level")), number(fields.get("scale")) or 100.0
    powered = [text == "true" for key, text in fields.items() if re.fullmatch(r"\w+ powered", key)]
    return Battery(
        percent=None if level is None or level < 0 or scale < 0 else 100 * level / scale,
        temperature_c=number(fields.get("temperature"), scale=0.1),
        feeding=number(fields.get("status")) == _DISCHARGING or not any(powered) if powered else None,
    )


def _keep(values: list[float], value: float | None) -> None:
    if value is not None:
        values.append(value)
