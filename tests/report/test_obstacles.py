from dataclasses import replace

import pytest

from edgekit.report.obstacles import describe_cost, explain_missed, worst
from edgekit.types.finding import Finding, Severity
from edgekit.types.ladder import Judgement

INF = float("inf")


def missed(limit):
    return Judgement(limit, "onnx-int8", 1.0, 2.0, False)


@pytest.fixture
def layer(report):
    return report.check.layers[0]


def test_nothing_is_in_the_way_of_a_budget_that_is_kept(report, report_with, judgements):
    assert explain_missed(report) == ()
    assert explain_missed(report_with(judgements=judgements[:1])) == ()


def test_the_layers_in_the_way_are_named_with_cause_and_price(report_with, layer, ladder):
    quiet = replace(layer, label="quiet", output_share=0.0)
    loud = replace(layer, label="loud", output_share=0.6, float_ms=0.4, float_bytes=120_000, causes=("too narrow",))
    report = report_with(judgements=(missed("min_sqnr"),), check={"layers": (quiet, layer, loud)}, ladder=ladder)
    first, further, training = explain_missed(report)
    assert first == (
        "In the way is loud, where 60.0 % of the output's noise comes from; float there costs +400 µs, +120.0 kB: "
        "too narrow."
    )
    assert further == "Effort 'thorough' climbs further."
    assert "QAT" in training


def test_without_a_scan_only_layers_with_noise_of_their_own_are_named(report_with, layer):
    passing = replace(layer, label="passing", sqnr_db=12.0, input_sqnr_db=12.1)
    own = replace(layer, label="own", sqnr_db=13.0, input_sqnr_db=INF, causes=())
    report = report_with(judgements=(missed("max_drop"),), check={"layers": (passing, own)})
    assert explain_missed(report)[0] == "In the way is own, which holds 13.0 dB."
    assert not any("passing" in sentence for sentence in explain_missed(report))


def test_limits_on_size_and_time_that_leave_no_room_are_said(report_with):
    report = report_with(judgements=(missed("min_agreement"), replace(missed("max_size"), met=True)))
    assert "A wider max_size would make room for more layers in float." in explain_missed(report)


@pytest.mark.parametrize(("limit", "words"), [("max_size", "int4 weights"), ("max_latency_ratio", "pruned")])
def test_what_helps_against_size_and_time(report_with, limit, words):
    (sentence,) = explain_missed(report_with(judgements=(missed(limit),)))
    assert words in sentence
    assert "1 nodes" not in sentence


def test_kernels_that_saturate_come_before_any_layer(report_with):
    found = Finding("saturation", "it saturates", Severity.WARNING, where="model.x86.int8.onnx")
    report = report_with(judgements=(missed("min_sqnr"),), check={"findings": (found,)})
    assert explain_missed(report)[0].startswith("In the way of model.x86.int8.onnx are this CPU's kernels")


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"weight_bits": 4}, "int8 weights hold more"), ({"backend": "onnxruntime"}, "'onnxruntime' decided")],
)
def test_what_other_settings_would_do(report_with, ladder, settings, words):
    sentences = explain_missed(report_with(judgements=(missed("min_sqnr"),), recipe={"quantize": settings}))
    assert words in " ".join(sentences).replace(" (quantize.weight_bits = 8)", "")


def test_a_climb_that_ended_on_time_asks_for_more_of_it(report_with, ladder):
    short = replace(ladder, stopped="the time budget ended before 'mixed-precision'")
    sentences = explain_missed(report_with(judgements=(missed("min_sqnr"),), ladder=short))
    assert "A longer time budget lets it look at the rungs that are left." in sentences
    assert not any(
        "time budget" in s for s in explain_missed(report_with(judgements=(missed("min_sqnr"),), ladder=ladder))
    )


def test_the_scan_decides_which_layers_are_worst(layer):
    layers = [replace(layer, label=str(index), output_share=share) for index, share in enumerate((0.1, 0.5, 0.3))]
    assert [found.label for found in worst(layers, 2)] == ["1", "2"]
    assert worst([layer] * 3, 2) == (layer, layer)


def test_costs(layer):
    assert describe_cost(layer) == ""
    assert describe_cost(replace(layer, float_ms=-0.2)) == "-200 µs"
    assert describe_cost(replace(layer, float_bytes=512)) == "+512 B"
