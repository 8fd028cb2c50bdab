from dataclasses import replace

from edgekit.report.bench.timelines import SHOWN_POINTS, history, sustained
from edgekit.types.bench import Kind
from tests.report.bench.example import EMULATED, HERE, INT8, PI, TFLITE


def test_a_long_run_with_what_went_on_beside_it(report):
    (figure,) = sustained(report)
    assert figure.title == f"{TFLITE} on {PI}, xnnpack, 1 thread"
    assert figure.note == "From 3.12 ms to 4.10 ms after 900 s; hottest 84.5 °C."
    (run,) = figure.data["series"]
    assert len({len(run[name]) for name in ("seconds", "latency", "temperature", "clock", "power")}) == 1
    assert run["latency"][0] < 3.2 < 4 < run["latency"][-1]
    assert figure.table.rows[0][0] == "15 s"


def test_a_run_that_throttled_is_shown_though_its_measurement_is_invalid(report):
    marked = tuple(replace(found, invalid=("throttled",)) for found in report.measurements)
    assert len(list(sustained(replace(report, measurements=marked)))) == 1


def test_an_emulated_run_is_not(report):
    run = next(found.sustained for found in report.measurements if found.sustained)
    moved = tuple(
        replace(found, sustained=run if found.device == EMULATED else (), kind=Kind.WALL_NS)
        for found in report.measurements
    )
    assert list(sustained(replace(report, measurements=moved))) == []


def test_sensors_that_are_missing_are_missing(report):
    bare = tuple(
        replace(
            found,
            sustained=tuple(
                replace(point, temperature_c=None, frequency_mhz=None, power_w=None) for point in found.sustained
            ),
        )
        for found in report.measurements
    )
    (figure,) = sustained(replace(report, measurements=bare))
    assert figure.note == "From 3.12 ms to 4.10 ms after 900 s."
    assert set(figure.data["series"][0]["temperature"]) == {None}
    assert figure.table.rows[0][3:] == ("–", "–", "–")


def test_a_very_long_run_is_thinned(report):
    run = next(found.sustained for found in report.measurements if found.sustained)
    long = tuple(replace(found, sustained=run * 20 if found.sustained else ()) for found in report.measurements)
    (figure,) = sustained(replace(report, measurements=long))
    assert len(figure.data["series"][0]["seconds"]) == len(run) * 20 // 3 <= SHOWN_POINTS


def test_history_has_a_figure_per_device_of_one_unit(report):
    wall, count = list(history(report, Kind.WALL_NS)), list(history(report, Kind.INSTRUCTIONS))
    assert [figure.title.partition(":")[0] for figure in wall] == [HERE, PI]
    assert [figure.title.partition(":")[0] for figure in count] == [EMULATED]
    assert (wall[0].data["unit"], count[0].data["unit"]) == ("ms", "instructions")
    lines = {line["artifact"]: line for line in wall[0].data["series"]}
    assert (lines[0]["changes"], lines[1]["changes"], lines[2]["changes"]) == ([], [7], [11])
    assert len(wall[0].data["revisions"]) == len(lines[0]["values"]) == 16


def test_its_table_begins_with_the_newest(report):
    figure = next(history(report, Kind.WALL_NS))
    assert figure.table.rows[0][1] == "2026-11-17T14:05:00Z"
    column = figure.table.columns.index(f"{INT8}, cpu, 1 thread")
    assert figure.table.rows[16 - 1 - 7][column].endswith(", new level")


def test_revisions_that_lack_a_line_leave_a_gap(report):
    points = tuple(
        point for point in report.history if not (point.artifact == INT8 and point.at.startswith("2026-11-05"))
    )
    figure = next(history(replace(report, history=points), Kind.WALL_NS))
    line = next(line for line in figure.data["series"] if line["artifact"] == 1)
    assert line["values"][3] is None
    assert line["values"][4] is not None
