import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.bench.energy import measure_energy

RAPL = "/sys/class/powercap/intel-rapl:{}/{}"
RANGE = 100.0
"""Of the counters in these tests, joules."""


def rail(at_s, watts):
    folder = "/sys/class/hwmon/hwmon1"
    files = {"name": "ina3221", "in1_label": "VDD_IN", "in1_input": "5000", "curr1_input": str(round(watts * 200))}
    return {"event": "sensors", "at_s": at_s, "files": {f"{folder}/{name}": text for name, text in files.items()}}


def rapl(at_s, *joules, wraps=True):
    files = {}
    for zone, value in enumerate(joules):
        files[RAPL.format(zone, "name")] = f"package-{zone}\n"
        files[RAPL.format(zone, "energy_uj")] = f"{value * 1e6:.0f}\n"
        if wraps:
            files[RAPL.format(zone, "max_energy_range_uj")] = f"{RANGE * 1e6:.0f}\n"
    return {"at_s": at_s, "files": files, "commands": {}}


def test_trapezoids_of_power():
    assert measure_energy([rail(0, 2), rail(1, 4), rail(3, 6)]) == pytest.approx(3 + 10)


def test_power_of_a_part():
    events = [rail(0, 2), rail(2, 2), rail(4, 8)]
    assert measure_energy(events, begin_s=0.5, end_s=1.5) == pytest.approx(2)
    assert measure_energy(events, begin_s=2, end_s=4) == pytest.approx(10)


def test_what_is_not_covered_goes_on_at_the_mean():
    assert measure_energy([rail(1, 3), rail(2, 3)], begin_s=0.5, end_s=2.5) == pytest.approx(6)


@pytest.mark.parametrize(
    ("events", "begin", "end"),
    [
        ([], None, None),
        ([rail(0, 2)], None, None),
        ([rail(1, 2), rail(1, 2)], None, None),
        ([{"at_s": 0, "files": {}}, {"at_s": 1, "files": {}}], None, None),
        ([rail(0, 2), rail(1, 2)], 0, 4),
        ([rail(0, 2), rail(1, 2)], 5, 6),
        ([rail(0, 2), rail(1, 2)], 1, 0),
        ([rail("x", 2), rail(None, 2)], None, None),
    ],
)
def test_too_little_to_tell(events, begin, end):
    assert measure_energy(events, begin_s=begin, end_s=end) is None


def test_counters_are_added_and_go_before_power():
    first, last = rapl(0, 10, 20), rapl(2, 15, 24)
    first["files"] |= rail(0, 50)["files"]
    last["files"] |= rail(2, 50)["files"]
    assert measure_energy([first, last]) == pytest.approx(9)


def test_a_counter_wraps_around():
    assert measure_energy([rapl(0, 98), rapl(1, 3), rapl(2, 8)]) == pytest.approx(10)


def test_a_counter_that_falls_without_a_range_tells_nothing():
    assert measure_energy([rapl(0, 98, wraps=False), rapl(1, 3, wraps=False)]) is None


def test_only_counters_of_every_reading_count():
    assert measure_energy([rapl(0, 10, 20), rapl(1, 12)]) == pytest.approx(2)


def test_readings_are_put_in_order():
    assert measure_energy([rail(3, 6), rail(0, 2), rail(1, 4)]) == pytest.approx(13)


@given(st.lists(st.floats(0, RANGE - 1), min_size=1, max_size=20), st.floats(0, RANGE))
def test_wraps_do_not_change_the_sum(steps, start):
    total = start
    events = [rapl(0, start % RANGE)]
    for second, step in enumerate(steps, start=1):
        total += step
        events.append(rapl(second, total % RANGE))
    assert measure_energy(events) == pytest.approx(sum(steps), abs=1e-5 * len(events))
