import pytest

from edgekit.bench.probes.reading import Reading, reading_of
from edgekit.bench.probes.thermal import read_temperatures


def zone(kind, value):
    folder = "/sys/class/thermal/thermal_zone0"
    return Reading(files={f"{folder}/type": kind, f"{folder}/temp": value})


def test_a_zone_and_its_hwmon_twin_are_one_sensor(recorded):
    found = read_temperatures(reading_of(recorded("raspberry_pi_5")))
    assert found == pytest.approx({"cpu-thermal": 59.3, "rp1_adc temp1": 51.022})


def test_hwmon_labels(recorded):
    assert read_temperatures(reading_of(recorded("laptop"))) == {"coretemp Package id 0": 67.0, "coretemp Core 0": 64.0}


def test_the_constant_zone_of_a_jetson_is_left_out(recorded):
    assert read_temperatures(reading_of(recorded("jetson_nano"))) == {"AO-therm": 39.5, "CPU-therm": 36.5}
    assert "PMIC" not in read_temperatures(reading_of(recorded("jetson_agx_xavier")))


def test_a_phone_tells_by_its_thermal_hal(recorded):
    """Not the service's stale cache, not a voltage, not a sensor that is not there."""
    assert read_temperatures(reading_of(recorded("pixel_6"))) == {"BIG": 71.5, "VIRTUAL-SKIN": 36.25}


def test_vcgencmd_alone():
    assert read_temperatures(Reading(outputs={"vcgencmd measure_temp": "temp=48.3'C\n"})) == {"vcgencmd": 48.3}


@pytest.mark.parametrize(
    ("kind", "value", "celsius"),
    [
        ("cpu", "48312", 48.312),
        ("cpu", "48", 48.0),
        ("cpu", "-5000", -5.0),
        ("cpu", "-274000", None),
        ("cpu", "380", None),
        ("cpu", "nan", None),
        ("pm8150-vbat-lvl0", "4200", None),
        ("soc", "87", None),
        ("soc-thermal", "51000", 51.0),
        ("PMIC-Die", "100000", None),
    ],
)
def test_what_is_a_temperature(kind, value, celsius):
    assert read_temperatures(zone(kind, value)) == ({} if celsius is None else {kind: celsius})


def test_two_zones_of_one_type():
    files = {}
    for number, value in ((0, "40000"), (1, "50000")):
        files |= {
            f"/sys/class/thermal/thermal_zone{number}/{key}": text for key, text in (("type", "cpu"), ("temp", value))
        }
    assert read_temperatures(Reading(files=files)) == {"cpu": 40.0, "cpu #2": 50.0}
