from dataclasses import replace

from edgekit.report.bench.quoting import (
    EMULATED,
    is_emulated,
    overlap,
    quotable,
    quotable_history,
    reasons_against,
    refused,
)
from edgekit.types.bench import Kind
from edgekit.types.interval import Interval
from tests.report.bench.example import EMULATED as MACHINE
from tests.report.bench.example import HERE, INT8, PHONE, PI


def test_invalid_measurements_are_refused(report):
    assert [(found.artifact, found.device) for found in refused(report)] == [
        (INT8, PI),
        ("resnet8.fp32.onnx", PHONE),
    ]
    assert len(list(quotable(report))) == len(report.measurements) - 2


def test_emulated_wall_time_is_refused_even_when_nobody_marked_it(report):
    count = next(found for found in report.measurements if found.device == MACHINE)
    assert reasons_against(report, count) == ()
    assert reasons_against(report, replace(count, kind=Kind.WALL_NS)) == (EMULATED,)


def test_an_emulator_is_known_by_its_address_too(report):
    devices = tuple(
        replace(device, before=None, after=None) if device.name == MACHINE else device for device in report.devices
    )
    bare = replace(report, devices=devices)
    assert is_emulated(bare, MACHINE)
    assert not is_emulated(bare, HERE)


def test_what_was_not_measured_or_is_no_number_has_a_reason(report):
    found = report.measurements[0]
    assert reasons_against(report, replace(found, summary=None)) == ("nothing was measured",)
    endless = replace(found.summary, median=Interval(1.0, 0.5, float("inf")))
    assert reasons_against(report, replace(found, summary=endless)) == ("its median is no finite number",)


def test_history_of_emulated_wall_time_and_of_strangers_is_left_out(report):
    assert len(quotable_history(report)) == len(report.history)
    forged = tuple(replace(point, kind=Kind.WALL_NS) for point in report.history if point.device == MACHINE)
    gone = tuple(replace(point, artifact="gone.onnx") for point in report.history if point.device == PI)
    assert quotable_history(replace(report, history=forged + gone)) == ()


def test_intervals_that_touch_overlap():
    assert overlap(Interval(1, 0.5, 1.5), Interval(2, 1.5, 3))
    assert not overlap(Interval(1, 0.5, 1.4), Interval(2, 1.5, 3))
