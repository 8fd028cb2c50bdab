import pytest

from edgekit.bench.probes.jetson import MODES, STATUS, Tegrastats, read_largest_mode, read_power_mode, read_tegrastats
from edgekit.bench.probes.reading import Reading, reading_of

ORIN_NX = (
    "12-23-2025 22:54:11 RAM 3162/7620MB (lfb 4x2MB) SWAP 0/3810MB (cached 0MB) "
    "CPU [1%@729,0%@729,off,off] EMC_FREQ 1%@2133 GR3D_FREQ 14%@[407,407] VIC_FREQ 115 APE 174 "
    "cpu@62.843C soc2@61.968C tj@-256C VDD_IN 3913mW/3922mW VDD_CPU_GPU_CV 598mW/598mW VDD_SOC 1238mW/1237mW\n"
)


def test_tegrastats_of_xavier_is_its_last_line(recorded):
    line = read_tegrastats(reading_of(recorded("jetson_agx_xavier")))
    assert line.frequency_mhz == {"cpu0": 1190.0, "cpu1": 1191.0, "cpu2": 1190.0, "cpu3": 1190.0}
    assert line.temperature_c["CPU"] == 38.5
    assert line.power_w == pytest.approx(
        {"GPU": 0.0, "CPU": 0.311, "SOC": 0.932, "CV": 0.0, "VDDRQ": 0.621, "SYS5V": 1.482}
    )


def test_tegrastats_of_orin_has_units():
    line = read_tegrastats(Reading(outputs={"timeout 1 tegrastats --interval 200": ORIN_NX}))
    assert line.power_w == pytest.approx({"VDD_IN": 3.913, "VDD_CPU_GPU_CV": 0.598, "VDD_SOC": 1.238})
    assert line.frequency_mhz == {"cpu0": 729.0, "cpu1": 729.0}
    assert line.temperature_c["soc2"] == 61.968


def test_memory_is_no_rail(recorded):
    assert set(read_tegrastats(reading_of(recorded("jetson_nano"))).power_w) == {
        "POM_5V_IN",
        "POM_5V_GPU",
        "POM_5V_CPU",
    }


def test_a_missing_tegrastats_is_empty():
    output = "timeout: failed to run command 'tegrastats': No such file or directory\n"
    assert read_tegrastats(Reading(outputs={"timeout 1 tegrastats --interval 200": output})) == Tegrastats()


def test_power_mode_and_the_largest(recorded):
    reading = reading_of(recorded("jetson_orin_nano"))
    assert read_power_mode(reading) == "15W"
    assert read_largest_mode(reading) == "MAXN_SUPER"


def test_the_stored_mode_stands_in_for_the_tool():
    files = {
        MODES: "# < POWER_MODEL ID=1 NAME=NOT >\n< POWER_MODEL ID=1 NAME=MODE_20W_6CORE >\n",
        STATUS: "pmode:0001 fmode:quiet",
    }
    assert read_power_mode(Reading(files=files)) == "MODE_20W_6CORE"


@pytest.mark.parametrize(
    ("modes", "largest"),
    [
        (("15W", "7W"), "15W"),
        (("MODE_15W_2CORE", "MODE_20W_6CORE", "MODE_10W_DESKTOP"), "MODE_20W_6CORE"),
        (("MAXN", "50W"), "MAXN"),
        ((), ""),
    ],
)
def test_largest_mode(modes, largest):
    text = "\n".join(f"< POWER_MODEL ID={number} NAME={mode} >" for number, mode in enumerate(modes))
    assert read_largest_mode(Reading(files={MODES: text})) == largest
