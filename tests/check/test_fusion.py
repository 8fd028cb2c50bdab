from dataclasses import replace

import pytest

from edgekit.check.fusion import Executed, find_node, summarize_fusion


@pytest.mark.parametrize(
    ("names", "label"),
    [
        (("h1",), "stem.conv (Conv)"),
        (("h1.raw",), "stem.conv (Conv)"),
        (("h1.raw_token_4", "whatever"), "stem.conv (Conv)"),
        (("unknown", "n7_MatMul__12"), "head (Gemm)"),
        (("n3__5_token_1",), "block (Add)"),
    ],
)
def test_nodes_are_found_behind_the_suffixes_of_files(small_net, names, label):
    assert find_node(small_net.quantized, names).label == label


def test_unknown_names_find_nothing(small_net):
    assert find_node(small_net.quantized, ("Transpose_3", "image", "")) is None


def test_counts_by_kind(small_net):
    steps = [
        Executed("QLinearConv", "int8", ("h1",)),
        Executed("Conv", "float", ("h2.raw",)),
        Executed("Conv", "float", ("h2.raw", "again")),
        Executed("QuantizeLinear", "conversion"),
        Executed("Shape", "index"),
    ]
    fusion = summarize_fusion(small_net.quantized, steps, delegated=3)
    assert (fusion.int8, fusion.float, fusion.conversions, fusion.delegated) == (1, 2, 1, 3)
    assert fusion.operators == {"Conv": 2, "QLinearConv": 1, "QuantizeLinear": 1, "Shape": 1}
    assert fusion.left_float == ("block.depthwise (Conv)",)


def test_operators_with_float_inside_are_planned_so(small_net):
    """LayerNormalization is float between int8 borders on every runtime: nothing was undone."""
    graph = small_net.quantized.graph
    nodes = tuple(replace(node, op="LayerNormalization") if node.name == "n2" else node for node in graph.nodes)
    quantized = replace(small_net.quantized, graph=replace(graph, nodes=nodes))
    assert summarize_fusion(quantized, [Executed("SUB", "float", ("h2",))]).left_float == ()
