import math
from dataclasses import replace

import numpy as np
import pytest

from edgekit.check.case import load_case
from edgekit.check.held_back import MIN_SAMPLES, PLAIN_SAMPLES, REFERENCE_SAMPLES, HeldBackWalk
from edgekit.check.subject import open_subject
from edgekit.errors import InputError
from edgekit.runtime.reference import ReferenceSession
from edgekit.types.plan import Plan
from edgekit.types.progress import Silent
from tests.check.conftest import SmallNet, make_graph, quantize_graph, write_files


def walk(net, *, budget=20.0, reference=5.0, samples=None, subjects=None):
    case = load_case(list(net.files.values()), net.quantized)
    plain = open_subject(net.files["onnx-int8"], net.quantized, optimize=False)
    meters = HeldBackWalk(case.exact, subjects or case.subjects, plain=plain, reference=ReferenceSession(net.quantized))
    with Silent().stage("walk") as stage:
        return meters.walk(
            net.samples if samples is None else samples,
            budget_seconds=budget,
            reference_seconds=reference,
            stage=stage,
        )


def test_every_file_is_compared_on_every_sample(small_net):
    outcome = walk(small_net)
    assert outcome.samples == small_net.samples.count == 24
    assert set(outcome.signals) == {"onnx-int8", "onnx-x86", "onnx-qop", "tflite-int8"}
    assert outcome.signals["onnx-int8"].samples == 24
    assert outcome.signals["onnx-qop"].samples == PLAIN_SAMPLES
    assert outcome.references["tflite-int8"].samples == REFERENCE_SAMPLES
    assert len(outcome.pairs) == 6
    assert all(gap.max_lsb <= 1 for gap in (*outcome.pairs, *outcome.references.values()))


def test_sqnr_is_that_of_all_samples_together(small_net):
    case = load_case(list(small_net.files.values()), small_net.quantized)
    exact, measured = [], []
    for sample in small_net.samples:
        exact.append(case.exact.run(sample)["scores"])
        measured.append(case.subjects["onnx-int8"].run(sample)["scores"])
    exact, measured = np.array(exact, np.float64), np.array(measured, np.float64)
    expected = 10 * math.log10((exact**2).sum() / ((exact - measured) ** 2).sum())
    signal = walk(small_net).signals["onnx-int8"]
    assert signal.sqnr_db == pytest.approx(expected, abs=1e-3)
    assert signal.top1_agreement.estimate == np.mean(exact.argmax(-1) == measured.argmax(-1))


def test_a_spent_budget_still_runs_the_minimum(small_net):
    outcome = walk(small_net, budget=0.0, reference=0.0)
    assert outcome.samples == MIN_SAMPLES
    assert outcome.references == {}


def test_wrong_integers_show_against_the_reference_and_the_plain_file(small_net, rewrite):
    weights = {**small_net.quantized.integers, "w3": -small_net.quantized.integers["w3"]}
    _, files = rewrite(small_net.quantized, formats=("onnx-x86",), integers=weights)
    subject = open_subject(files["onnx-x86"], small_net.quantized)
    outcome = walk(small_net, subjects={"onnx-x86": subject})
    kernel = outcome.kernels["onnx-x86"]
    assert kernel.plain_db > 30 > 5 > kernel.runtime_db
    assert outcome.references["onnx-x86"].max_lsb > 50


@pytest.fixture
def float_result_net(small_net, tmp_path):
    quantized = quantize_graph(make_graph(), small_net.samples, Plan(float_results=frozenset({"n7"})))
    assert "scores" not in quantized.qparams
    return SmallNet(quantized, small_net.samples, write_files(quantized, tmp_path))


def test_unrounded_results_are_compared_in_steps_that_int8_would_have(float_result_net):
    outcome = walk(float_result_net)
    assert len(outcome.pairs) == 6
    assert all(gap.max_lsb <= 2 for gap in (*outcome.pairs, *outcome.references.values()))
    assert all(gap.elements == 5 * gap.samples for gap in outcome.pairs)


def test_wrong_integers_behind_an_unrounded_result_show(float_result_net, rewrite):
    quantized = float_result_net.quantized
    weights = {**quantized.integers, "w3": -quantized.integers["w3"]}
    _, files = rewrite(quantized, formats=("onnx-x86",), integers=weights)
    outcome = walk(float_result_net, subjects={"onnx-x86": open_subject(files["onnx-x86"], quantized)})
    assert outcome.references["onnx-x86"].max_lsb > 50


def test_a_file_that_stops_running_is_dropped_with_its_message(small_net):
    class Failing:
        def __init__(self, session):
            self.inputs, self.outputs, self._left, self._session = session.inputs, session.outputs, 2, session

        def run(self, feeds):
            self._left -= 1
            assert self._left >= -1, "asked again after it failed"
            if self._left < 0:
                raise InputError("the runtime gave up")
            return self._session.run(feeds)

    good = open_subject(small_net.files["onnx-int8"], small_net.quantized)
    bad = open_subject(small_net.files["onnx-x86"], small_net.quantized)
    outcome = walk(small_net, subjects={"onnx-int8": good, "onnx-x86": replace(bad, session=Failing(bad.session))})
    assert outcome.errors == {"onnx-x86": "the runtime gave up"}
    assert set(outcome.signals) == {"onnx-int8"}
    assert outcome.signals["onnx-int8"].samples == 24
    assert outcome.pairs == ()


def test_samples_of_the_wrong_shape_are_the_callers_error(small_net):
    with pytest.raises(InputError):
        walk(small_net, samples=[{"image": np.zeros((1, 3, 5, 7, 1), np.float32)}])
