from edgekit.bench.probes.frequency import read_caps, read_frequencies, read_governor
from edgekit.bench.probes.reading import Reading, reading_of


def test_cpufreq(recorded):
    reading = reading_of(recorded("raspberry_pi_5"))
    assert read_governor(reading) == "ondemand"
    assert read_frequencies(reading) == {"cpu0": 1500.0, "cpu1": 2400.0}
    assert read_caps(reading) == {}


def test_a_capped_core(recorded):
    assert read_caps(reading_of(recorded("pixel_6"))) == {"cpu7": (1826.0, 2802.0)}


def test_governors_are_joined_where_they_differ():
    path = "/sys/devices/system/cpu/cpu{}/cpufreq/scaling_governor"
    reading = Reading(
        files={path.format(0): "schedutil\n", path.format(1): "performance\n", path.format(2): "schedutil"}
    )
    assert read_governor(reading) == "schedutil, performance"


def test_tegrastats_stands_in_without_cores_that_are_off(recorded):
    assert read_frequencies(reading_of(recorded("jetson_nano"))) == {"cpu0": 1224.0, "cpu1": 1224.0}


def test_cpuinfo_stands_in_on_x86(recorded):
    assert read_frequencies(reading_of(recorded("laptop"))) == {"cpu0": 3900.0, "cpu1": 800.0}


def test_nothing_is_told():
    assert read_governor(Reading()) == ""
    assert read_frequencies(Reading()) == {}
