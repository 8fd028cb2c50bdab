import itertools

import numpy as np
import pytest

from edgekit.check.differences import first_wrong_node, measure_node
from edgekit.check.evidence import Bound
from edgekit.check.taps import tap_int8, tap_tflite
from edgekit.types.report import LsbGap


def sample_of(net):
    return next(iter(net.samples))


def opener(quantized, artifact):
    if artifact.is_tflite:
        return lambda names: tap_tflite(artifact.path, quantized, names)
    return lambda names: tap_int8(artifact.path, quantized, names, optimize=True)


@pytest.mark.parametrize("format", ["onnx-int8", "onnx-x86", "tflite-int8"])
def test_no_node_of_a_right_file_is_blamed(small_net, format):
    open_tap = opener(small_net.quantized, small_net.files[format])
    for sample in itertools.islice(small_net.samples, 3):
        assert first_wrong_node(open_tap, small_net.quantized, sample) == ""


@pytest.mark.parametrize("format", ["onnx-int8", "tflite-int8"])
def test_a_wrong_weight_is_found_where_it_is(small_net, rewrite, format):
    weights = small_net.quantized.integers["w2"].copy()
    weights[3] = -weights[3]
    integers = {**small_net.quantized.integers, "w2": weights}
    _, files = rewrite(small_net.quantized, formats=(format,), integers=integers)
    where = first_wrong_node(opener(small_net.quantized, files[format]), small_net.quantized, sample_of(small_net))
    assert where.startswith("block.depthwise (Conv): up to")


def test_later_nodes_are_not_blamed_for_earlier_ones(small_net, rewrite):
    """Each node is computed anew from what the runtime fed it: wrong inputs are not its fault."""
    integers = {**small_net.quantized.integers, "w1": -small_net.quantized.integers["w1"]}
    _, files = rewrite(small_net.quantized, formats=("onnx-int8",), integers=integers)
    nodes = {node.label: node for node in small_net.quantized.graph.nodes}
    names = list(small_net.quantized.graph.values)
    values = tap_int8(files["onnx-int8"].path, small_net.quantized, names)(sample_of(small_net))
    wrong = {label: int(measure_node(node, small_net.quantized, values).max()) for label, node in nodes.items()}
    assert wrong.pop("stem.conv (Conv)") > 20
    assert max(wrong.values()) <= 1


def test_nodes_without_taps_or_without_integers_are_skipped(island_net):
    quantized = island_net.quantized
    node = quantized.graph.nodes[0]
    assert measure_node(node, quantized, {"image": sample_of(island_net)["image"]}) is None


def test_islands_are_judged_on_floats(island_net):
    open_tap = opener(island_net.quantized, island_net.files["onnx-int8"])
    assert first_wrong_node(open_tap, island_net.quantized, sample_of(island_net)) == ""


def test_bound_is_inclusive():
    bound = Bound(max_lsb=2, share_within_one=0.9)
    assert bound.holds(LsbGap("a", "b", 2, 0.9, 10, 1))
    assert not bound.holds(LsbGap("a", "b", 3, 0.9, 10, 1))
    assert not bound.holds(LsbGap("a", "b", 2, 0.89, 10, 1))


def test_gap_counts_the_quantized_elements(small_net):
    names = list(small_net.quantized.graph.values)
    values = tap_int8(small_net.files["onnx-int8"].path, small_net.quantized, names)(sample_of(small_net))
    node = small_net.quantized.graph.producers["h1"]
    assert measure_node(node, small_net.quantized, values).shape == (np.prod(small_net.quantized.graph.shape("h1")),)
