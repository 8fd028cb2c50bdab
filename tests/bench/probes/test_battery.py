import pytest

from edgekit.bench.probes.battery import Battery, read_battery
from edgekit.bench.probes.reading import Reading, reading_of


def supply(**files):
    return Reading(
        files={f"/sys/class/power_supply/battery/{name}": text for name, text in ({"type": "Battery"} | files).items()}
    )


def test_a_phone_on_its_cable(recorded):
    assert read_battery(reading_of(recorded("pixel_6"))) == Battery(81.0, pytest.approx(37.4), False, None)


def test_a_laptop_and_not_its_mouse(recorded):
    assert read_battery(reading_of(recorded("laptop"))) == Battery(64.0, None, True, 9.5)


@pytest.mark.parametrize(
    ("current", "voltage", "watts"),
    [
        ("-450000", "3850000", 1.7325),
        ("450000", "3850000", 1.7325),
        ("-450", "3850000", 1.7325),
        ("450", "3850", 1.7325),
        ("0", "3850000", None),
        ("nonsense", "3850000", None),
    ],
)
def test_units_and_signs_of_drivers(current, voltage, watts):
    found = read_battery(supply(status="Discharging", current_now=current, voltage_now=voltage)).power_w
    assert found == (None if watts is None else pytest.approx(watts))


@pytest.mark.parametrize("status", ["Charging", "Full", "Not charging", "Unknown"])
def test_a_charging_battery_tells_no_power(status):
    found = read_battery(supply(status=status, current_now="450000", voltage_now="3850000"))
    assert (found.feeding, found.power_w) == (False, None)


@pytest.mark.parametrize(
    ("text", "feeding"),
    [
        ("AC powered: false\nUSB powered: true\nstatus: 2\n", False),
        ("AC powered: false\nUSB powered: false\nstatus: 3\n", True),
        ("AC powered: false\nUSB powered: true\nstatus: 3\n", True),
        ("level: 80\n", None),
    ],
)
def test_whether_a_phone_runs_from_its_battery(text, feeding):
    assert read_battery(Reading(outputs={"dumpsys battery": text})).feeding is feeding


def test_temperature_is_in_tenths():
    assert read_battery(supply(temp="325")).temperature_c == 32.5
