"""The state of a device before and after, as rows of text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from edgekit.report.bench.wording import NONE
from edgekit.types.bench import DeviceReport, Environment
from edgekit.units import size


@dataclass(frozen=True)
class StateRow:
    """One property of a device.

    Attributes:
        label: What it is.
        before: Its value before the first measurement.
        after: After the last.
    """

    label: str
    before: str
    after: str

    @property
    def changed(self) -> bool:
        """Whether both were told and differ."""
        return self.before != self.after and NONE not in (self.before, self.after)


def told(device: DeviceReport) -> Environment | None:
    """What is known of it: before, or else after."""
    return device.before or device.after


def tabulate_state(device: DeviceReport) -> tuple[StateRow, ...]:
    """A row per property that the device tells at all."""
    rows = (
        StateRow(
            label,
            (say(device.before) if device.before else "") or NONE,
            (say(device.after) if device.after else "") or NONE,
        )
        for label, say in _PROPERTIES.items()
    )
    return tuple(row for row in rows if (row.before, row.after) != (NONE, NONE))


def thermal(device: DeviceReport) -> str:
    """Hottest sensor before and after, for example "48.9 to 84.6 °C"; "" without one."""
    heats = [_hottest(state) for state in (device.before, device.after)]
    texts = [f"{heat:.1f}" for heat in heats if heat is not None]
    return f"{' to '.join(dict.fromkeys(texts))} °C" if texts else ""


def _hottest(state: Environment | None) -> float | None:
    return max(state.temperatures_c.values(), default=None) if state else None


def _each(values: Mapping[str, float], unit: str, digits: int) -> str:
    return ", ".join(f"{name} {value:,.{digits}f} {unit}" for name, value in values.items())


_PROPERTIES: dict[str, Callable[[Environment], str]] = {
    "processor": lambda state: state.cpu,
    "emulated": lambda state: state.emulated,
    "architecture": lambda state: state.architecture,
    "int8 extensions": lambda state: ", ".join(state.isa),
    "system": lambda state: state.system,
    "cores": lambda state: str(state.cores) if state.cores else "",
    "affinity": lambda state: ", ".join(map(str, state.affinity)),
    "governor": lambda state: state.governor,
    "clock": lambda state: _each(state.frequency_mhz, "MHz", 0),
    "load": lambda state: "" if state.load is None else f"{state.load:.2f}",
    "memory": lambda state: "" if state.memory_bytes is None else size(state.memory_bytes),
    "temperature": lambda state: _each(state.temperatures_c, "°C", 1),
    "limits": lambda state: "; ".join(state.throttling) or "none",
    "power": lambda state: _each(state.power_w, "W", 1),
    "power mode": lambda state: state.power_mode,
    "battery": lambda state: "" if state.battery_percent is None else f"{state.battery_percent:.0f} %",
    "runtimes": lambda state: ", ".join(f"{name} {version}" for name, version in state.runtimes.items()),
}
"""Label -> what a state says; "" for nothing."""
