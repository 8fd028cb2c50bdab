import json
from dataclasses import replace

import pytest
from hypothesis import given

from edgekit.report.bench.github_action import render_github_action
from edgekit.types.bench import Kind
from tests.report.bench.example import EMULATED, FLOAT, HERE, INT8, PI
from tests.report.bench.strategies import reports

TYPES = {"name": str, "unit": str, "value": (int, float), "range": str, "extra": str}
"""What the action reads; name, unit and value it must find."""


def entries(report):
    found = json.loads(render_github_action(report))
    for entry in found:
        assert {"name", "unit", "value"} <= entry.keys() <= TYPES.keys()
        assert all(isinstance(value, TYPES[key]) for key, value in entry.items())
    return {entry["name"]: entry for entry in found}


def test_an_entry_per_valid_measurement_and_file(report):
    found = entries(report)
    assert len(found) == 14 + 3
    wall = found[f"{INT8} on {PI} (cpu, 1 thread), wall time"]
    median = next(
        one.summary.median for one in report.measurements if (one.device, one.artifact, one.threads) == (PI, INT8, 1)
    )
    assert (wall["unit"], wall["value"]) == ("ms", pytest.approx(median.estimate / 1e6, rel=1e-5))
    assert [float(end) for end in wall["range"].split(" to ")] == pytest.approx(
        [median.low / 1e6, median.high / 1e6], rel=1e-5
    )
    assert wall["extra"].splitlines()[0] == "1000 samples in 5 processes"
    count = found[f"{FLOAT} on {EMULATED} (cpu, 1 thread), instructions"]
    exact = next(one.summary.median for one in report.measurements if one.device == EMULATED)
    assert (count["unit"], count["value"]) == ("instructions", round(exact.estimate))
    assert count["range"] == f"{round(exact.low)} to {round(exact.high)}"
    assert found[f"{INT8}, size"] == {
        "name": f"{INT8}, size",
        "unit": "B",
        "value": 96_305,
        "extra": report.artifact(INT8).digest,
    }


def test_invalid_and_emulated_ones_are_left_out(report):
    names = entries(report)
    assert f"{INT8} on {PI} (cpu, 4 threads), wall time" not in names
    marked = tuple(
        replace(found, kind=Kind.WALL_NS) if found.device == EMULATED else found for found in report.measurements
    )
    assert not [name for name in entries(replace(report, measurements=marked)) if EMULATED in name]


def test_names_are_the_same_from_run_to_run(report):
    later = tuple(
        replace(found, processes=found.processes[:1]) if found.device == HERE else found
        for found in report.measurements
    )
    assert entries(report).keys() == entries(replace(report, measurements=later, started="2027")).keys()


@given(reports())
def test_law_every_benchmark_can_be_told(report):
    json.loads(render_github_action(report))
