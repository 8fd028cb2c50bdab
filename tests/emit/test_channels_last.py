from collections import Counter

import numpy as np
import pytest

from edgekit.check.fusion_ort import optimized_graph
from edgekit.emit import onnx_qdq
from edgekit.emit.channels_last import anchor
from edgekit.emit.exporter import float_artifact
from edgekit.emit.retarget import to_uint8, to_x86
from edgekit.runtime.ort import open_onnx
from edgekit.runtime.reference import ReferenceSession
from edgekit.shrink.quantization.observe import observe, observed_values
from edgekit.shrink.quantization.quantize import quantize
from edgekit.types.graph import Graph, Node, Value
from edgekit.types.plan import Plan

CONV = {"strides": (1, 1), "pads": (1, 1, 1, 1), "dilations": (1, 1), "group": 1}
BLOCKS = 3


def residual_net():
    """A convolution, and blocks of two convolutions and a sum behind it."""
    rng = np.random.default_rng(0)
    nodes = [Node("stem", "Conv", ("x", "w"), ("s0",), CONV, "stem", (0.0, float("inf")))]
    constants = {"w": rng.normal(size=(8, 3, 3, 3)).astype(np.float32) * 0.3}
    for block in range(BLOCKS):
        before, inner, branch = f"s{block}", f"i{block}", f"b{block}"
        nodes += [
            Node(f"in{block}", "Conv", (before, f"u{block}"), (inner,), CONV, "", (0.0, float("inf"))),
            Node(f"out{block}", "Conv", (inner, f"v{block}"), (branch,), CONV),
            Node(f"sum{block}", "Add", (branch, before), (f"s{block + 1}",), {}),
        ]
        for name in ("u", "v"):
            constants[f"{name}{block}"] = rng.normal(size=(8, 8, 3, 3)).astype(np.float32) * 0.15
    values = {name: Value(name, (1, 8, 10, 10)) for node in nodes for name in node.outputs}
    values["x"] = Value("x", (1, 3, 10, 10))
    return Graph("blocks", ("x",), (f"s{BLOCKS}",), tuple(nodes), values, constants, dict.fromkeys(values, 0))


def feeds(count=6, batch=1):
    rng = np.random.default_rng(1)
    return [{"x": rng.normal(size=(batch, 3, 10, 10)).astype(np.float32)} for _ in range(count)]


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory):
    graph = residual_net()
    path = tmp_path_factory.mktemp("float") / "f.onnx"
    float_artifact(graph, path, metadata={})
    return graph, observe(open_onnx(path, taps=observed_values(graph)), graph, feeds())


@pytest.fixture(scope="module")
def quantized(calibrated):
    return quantize(*calibrated, Plan(float_nodes={"stem": "a first layer"}))


def executed(path):
    return Counter(node.op_type for node in optimized_graph(path).node)


def test_transposes_between_blocks_go_and_the_results_stay(quantized, tmp_path):
    onnx_qdq.write(to_uint8(quantized), tmp_path / "torn.onnx")
    onnx_qdq.write(to_x86(quantized), tmp_path / "whole.onnx")
    torn, whole = executed(tmp_path / "torn.onnx"), executed(tmp_path / "whole.onnx")
    assert torn["Transpose"] >= 2 * BLOCKS
    assert whole["Transpose"] <= 2
    assert whole["QLinearConv"] == torn["QLinearConv"] + 1
    first, second = open_onnx(tmp_path / "torn.onnx"), open_onnx(tmp_path / "whole.onnx")
    for feed in [*feeds(), *feeds(1, batch=3)]:
        np.testing.assert_array_equal(first.run(feed)[f"s{BLOCKS}"], second.run(feed)[f"s{BLOCKS}"])


def test_the_reference_sees_no_difference(quantized):
    anchored = anchor(quantized)
    assert len(anchored.graph.nodes) == len(quantized.graph.nodes) + 1
    (feed,) = feeds(1, batch=2)
    before, after = ReferenceSession(quantized).run(feed), ReferenceSession(anchored).run(feed)
    np.testing.assert_array_equal(before[f"s{BLOCKS}"], after[f"s{BLOCKS}"])


def test_int8_all_through_needs_none(calibrated):
    everywhere = quantize(*calibrated)
    assert anchor(everywhere) is everywhere
