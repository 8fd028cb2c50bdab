import pytest

from edgekit.bench.probes.power import EnergyCounter, read_counters, read_rails, total_power
from edgekit.bench.probes.reading import Reading, reading_of


@pytest.mark.parametrize(
    ("name", "rails", "total"),
    [
        ("jetson_nano", {"POM_5V_IN": 2.875, "POM_5V_GPU": 0.2, "POM_5V_CPU": 0.9}, 2.875),
        ("jetson_orin_nano", {"VDD_IN": 6.0, "VDD_CPU_GPU_CV": 1.0, "VDD_SOC": 1.5}, 6.0),
        ("jetson_agx_orin", {"VDD_GPU_SOC": 3.0, "VDD_CPU_CV": 2.0, "VIN_SYS_5V0": 5.0, "VDDQ_VDD2_1V8AO": 1.0}, 10.0),
        (
            "jetson_agx_xavier",
            {"GPU": 0.0, "CPU": 0.311, "SOC": 0.932, "CV": 0.0, "VDDRQ": 0.621, "SYS5V": 1.482},
            3.346,
        ),
        ("raspberry_pi_5", {"3V7_WL_SW": 0.37, "3V3_SYS": 0.165, "VDD_CORE": 2.0}, 2.535),
        ("raspberry_pi_4_undervolted", {}, None),
        ("laptop", {"battery": 9.5}, 9.5),
        ("pixel_6", {}, None),
    ],
)
def test_rails_and_their_sum(recorded, name, rails, total):
    found = read_rails(reading_of(recorded(name)))
    assert found == pytest.approx(rails)
    assert total_power(found) == (None if total is None else pytest.approx(total))


def test_a_voltage_without_a_current_is_no_rail():
    assert (
        read_rails(Reading(outputs={"vcgencmd pmic_read_adc": " EXT5V_V volt(24)=5.1V\n X_A current(1)=1.0A\n"})) == {}
    )


def test_counters_do_not_hold_each_other(recorded):
    assert read_counters(reading_of(recorded("laptop"))) == {
        "intel-rapl:0": EnergyCounter(1.0, pytest.approx(262143.32885)),
        "intel-rapl:0:2": EnergyCounter(0.5, None),
    }


def test_a_counter_that_only_root_reads():
    assert read_counters(Reading(files={"/sys/class/powercap/intel-rapl:0/name": "package-0\n"})) == {}
