"""How hot the device is: thermal zones, hwmon, vcgencmd, tegrastats, and Android's thermal service.

Zones are in millidegrees (Linux, Documentation/driver-api/thermal/sysfs-api.rst), except on phones that give whole
degrees. Some zones are no temperatures at all: PMIC of a Jetson is always 100 °C, and Qualcomm's battery zones hold
milliampere, millivolt and percent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from edgekit.bench.probes.jetson import read_tegrastats
from edgekit.bench.probes.reading import Commands, Reading, number

MEASURE_TEMP = ("vcgencmd", "measure_temp")
THERMALSERVICE = ("dumpsys", "thermalservice")
ZONES = "/sys/class/thermal/thermal_zone*"
_HWMON = "/sys/class/hwmon/hwmon*"
FILES = (
    f"{ZONES}/type",
    f"{ZONES}/temp",
    f"{_HWMON}/name",
    f"{_HWMON}/temp*_input",
    f"{_HWMON}/temp*_label",
)
COMMANDS: Commands = (MEASURE_TEMP, THERMALSERVICE)

_NO_TEMPERATURE = re.compile(r"pmic|ibat|vbat|bcl|^socd?$|-lvl\d", re.IGNORECASE)
_LOWEST, _HIGHEST = -40.0, 150.0
_HAL = re.compile(r"Temperature\{mValue=([^,}]{1,30}), mType=(-?\d{1,3}), mName=([^,}]{1,80}), mStatus=-?\d{1,3}\}")
_HAL_NO_TEMPERATURE = {"6", "7", "8"}
"""Voltage, current and percentage of the battery's current limit (android.hardware.thermal, TemperatureType)."""


def read_temperatures(reading: Reading) -> dict[str, float]:
    """Sensor -> degrees Celsius; what cannot be a temperature is left out, and so is a sensor's second name."""
    found: dict[str, float] = {}
    for files in reading.folders(ZONES).values():
        _add(found, files.get("type", ""), _of_zone(files.get("temp")))
    zones = {_plain(name) for name in found}
    for files in reading.folders(_HWMON).values():
        chip = files.get("name", "hwmon")
        if _plain(chip) not in zones:
            for sensor, celsius in _of_chip(files):
                _add(found, f"{chip} {sensor}", celsius)
    if not found:
        for name, celsius in (*read_tegrastats(reading).temperature_c.items(), *_of_phone(reading), *_of_pi(reading)):
            _add(found, name, celsius)
    return found


def _add(found: dict[str, float], name: str, celsius: float | None) -> None:
    if celsius is None or not _LOWEST < celsius < _HIGHEST or _NO_TEMPERATURE.search(name):
        return
    unique, count = name or "zone", 2
    while unique in found:
        unique, count = f"{name or 'zone'} #{count}", count + 1
    found[unique] = celsius


def _of_zone(text: str | None) -> float | None:
    value = number(text)
    return value if value is None or abs(value) < 1000 else value / 1000


def _of_chip(files: dict[str, str]) -> Iterable[tuple[str, float | None]]:
    for name, text in files.items():
        if name.startswith("temp") and name.endswith("_input"):
            sensor = name.removesuffix("_input")
            yield files.get(f"{sensor}_label", sensor), number(text, scale=1e-3)


def _of_phone(reading: Reading) -> Iterable[tuple[str, float | None]]:
    """Of the thermal HAL, not of the service's cache of it; 0.0 stands for a sensor that is not there."""
    text = reading.output(THERMALSERVICE).rpartition("Current temperatures from HAL:")[2]
    for value, kind, name in _HAL.findall(text):
        celsius = number(value)
        if celsius and kind not in _HAL_NO_TEMPERATURE:
            yield name, celsius


def _of_pi(reading: Reading) -> Iterable[tuple[str, float | None]]:
    found = re.search(r"temp=(-?\d+(?:\.\d+)?)", reading.output(MEASURE_TEMP))
    if found:
        yield "vcgencmd", number(found[1])


def _plain(name: str) -> str:
    """The kernel gives a zone's hwmon chip the zone's name with other punctuation."""
    return re.sub(r"[^a-z0-9]", "", name.lower())
