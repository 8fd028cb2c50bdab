from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.report.bench.charts import (
    QUANTILES,
    SHOWN_OPERATORS,
    distributions,
    front_of,
    gather,
    operators,
    outputs,
    thin,
    trade_off,
)
from edgekit.report.bench.figure import Index
from edgekit.report.bench.quoting import quotable
from edgekit.types.bench import Kind, OperatorCost
from edgekit.types.interval import Interval
from tests.report.bench.example import EMULATED, FLOAT, HERE, INT8, PI, TFLITE, make_report


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=1500))
def test_law_thinning_keeps_order_and_ends(samples):
    found = thin(np.array(samples, dtype=float))
    assert len(found) == min(len(samples), QUANTILES)
    assert found == sorted(found)
    assert (found[0], found[-1]) == (min(samples), max(samples))


def test_a_distribution_per_device_of_one_unit(report):
    wall = list(distributions(report, Kind.WALL_NS))
    assert [figure.title.partition(":")[0] for figure in wall] == [HERE, PI]
    assert {figure.data["unit"] for figure in wall} == {"ms"}
    assert len(wall[0].data["series"]) == 6
    assert len(wall[1].data["series"]) == 5
    (count,) = distributions(report, Kind.INSTRUCTIONS)
    assert count.data["unit"] == "instructions"
    assert {line["device"] for line in count.data["series"]} == {2}
    quantiles = count.data["series"][0]["quantiles"]
    assert len(quantiles) == QUANTILES
    assert min(quantiles) > 1e7


def test_its_table_says_the_same(report):
    figure = next(distributions(report, Kind.WALL_NS))
    assert figure.table.columns == (
        "artifact", "configuration", "smallest", "p10", "p25", "p50", "p75", "p90", "p99", "largest",
    )  # fmt: skip
    assert figure.table.rows[0][0] == FLOAT
    assert figure.table.rows[0][5].endswith(" ms")
    assert len(figure.table.rows) == len(figure.data["series"])


def test_emulated_wall_time_is_in_no_figure(report):
    marked = tuple(
        replace(found, kind=Kind.WALL_NS) if found.device == EMULATED else found for found in report.measurements
    )
    forged = replace(report, measurements=marked)
    assert [figure.title.partition(":")[0] for figure in distributions(forged, Kind.WALL_NS)] == [HERE, PI]
    (figure,) = trade_off(forged, Kind.WALL_NS)
    assert {point["device"] for point in figure.data["points"]} == {0, 1}


def test_trade_off_has_a_point_per_valid_measurement(report):
    (figure,) = trade_off(report, Kind.WALL_NS)
    assert len(figure.data["points"]) == 11
    assert figure.data["upright"] == "top-1"
    assert {row[-1] for row in figure.table.rows} == {"yes", "no"}


def test_one_artifact_is_no_trade_off(report):
    alone = tuple(found for found in report.measurements if found.artifact == INT8)
    assert list(trade_off(replace(report, measurements=alone), Kind.WALL_NS)) == []


def test_without_quality_the_size_takes_its_axis(report):
    blind = replace(report, artifacts=tuple(replace(one, quality=None) for one in report.artifacts))
    (figure,) = trade_off(blind, Kind.WALL_NS)
    assert figure.data["upright"] == "size"
    assert {point["quality"] for point in figure.data["points"]} == {None}
    assert figure.title == "Size against wall time"


def test_the_front_is_what_nothing_beats(report):
    found = list(quotable(report, Kind.WALL_NS))
    front = {(one.artifact, one.device, one.threads) for one in front_of(report, found)}
    assert front == {
        (FLOAT, HERE, 1), (INT8, HERE, 1), (FLOAT, HERE, 4), (INT8, HERE, 4),
        (FLOAT, PI, 1), (INT8, PI, 1), (TFLITE, PI, 1), (FLOAT, PI, 4), (TFLITE, PI, 4),
    }  # fmt: skip


@given(
    st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4), st.sampled_from([0.5, 0.6, 0.7])), min_size=1, max_size=5)
)
def test_law_the_front_against_its_definition(aims):
    """Each pair that is not on the front is beaten by one that is, and none on it is beaten at all."""
    report = make_report()
    artifacts = tuple(
        replace(report.artifacts[0], name=str(number), size_bytes=size, quality=quality)
        for number, (_, size, quality) in enumerate(aims)
    )
    base = report.measurements[0]
    measurements = tuple(
        replace(base, artifact=str(number), summary=replace(base.summary, median=Interval(cost, cost, cost)))
        for number, (cost, _, _) in enumerate(aims)
    )
    small = replace(report, artifacts=artifacts, measurements=measurements)
    front = {int(one.artifact) for one in front_of(small, quotable(small))}

    def beats(a, b):
        better = (aims[a][0] <= aims[b][0], aims[a][1] <= aims[b][1], aims[a][2] >= aims[b][2])
        return all(better) and aims[a] != aims[b]

    for one in range(len(aims)):
        assert (one in front) == (not any(beats(other, one) for other in range(len(aims))))


def test_operators_are_added_up_by_module_and_by_type():
    costs = (
        OperatorCost("a", "Conv", "stem", 5.0, 0.5),
        OperatorCost("b", "Relu", "stem", 1.0, 0.1),
        OperatorCost("c", "Conv", "head", 3.0, 0.3),
        OperatorCost("d", "Cast", "", 1.0, 0.1),
    )
    assert gather(costs, by_module=True) == [
        ("stem", 6.0, pytest.approx(0.6)),
        ("head", 3.0, 0.3),
        ("(Cast)", 1.0, 0.1),
    ]
    assert [name for name, _, _ in gather(costs, by_module=False)] == ["Conv", "Cast", "Relu"]


def test_many_operators_end_in_a_rest():
    costs = [OperatorCost(str(n), "Conv", f"layer{n}", 100.0 - n, 0.01) for n in range(SHOWN_OPERATORS + 3)]
    *_, last = gather(costs, by_module=True)
    assert last == (
        "3 others",
        sum(100.0 - n for n in range(SHOWN_OPERATORS, SHOWN_OPERATORS + 3)),
        pytest.approx(0.03),
    )


def test_operators_of_every_profiled_measurement_can_be_chosen(report):
    (figure,) = operators(report)
    choices = figure.data["choices"]
    assert len(choices) == 6
    means = [mean for _, mean, _ in choices[0]["modules"]]
    assert means == sorted(means, reverse=True)
    assert list(operators(replace(report, measurements=()))) == []


def test_outputs_show_only_what_differs(report):
    (figure,) = outputs(report)
    assert figure.data["steps"] == [-2, -1, 0, 1, 2]
    assert [(line["artifact"], line["device"]) for line in figure.data["series"]] == [(1, 1), (1, 2)]
    assert figure.table.rows[0] == (INT8, PI, "3", "141", "1,127", "167", "2")
    equal = tuple(replace(check, equal=True) for check in report.outputs)
    assert list(outputs(replace(report, outputs=equal))) == []


def test_dashes_count_the_configurations_of_an_artifact(report):
    index = Index.of(report)
    assert index.series(TFLITE, HERE, "xnnpack, 1 thread")["dash"] == 0
    assert index.series(TFLITE, HERE, "xnnpack, 4 threads")["dash"] == 1
    assert index.series(FLOAT, PI, "cpu, 4 threads") == {
        "artifact": 0,
        "device": 1,
        "configuration": "cpu, 4 threads",
        "dash": 1,
    }
