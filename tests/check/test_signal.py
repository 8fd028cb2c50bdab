import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.check.signal import (
    LsbMeter,
    SignalMeter,
    SqnrMeter,
    find_logits,
    to_integers,
    to_reals,
    to_stored,
)
from edgekit.types.qparams import QParams
from edgekit.types.spec import TensorSpec


def sqnr(exact, measured):
    meter = SqnrMeter()
    meter.add(np.asarray(exact), np.asarray(measured))
    return meter.db


def test_noise_a_tenth_of_the_signal_is_20_db():
    signal = np.array([3.0, -4.0, 12.0])
    assert sqnr(signal, signal * 1.1) == pytest.approx(20.0)


def test_uniform_rounding_noise_is_6_db_a_bit():
    # A full-scale uniform signal in b bits has SQNR 6.02 b dB (Bennett 1948).
    random = np.random.default_rng(0)
    signal = random.uniform(-1, 1, 200_000)
    step = 2 / 256
    assert sqnr(signal, np.rint(signal / step) * step) == pytest.approx(6.02 * 8, abs=0.1)


@given(parts=st.integers(1, 6), seed=st.integers(0, 2**20))
@settings(max_examples=25, deadline=None)
def test_meter_does_not_depend_on_how_samples_are_cut(parts, seed):
    random = np.random.default_rng(seed)
    exact, measured = random.normal(size=(2, 60))
    meter = SqnrMeter()
    for first, second in zip(np.array_split(exact, parts), np.array_split(measured, parts), strict=True):
        meter.add(first, second)
    assert meter.db == pytest.approx(sqnr(exact, measured), rel=1e-12)


@pytest.mark.parametrize(
    ("exact", "measured", "expected"), [([1.0], [1.0], math.inf), ([0.0], [1.0], -math.inf), ([0.0], [0.0], math.inf)]
)
def test_ends_of_the_scale(exact, measured, expected):
    assert sqnr(exact, measured) == expected


def test_a_nan_is_not_hidden():
    assert math.isnan(sqnr([1.0, 2.0], [1.0, math.nan]))


def test_lsb_gap_counts_every_element():
    meter = LsbMeter("onnx-int8", "tflite-int8")
    meter.add({"y": np.array([0, 5, -128], np.int8)}, {"y": np.array([1, 5, 127], np.int8)})
    meter.add({"y": np.array([3, 3, 3], np.int8)}, {"y": np.array([3, 2, 1], np.int8)})
    gap = meter.result()
    assert (gap.max_lsb, gap.share_within_one, gap.elements, gap.samples) == (255, 4 / 6, 6, 2)


def test_nothing_in_common_is_no_gap():
    meter = LsbMeter("a", "b")
    meter.add({"y": np.zeros(3, np.int8)}, {"z": np.zeros(3, np.int8)})
    assert meter.result() is None


def test_signal_reports_each_output_and_all_together():
    specs = (TensorSpec("scores", (1, 3)), TensorSpec("box", (1, 4, 2)), TensorSpec("index", (1, 2), "int64"))
    meter = SignalMeter(specs)
    exact = {"scores": np.array([[0.1, 0.9, 0.2]]), "box": np.ones((1, 4, 2)), "index": np.array([[1, 2]])}
    near = {"scores": np.array([[0.1, 0.8, 0.2]]), "box": np.full((1, 4, 2), 0.9), "index": np.array([[1, 3]])}
    flipped = {**near, "scores": np.array([[1.0, 0.8, 0.2]])}
    meter.add(exact, near)
    meter.add(exact, flipped)
    signal = meter.result()
    assert signal.samples == 2
    assert signal.top1_agreement.estimate == 0.5
    outputs = {output.output: output for output in signal.outputs}
    assert outputs["box"].sqnr_db == pytest.approx(20.0)
    assert (outputs["index"].sqnr_db, outputs["index"].equal_share) == (None, 0.5)
    noise = 0.01 + 0.81 + 0.01 + 16 * 0.01
    assert signal.sqnr_db == pytest.approx(10 * math.log10((2 * 0.86 + 16) / noise))


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        (TensorSpec("y", (1, 10)), "y"),
        (TensorSpec("y", (1, 1)), ""),
        (TensorSpec("y", (1, 10, 10)), ""),
        (TensorSpec("y", (1, 10), "int64"), ""),
    ],
)
def test_logits_are_rank_2_floats_with_classes(spec, name):
    found, reason = find_logits([spec])
    assert found == name
    assert bool(reason) == (not name)


def test_no_sample_no_signal():
    assert SignalMeter((TensorSpec("y", (1, 2)),)).result() is None


@given(zero=st.integers(-128, 127), scale=st.floats(1e-4, 10), seed=st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_integers_survive_the_border(zero, scale, seed):
    params = QParams(np.asarray(scale), np.asarray(zero))
    integers = np.random.default_rng(seed).integers(-128, 128, (1, 50)).astype(np.int8)
    unsigned = TensorSpec("y", (1, 50), "uint8", scale=float(params.scale), zero_point=zero + 128)
    reals = to_reals((integers.astype(np.int16) + 128).astype(np.uint8), unsigned)
    assert np.array_equal(to_integers(reals, params), integers)
    assert np.array_equal(to_stored(params.dequantize(integers), unsigned), integers.astype(np.int16) + 128)


def test_plain_arrays_pass_the_border_unchanged():
    spec = TensorSpec("y", (1, 2), "int64")
    array = np.array([[1, 2]])
    assert to_reals(array, spec) is array
    assert to_stored(array, spec) is array
