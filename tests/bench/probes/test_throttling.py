import pytest

from edgekit.bench.probes.reading import Reading, reading_of
from edgekit.bench.probes.throttling import Throttling, read_throttling, throttled_during


def pi(word):
    return read_throttling(Reading(outputs={"vcgencmd get_throttled": f"throttled={word}\n"}))


def test_a_pi_in_order(recorded):
    found = read_throttling(reading_of(recorded("raspberry_pi_5")))
    assert found.spoiling == found.mild == found.words == ()
    assert not any(found.rising.values())


def test_a_pi_under_voltage(recorded):
    found = read_throttling(reading_of(recorded("raspberry_pi_4_undervolted")))
    assert found.spoiling == ("under-voltage now", "throttled now")
    assert found.mild == ("soft temperature limit now",)
    assert found.words[3:] == ("under-voltage since boot", "ARM frequency capped since boot", "throttled since boot")


@pytest.mark.parametrize(
    ("bit", "spoiling"),
    [(0, True), (1, True), (2, True), (3, False), (16, False), (17, False), (18, False), (19, False)],
)
def test_each_bit(bit, spoiling):
    found = pi(hex(1 << bit))
    assert bool(found.spoiling) is spoiling
    assert len(found.words) == 1


def test_the_kernels_file_has_the_same_word():
    found = read_throttling(Reading(files={"/sys/devices/platform/soc/soc:firmware/get_throttled": "50005\n"}))
    assert found.spoiling == ("under-voltage now", "throttled now")


def test_x86_counts_cores_apart_and_a_package_once(recorded):
    rising = read_throttling(reading_of(recorded("laptop"))).rising
    assert rising == {"core throttle events": 7, "package throttle events": 9, "cooling state of Processor": 1}


def test_jetson_counts_over_current_and_its_fan_is_no_limit(recorded):
    found = read_throttling(reading_of(recorded("jetson_orin_nano")))
    assert found.words == ("OC3 over-current events: 27",)
    assert found.rising["cooling state of cpu-throttle-alert"] == 0


@pytest.mark.parametrize(("status", "spoiling"), [(0, None), (1, False), (2, True), (3, True), (99, True)])
def test_android_status(status, spoiling):
    found = read_throttling(Reading(outputs={"dumpsys thermalservice": f"x\nThermal Status: {status}\n"}))
    assert bool(found.words) is (spoiling is not None)
    assert bool(found.spoiling) is bool(spoiling)


def test_a_phone(recorded):
    assert read_throttling(reading_of(recorded("pixel_6"))).spoiling == ("Android thermal status 2 (moderate)",)


def test_what_was_before_the_run_does_not_spoil_it(recorded):
    states = [read_throttling(reading_of(recorded("jetson_orin_nano")))] * 3
    assert throttled_during(states) == ()
    assert throttled_during([pi("0x50000"), pi("0x50000")]) == ()


def test_a_count_that_rises_does():
    states = [Throttling(rising={"core throttle events": count}) for count in (7, 9, 8)]
    assert throttled_during(states) == ("core throttle events +2",)


def test_a_sticky_bit_that_appears_does():
    assert throttled_during([pi("0x10000"), pi("0x90000")]) == ()
    assert throttled_during([pi("0x10000"), pi("0x50000")]) == ("throttled",)


def test_a_limit_at_any_moment_does():
    assert throttled_during([pi("0x0"), pi("0x4"), pi("0x0")]) == ("throttled now",)


def test_a_counter_that_was_not_read_at_first_is_no_rise():
    assert throttled_during([Throttling(), Throttling(rising={"x": 5}), Throttling()]) == ()
    assert throttled_during([]) == ()
