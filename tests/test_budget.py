import dataclasses
from pathlib import Path

import numpy as np
import pytest

from edgekit.budget import format_of, judge, refuse_contradictions, refuse_unmeasurable
from edgekit.check.accuracy import Task
from edgekit.errors import BudgetError, RecipeError
from edgekit.types.artifact import Artifact
from edgekit.types.graph import Graph, Value
from edgekit.types.interval import Interval
from edgekit.types.recipe import BudgetSettings, Recipe
from edgekit.types.report import Accuracy, ArtifactCheck, CheckReport, Latency, Machine, Signal
from edgekit.types.result import CompressResult
from edgekit.types.sample_set import SampleSet

X86 = Machine("a cpu", ("avx2",), 2, "Linux x86_64", {})
ARM = dataclasses.replace(X86, system="Linux aarch64")


def graph(shape=(1, 10), dtype="float32"):
    return Graph("net", ("x",), ("y",), (), {"x": Value("x", (1, 3)), "y": Value("y", shape, dtype)}, {})


def entry(format, *, sqnr=20.0, agreed=1.0, drop=None, size=1000, ratio=None):
    signal = Signal(50, sqnr, (), Interval(agreed, agreed - 0.05, 1.0))
    accuracy = drop is not None and Accuracy(
        200, 0.8, 0.8 - drop / 100, Interval(-drop / 100, -drop / 100 - 0.02, 0.0), 3, 1
    )
    latency = ratio and Latency(1.0, 2.0, Interval(ratio, ratio - 0.05, ratio + 0.05), "onnx-fp32", 40, 1)
    return ArtifactCheck(
        Artifact(Path("f"), format, size, "", (), ()), 0.3, signal=signal, accuracy=accuracy or None, latency=latency
    )


def check(*entries, machine=X86):
    return CheckReport(machine, 50, "noise", (entry("onnx-fp32"), *entries))


@pytest.mark.parametrize(
    ("fields", "labelled", "said"),
    [
        ({"budget.max_drop": 0.5}, False, "no labelled data"),
        ({"evaluation.metric": "m.py:f"}, False, "without data"),
        ({"budget.max_latency_ratio": 0.7, "quantize.weight_only": True}, True, "contradicts quantize.weight_only"),
        ({"budget.max_latency_ratio": 0.7, "quantize.weight_bits": 4}, True, "contradicts quantize.weight_bits"),
        ({"quantize.backend": "onnxruntime", "quantize.weight_bits": 4}, True, "contradicts quantize.backend"),
        ({"quantize.backend": "onnxruntime", "emit.targets": ["arm"]}, True, "contradicts quantize.backend"),
        ({"quantize.weight_only": True, "emit.targets": ["arm", "host"]}, True, "arm, host contradicts quantize.weig"),
        ({"quantize.backend": "onnxruntime", "quantize.weight_only": True}, True, "contradicts quantize.backend"),
    ],
)
def test_settings_that_exclude_one_another_stop_the_run(fields, labelled, said):
    with pytest.raises(RecipeError, match=said):
        refuse_contradictions(Recipe().with_fields(fields), labelled=labelled)
    refuse_contradictions(Recipe(), labelled=labelled)


@pytest.mark.parametrize(
    ("limits", "net", "labels", "said"),
    [
        ({"min_sqnr": 20.0}, graph(dtype="int64"), None, "needs a float output"),
        ({"min_agreement": 0.9}, graph((1, 4, 8, 8)), None, "compares classes"),
        ({"max_drop": 0.5}, graph(), np.array([3, 700]), "1 of the 2 labels"),
        ({"max_drop": 0.5}, graph(), None, "has no labels"),
    ],
)
def test_limits_on_what_cannot_be_told_stop_the_run(limits, net, labels, said):
    task = Task(SampleSet(np.arange(2), lambda position: {}, "photos", classes=labels))
    with pytest.raises(RecipeError, match=said):
        refuse_unmeasurable(BudgetSettings(**limits), net, task)
    refuse_unmeasurable(BudgetSettings(), net, task)


def test_a_metric_of_the_users_needs_no_classes():
    task = Task(SampleSet(np.arange(2), lambda position: {}, "photos"), lambda outputs, label: 1.0, "m.py:f")
    refuse_unmeasurable(BudgetSettings(max_drop=0.5), graph((1, 4, 8, 8)), task)


def test_every_shipped_file_is_judged_and_the_one_for_audits_is_not():
    found = judge(
        BudgetSettings(min_sqnr=21.0), check(entry("onnx-x86", sqnr=22.0), entry("onnx-qop"), entry("tflite-int8"))
    )
    assert [(one.format, one.measured, one.met) for one in found] == [
        ("onnx-x86", 22.0, True),
        ("tflite-int8", 20.0, False),
    ]


def test_latency_is_judged_on_the_file_for_this_cpu():
    files = (entry("onnx-int8", ratio=1.2), entry("onnx-x86", ratio=0.6))
    (here,) = judge(BudgetSettings(max_latency_ratio=0.7), check(*files))
    (there,) = judge(BudgetSettings(max_latency_ratio=0.7), check(*files, machine=ARM))
    assert (here.format, here.met, here.note) == ("onnx-x86", True, "")
    assert (there.format, there.met) == ("onnx-int8", False)
    assert format_of(ARM) == "onnx-int8"


def test_a_limit_within_the_interval_is_kept_and_called_unproved():
    file = entry("onnx-x86", agreed=0.99, drop=0.4, ratio=0.68)
    found = judge(BudgetSettings(max_drop=0.5, min_agreement=0.98, max_latency_ratio=0.7), check(file))
    assert all(one.met for one in found)
    assert all("not proved" in one.note for one in found)


def test_nothing_lost_has_no_minus_and_notes_speak_in_the_unit_of_the_limit():
    file = entry("onnx-x86", agreed=0.99, drop=0.0)
    drop, agreement = judge(BudgetSettings(max_drop=0.5, min_agreement=0.98), check(file))
    assert str(drop.measured) == "0.0"
    assert " %" in agreement.note


def test_what_was_not_measured_is_not_kept():
    file = dataclasses.replace(entry("onnx-x86"), signal=None, error="does not load")
    found = judge(BudgetSettings(max_drop=1.0, min_sqnr=1.0, min_agreement=0.1, max_latency_ratio=2.0), check(file))
    assert [one.met for one in found] == [False] * 4


def test_a_missed_budget_is_an_error_with_file_limit_and_measurement(tmp_path):
    judgements = judge(BudgetSettings(min_sqnr=24.0, max_size="900 B"), check(entry("onnx-x86", sqnr=22.83)))

    class Missing:
        missed = judgements

    result = CompressResult(tmp_path, {}, Missing(), None)
    with pytest.raises(BudgetError, match=r"min_sqnr 24 dB, measured 22.83 dB in onnx-x86; max_size 900 B") as caught:
        result.raise_for_budget()
    assert caught.value.exit_code == 4
