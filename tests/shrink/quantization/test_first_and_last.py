import numpy as np
import pytest

from edgekit.emit.retarget import to_explicit
from edgekit.runtime.reference import ReferenceSession
from edgekit.shrink.quantization.first_and_last import KEPT_RESULT, first_layers, keeps_result, last_layers
from edgekit.shrink.quantization.float_choice import order_floats
from edgekit.shrink.quantization.moments import linear_layers
from edgekit.shrink.quantization.quantize import quantize
from edgekit.types.graph import Node
from edgekit.types.output_noise import OutputNoise
from edgekit.types.plan import Plan
from tests.shrink.quantization.graphs import CONV, histograms, make, weights

POINT = {**CONV, "pads": (0, 0, 0, 0)}


def residual_net(*, read_twice=False):
    """x -> stem -> (branch: wide, narrow) + stem -> deep -> pool -> Gemm -> y."""
    nodes = [
        Node("stem", "Conv", ("x", "ws"), ("s",), CONV, "net.stem"),
        Node("wide", "Conv", ("s", "ww"), ("w",), POINT, "net.wide"),
        Node("narrow", "Conv", ("w", "wn"), ("n",), CONV, "net.narrow"),
        Node("sum", "Add", ("n", "s"), ("a",), {}, "net.sum"),
        Node("deep", "Conv", ("a", "wd"), ("d",), CONV, "net.deep"),
        Node("mean", "GlobalAveragePool", ("d",), ("m",)),
        Node("flat", "Reshape", ("m",), ("f",), {"shape": (1, 16)}),
        Node("head", "Gemm", ("f", "wh", "bh"), ("y",), {}, "net.head"),
    ]
    shapes = {
        "x": (1, 3, 8, 8), "s": (1, 4, 8, 8), "w": (1, 16, 8, 8), "n": (1, 4, 8, 8), "a": (1, 4, 8, 8),
        "d": (1, 16, 8, 8), "m": (1, 16, 1, 1), "f": (1, 16), "y": (1, 5),
    }  # fmt: skip
    constants = {
        "ws": weights(1, 4, 3, 3, 3),
        "ww": weights(2, 16, 4, 1, 1),
        "wn": weights(3, 4, 16, 3, 3),
        "wd": weights(4, 16, 4, 3, 3),
        "wh": weights(5, 5, 16),
        "bh": weights(6, 5, 1)[:, 0],
    }
    outputs = ("y",)
    if read_twice:
        nodes.append(Node("again", "Add", ("y", "y"), ("z",)))
        shapes["z"], outputs = (1, 5), ("y", "z")
    return make(nodes, shapes, constants, outputs=outputs)


@pytest.fixture
def graph():
    return residual_net()


def quantized_with(graph, **plan):
    return quantize(graph, histograms(graph, {}), Plan(**plan))


def test_first_layers_end_where_one_narrow_value_is_handed_on(graph):
    found = first_layers(quantized_with(graph), most_share=1.0)
    assert [prefix.value for prefix in found] == ["s", "a", "m"]  # never inside the branch
    assert found[1].nodes == ("stem", "wide", "narrow", "sum")
    products = {"stem": 64 * 4 * 27, "wide": 64 * 16 * 4, "narrow": 64 * 4 * 144, "deep": 64 * 16 * 36, "head": 80}
    branch = sum(products[name] for name in ("stem", "wide", "narrow"))
    assert found[1].share == pytest.approx(branch / sum(products.values()))


def test_first_layers_stop_at_the_share(graph):
    all_of_it = first_layers(quantized_with(graph), most_share=1.0)
    assert first_layers(quantized_with(graph), most_share=all_of_it[0].share) == all_of_it[:1]
    assert first_layers(quantized_with(graph), most_share=all_of_it[0].share / 2) == ()


def test_first_layers_that_are_float_already_are_no_news(graph):
    found = first_layers(quantized_with(graph, float_nodes={"stem": "asked for"}), most_share=1.0)
    assert [prefix.value for prefix in found] == ["a", "m"]


def test_two_inputs_meet_before_anything_is_cut():
    nodes = [
        Node("left", "Conv", ("x", "w1"), ("l",), CONV),
        Node("right", "Conv", ("z", "w2"), ("r",), CONV),
        Node("join", "Add", ("l", "r"), ("j",)),
        Node("last", "Conv", ("j", "w3"), ("y",), CONV),
    ]
    shapes = dict.fromkeys("xzlrjy", (1, 4, 6, 6))
    constants = {name: weights(index, 4, 4, 3, 3) for index, name in enumerate(("w1", "w2", "w3"))}
    graph = make(nodes, shapes, constants, outputs=("y",), inputs=("x", "z"))
    values = [prefix.value for prefix in first_layers(quantized_with(graph), most_share=0.9)]
    assert values == ["l", "j"]  # the second input is read behind the first cut: int8 takes it from there


def test_a_gemm_that_writes_an_output_multiplies_int8_and_is_not_rounded(graph):
    plain = quantized_with(graph)
    assert last_layers(plain) == ("head",)
    kept = quantized_with(graph, float_results=frozenset(last_layers(plain)))
    head = next(node for node in kept.graph.nodes if node.name == "head")
    assert "y" in plain.qparams
    assert "y" not in kept.qparams
    assert kept.islands == {"head": KEPT_RESULT}
    assert kept.multiplies_integers(head)
    np.testing.assert_array_equal(kept.integers["wh"], plain.integers["wh"])
    np.testing.assert_array_equal(kept.integers["bh"], plain.integers["bh"])
    assert last_layers(kept) == ()


def test_unrounded_results_differ_by_the_rounding_alone(graph):
    plain, kept = quantized_with(graph), quantized_with(graph, float_results=frozenset({"head"}))
    feed = {"x": np.random.default_rng(0).uniform(-0.3, 0.3, (1, 3, 8, 8)).astype(np.float32)}
    rounded, exact = (ReferenceSession(quantized).run(feed)["y"] for quantized in (plain, kept))
    step = float(plain.qparams["y"].scale)
    inside = np.clip(exact, plain.qparams["y"].low, plain.qparams["y"].high)
    assert np.abs(rounded - inside).max() <= 0.501 * step
    assert np.abs(rounded - exact).max() > 0


def test_only_outputs_that_nobody_reads_are_kept():
    graph = residual_net(read_twice=True)
    head = next(node for node in graph.nodes if node.name == "head")
    assert not keeps_result(graph, head)
    assert not keeps_result(graph, graph.nodes[0])
    asked = quantized_with(graph, float_results=frozenset({"head", "stem"}))
    assert {"y", "s"} <= set(asked.qparams)
    assert not asked.islands


def test_a_layer_asked_to_be_float_is_float_altogether(graph):
    found = quantized_with(graph, float_results=frozenset({"head"}), float_nodes={"head": "asked for"})
    assert found.islands["head"] == "asked for"
    assert "wh" not in found.integers


def test_the_kept_layer_still_takes_part_in_rounding_and_in_the_choice_of_floats(graph):
    kept = quantized_with(graph, float_results=frozenset({"head"}))
    assert [layer.weight for layer in linear_layers(kept)] == ["ws", "ww", "wn", "wd", "wh"]
    (step,) = order_floats(kept, OutputNoise({"head": 1.0}, {}, 1))
    assert step.nodes == ("head",)


def test_explicit_quantization_keeps_the_integers_that_the_last_layer_multiplies(graph):
    written = to_explicit(quantized_with(graph, symmetric=True, float_results=frozenset({"head"})))
    assert {"f", "wh"} <= set(written.qparams)
    assert "bh" not in written.qparams
