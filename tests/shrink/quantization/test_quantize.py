import numpy as np
import pytest

from edgekit.errors import CalibrationError, InputError, RecipeError
from edgekit.runtime.reference import ReferenceSession
from edgekit.shrink.quantization.bias import mean_shift
from edgekit.shrink.quantization.histogram import Histogram
from edgekit.shrink.quantization.islands import float_islands, refuse_unmatched
from edgekit.shrink.quantization.observe import observe
from edgekit.shrink.quantization.quantize import quantize, quantize_weights
from edgekit.types.graph import Node
from edgekit.types.plan import Plan
from tests.shrink.quantization.graphs import CONV, histograms, make, two_branches, weights


def test_every_float_tensor_of_an_int8_node_has_qparams_and_every_weight_integers():
    graph = two_branches()
    quantized = quantize(graph, histograms(graph, {"l": (0, 1), "r": (-4, 4), "y": (-4, 4)}))
    for node in quantized.graph.nodes:
        assert quantized.is_int8(node)
        assert all(name in quantized.qparams for name in (*node.inputs, *node.outputs) if name)
    assert quantized.integers["w1"].dtype == np.int8
    assert quantized.integers["b1"].dtype == np.int32
    bias = quantized.qparams["b1"]
    np.testing.assert_allclose(bias.scale, quantized.qparams["x"].scale * quantized.qparams["w1"].scale, rtol=1e-6)


def test_a_node_kept_by_the_recipe_stays_float_with_its_reason():
    graph = two_branches(joined="Add")
    quantized = quantize(graph, histograms(graph, {}), Plan(float_modules=("net.le*",)))
    assert quantized.islands == {"left": "kept in float by the recipe"}
    assert "w1" not in quantized.integers
    assert "l" in quantized.qparams  # the Add reads it as integers


def test_elementwise_nodes_between_float_nodes_stay_float():
    nodes = [
        Node("a", "Exp", ("x",), ("a",)),
        Node("b", "Mul", ("a", "k"), ("b",)),
        Node("c", "Sqrt", ("b",), ("y",)),
    ]
    graph = make(nodes, dict.fromkeys(("x", "a", "b", "y"), (1, 4)), {"k": np.float32(2.0)}, outputs=("y",))
    assert float_islands(graph) == {
        "a": "Exp has no int8 kernel in either runtime",
        "b": "between float operators",
        "c": "Sqrt has no int8 kernel in either runtime",
    }


def test_a_dead_output_is_widened_until_kernels_accept_its_multiplier():
    graph = two_branches(joined="Add")
    quantized = quantize(graph, histograms(graph, {"l": (0, 0)}))
    ratio = quantized.qparams["x"].scale * quantized.qparams["w1"].scale.max() / quantized.qparams["l"].scale
    assert ratio < 256


def test_weight_only_leaves_every_activation_float_and_stores_int8_weights():
    graph = two_branches()
    quantized = quantize_weights(graph)
    assert set(quantized.integers) == {"w1", "w2"}
    assert set(quantized.qparams) == {"w1", "w2"}
    assert set(quantized.islands) == {"left", "right", "join"}


def test_weight_only_takes_the_mean_error_of_a_weight_out_of_its_float_bias():
    nodes = [Node("a", "Gemm", ("x", "w", "b"), ("h",)), Node("c", "Gemm", ("h", "v"), ("y",))]
    constants = {"w": weights(0, 4, 4), "b": weights(1, 4, 1)[:, 0], "v": weights(2, 4, 4)}
    graph = make(nodes, dict.fromkeys(("x", "h", "y"), (1, 4)), constants, outputs=("y",))
    seen = histograms(graph, {"x": (3, 3), "h": (-2, -2)})
    feed = {"x": np.full((1, 4), 3, np.float32)}
    exact = feed["x"] @ constants["w"].T + constants["b"]
    quantized = quantize(graph, seen, Plan(weight_only=True))
    graph = quantized.graph
    assert [len(node.inputs) for node in graph.nodes] == [3, 3]  # a layer without a bias gets one
    assert set(graph.constants) == {name for node in graph.nodes for name in node.inputs[1:]}
    stored = quantized.qparams["w"].dequantize(quantized.integers["w"])
    found = feed["x"] @ stored.T + graph.constants[graph.nodes[0].inputs[2]]
    np.testing.assert_allclose(found, exact, atol=1e-5)
    assert np.abs(feed["x"] @ stored.T + constants["b"] - exact).max() > 1e-3
    plain = quantize(make(nodes, dict.fromkeys(("x", "h", "y"), (1, 4)), constants, outputs=("y",)), seen,
                     Plan(weight_only=True, correct_bias=False))  # fmt: skip
    np.testing.assert_array_equal(plain.graph.constants["b"], constants["b"])


def test_a_weight_that_a_float_node_shares_with_an_int8_one_is_float_for_it():
    nodes = [
        Node("a", "Gemm", ("x", "w", "b"), ("h",), module="net.first"),
        Node("c", "Gemm", ("h", "w"), ("y",), module="net.second"),
    ]
    constants = {"w": weights(0, 4, 4), "b": weights(1, 4, 1)[:, 0]}
    graph = make(nodes, dict.fromkeys(("x", "h", "y"), (1, 4)), constants, outputs=("y",))
    for pattern in ("net.first", "net.second"):
        quantized = quantize(graph, histograms(graph, {"h": (-2, 2)}), Plan(float_modules=(pattern,)))
        (island,) = (node for node in quantized.graph.nodes if not quantized.is_int8(node))
        assert island.module == pattern
        assert island.inputs[1] not in quantized.integers
        np.testing.assert_array_equal(quantized.graph.constants[island.inputs[1]], constants["w"])


def test_a_weight_shared_by_two_nodes_keeps_one_array_of_integers_and_two_biases():
    nodes = [
        Node("a", "Gemm", ("x", "w", "b"), ("h",)),
        Node("c", "Gemm", ("h", "w", "b"), ("y",)),
    ]
    constants = {"w": weights(0, 4, 4), "b": weights(1, 4, 1)[:, 0]}
    graph = make(nodes, dict.fromkeys(("x", "h", "y"), (1, 4)), constants, outputs=("y",))
    quantized = quantize(graph, histograms(graph, {"h": (-2, 2)}))
    first, second = quantized.graph.nodes
    assert first.inputs[1] == second.inputs[1]
    assert first.inputs[2] != second.inputs[2]


@pytest.mark.parametrize(("strides", "pads", "group"), [((1, 1), (1, 1, 1, 1), 1), ((2, 2), (0, 1, 1, 0), 2)])
def test_mean_shift_is_the_mean_output_of_a_constant_input(strides, pads, group):
    torch = pytest.importorskip("torch")
    error = weights(5, 4, 4 // group, 3, 3)
    mean = np.arange(1.0, 5.0)
    x = torch.tensor(np.broadcast_to(mean[:, None, None], (4, 7, 7))[None].copy(), dtype=torch.float32)
    padded = torch.nn.functional.pad(x, (pads[1], pads[3], pads[0], pads[2]))
    expected = torch.nn.functional.conv2d(padded, torch.tensor(error), stride=strides, groups=group)
    node = Node("n", "Conv", ("x", "w"), ("y",), {**CONV, "strides": strides, "pads": pads, "group": group})
    shapes = {"x": (1, 4, 7, 7), "y": tuple(expected.shape)}
    graph = make([node], shapes, {"w": error}, outputs=("y",))
    np.testing.assert_allclose(mean_shift(graph, node, error, mean), expected.mean((0, 2, 3)).numpy(), rtol=1e-4)


class _Same:
    """A session that returns what it is told."""

    inputs = ()
    outputs = ()

    def __init__(self, value):
        self.value = value

    def run(self, feeds):
        return {"y": self.value}


def test_observe_names_the_layer_that_overflows():
    graph = make(
        [Node("n", "Exp", ("x",), ("y",), {}, "head.exp")], dict.fromkeys(("x", "y"), (1, 2)), {}, outputs=("y",)
    )
    with pytest.raises(CalibrationError, match=r"head\.exp"):
        observe(_Same(np.float32([[1.0, np.inf]])), graph, [{"x": np.zeros((1, 2), np.float32)}])


def test_observe_refuses_an_empty_set():
    with pytest.raises(CalibrationError, match="empty"):
        observe(_Same(np.zeros(1)), two_branches(), [])


class _Refusing(_Same):
    def run(self, feeds):
        raise InputError("index 13 is out of range")


def test_observe_says_which_sample_the_model_does_not_run_on():
    with pytest.raises(CalibrationError, match="sample 0: index 13"):
        observe(_Refusing(None), two_branches(), [{"x": np.zeros((1, 3, 6, 6), np.float32)}])


def test_a_pattern_that_matches_no_module_is_an_error_that_names_the_nearest():
    refuse_unmatched(two_branches(), ["net.le*", "join"])
    with pytest.raises(RecipeError, match=r"net\.lft") as caught:
        refuse_unmatched(two_branches(), ["net.*", "net.lft"])
    assert "net.left" in caught.value.hint


def test_bias_correction_takes_the_mean_error_out():
    rng = np.random.default_rng(3)
    weight = rng.standard_t(3, size=(16, 64)).astype(np.float32)
    graph = make([Node("n", "Gemm", ("x", "w"), ("y",))], {"x": (1, 64), "y": (1, 16)}, {"w": weight}, outputs=("y",))
    samples = rng.uniform(0, 2, size=(200, 64)).astype(np.float32)
    seen = {"x": Histogram(channel_axis=-1), "y": Histogram()}
    for sample in samples:
        seen["x"].update(sample[None])
        seen["y"].update(sample[None] @ weight.T)

    def mean_error(*, correct_bias):
        quantized = quantize(graph, seen, Plan(correct_bias=correct_bias))
        session = ReferenceSession(quantized)
        found = np.concatenate([session.run({"x": sample[None]})["y"] for sample in samples])
        return np.abs((found - samples @ weight.T).mean(axis=0)).mean() / float(quantized.qparams["y"].scale)

    assert mean_error(correct_bias=True) < 0.5 * mean_error(correct_bias=False)
