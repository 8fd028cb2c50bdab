"""How much power the device draws: rails in watts, and counters of energy.

- Jetson: ina3221 as hwmon (mV, mA) or, up to JetPack 4, as iio device (mW); else tegrastats. Which rail holds which is
  in NVIDIA's Jetson Linux Developer Guide, "Software-Based Power Consumption Modeling".
- Raspberry Pi 5: `vcgencmd pmic_read_adc`, a current and a voltage per rail; what hangs on the 5 V input directly, USB
  for one, is in none of them.
- Intel and AMD: RAPL counters (Linux, Documentation/power/powercap), microjoule, which wrap around; since Linux 5.10
  only root reads them.
- Battery: see `battery.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from edgekit.bench.probes.battery import read_battery
from edgekit.bench.probes.jetson import read_tegrastats
from edgekit.bench.probes.reading import Commands, Reading, number

PMIC_READ_ADC = ("vcgencmd", "pmic_read_adc")
_HWMON = "/sys/class/hwmon/hwmon*"
_IIO = "/sys/bus/i2c/drivers/ina3221x/*/iio:device*"
_RAPL = "/sys/class/powercap/intel-rapl:*"
FILES = (
    f"{_HWMON}/name",
    f"{_HWMON}/in[1-3]_label",
    f"{_HWMON}/in[1-3]_input",
    f"{_HWMON}/curr[1-3]_input",
    f"{_IIO}/rail_name_*",
    f"{_IIO}/in_power*_input",
    f"{_RAPL}/name",
    f"{_RAPL}/energy_uj",
    f"{_RAPL}/max_energy_range_uj",
)
COMMANDS: Commands = (PMIC_READ_ADC,)

BATTERY = "battery"
_WHOLE = ("VDD_IN", "POM_5V_IN")
"""Rails of a Jetson that feed all the others."""
_INNER = ("VDDQ_VDD2_1V8AO",)
"""Part of VIN_SYS_5V0 on a Jetson AGX Orin."""
_ADC = re.compile(r"^[ \t]*(\w+)_([AV]) (?:current|volt)\(\d+\)=(-?[\d.]+)[AV][ \t\r]*$", re.MULTILINE)


@dataclass(frozen=True)
class EnergyCounter:
    """A counter of energy that starts again at 0 when it reaches its range.

    Attributes:
        joules: Its value.
        range_j: Where it wraps; None when not told.
    """

    joules: float
    range_j: float | None


def read_rails(reading: Reading) -> dict[str, float]:
    """Rail -> watts now; empty where none can be read."""
    rails = dict(_of_hwmon(reading)) or dict(_of_iio(reading)) or dict(read_tegrastats(reading).power_w)
    rails |= _of_pmic(reading)
    battery = read_battery(reading).power_w
    return rails if battery is None else rails | {BATTERY: battery}


def total_power(rails: Mapping[str, float]) -> float | None:
    """Watts of the whole board: its input rail, else the sum of rails that do not hold each other, else the battery.

    >>> total_power({"VDD_IN": 5.0, "VDD_SOC": 1.5}), total_power({"VDD_CORE": 2.0, "battery": 9.0}), total_power({})
    (5.0, 2.0, None)
    """
    for name in _WHOLE:
        if name in rails:
            return rails[name]
    parts = [watts for name, watts in rails.items() if name not in (*_INNER, BATTERY)]
    return sum(parts) if parts else rails.get(BATTERY)


def read_counters(reading: Reading) -> dict[str, EnergyCounter]:
    """RAPL's counters that do not hold each other: packages and their DRAM, without cores, uncore and the platform."""
    found: dict[str, EnergyCounter] = {}
    for folder, files in reading.folders(_RAPL).items():
        joules = number(files.get("energy_uj"), scale=1e-6)
        name = files.get("name", "")
        if joules is not None and joules >= 0 and (name.startswith("package") or name == "dram"):
            found[folder.rpartition("/")[2]] = EnergyCounter(
                joules, number(files.get("max_energy_range_uj"), scale=1e-6)
            )
    return found


def _of_hwmon(reading: Reading) -> Iterable[tuple[str, float]]:
    """Channels that are not connected are labelled "NC"."""
    for files in reading.folders(_HWMON).values():
        if files.get("name") != "ina3221":
            continue
        for channel in (1, 2, 3):
            label = files.get(f"in{channel}_label", "")
            volts = number(files.get(f"in{channel}_input"), scale=1e-3)
            amperes = number(files.get(f"curr{channel}_input"), scale=1e-3)
            if label and label != "NC" and volts is not None and amperes is not None:
                yield label, volts * amperes


def _of_iio(reading: Reading) -> Iterable[tuple[str, float]]:
    for files in reading.folders(_IIO).values():
        for channel in ("0", "1", "2"):
            label = files.get(f"rail_name_{channel}", "")
            watts = number(files.get(f"in_power{channel}_input"), scale=1e-3)
            if label and label != "NC" and watts is not None:
                yield label, watts


def _of_pmic(reading: Reading) -> dict[str, float]:
    values: dict[tuple[str, str], float] = {}
    for rail, unit, text in _ADC.findall(reading.output(PMIC_READ_ADC)):
        value = number(text)
        if value is not None:
            values[rail, unit] = value
    return {
        rail: values[rail, "V"] * amperes
        for (rail, unit), amperes in values.items()
        if unit == "A" and (rail, "V") in values
    }
