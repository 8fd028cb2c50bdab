import itertools

import numpy as np

from edgekit.check.differences import first_difference
from edgekit.check.evidence import Bound
from edgekit.check.taps import tap_int8
from edgekit.types.report import LsbGap


def open_tap(quantized, files, format):
    return lambda names: tap_int8(files[format].path, quantized, names)


def test_files_of_one_graph_agree(small_net):
    first, second = (open_tap(small_net.quantized, small_net.files, name) for name in ("onnx-int8", "onnx-x86"))
    samples = list(itertools.islice(small_net.samples, 2))
    assert first_difference(first, second, small_net.quantized, samples, bound=Bound()) == ""


def test_a_wrong_weight_is_found_where_it_is(small_net, rewrite):
    weights = small_net.quantized.integers["w2"].copy()
    weights[3] = -weights[3]
    _, files = rewrite(
        small_net.quantized, formats=("onnx-int8",), integers={**small_net.quantized.integers, "w2": weights}
    )
    first = open_tap(small_net.quantized, small_net.files, "onnx-int8")
    second = open_tap(small_net.quantized, files, "onnx-int8")
    samples = list(itertools.islice(small_net.samples, 2))
    where = first_difference(first, second, small_net.quantized, samples, bound=Bound())
    assert where.startswith("block.depthwise (Conv): up to")
    assert np.abs(small_net.quantized.integers["w2"] - weights).any()


def test_bound_is_inclusive():
    bound = Bound(max_lsb=2, share_within_one=0.9)
    assert bound.holds(LsbGap("a", "b", 2, 0.9, 10, 1))
    assert not bound.holds(LsbGap("a", "b", 3, 0.9, 10, 1))
    assert not bound.holds(LsbGap("a", "b", 2, 0.89, 10, 1))
