import dataclasses

from edgekit.shrink.quantization.activations import UNIT, choose_activations
from edgekit.shrink.quantization.ties import tie
from edgekit.types.graph import Node
from edgekit.types.plan import Plan
from edgekit.types.qparams import same
from tests.shrink.quantization.graphs import INF, histograms, make, two_branches


def choose(graph, ranges):
    ties = tie(graph, ())
    return ties.graph, choose_activations(ties, histograms(graph, ranges), (), Plan())


def test_concat_of_like_origins_shares_one_scale_without_a_requantize():
    graph, params = choose(two_branches(clamp_right=(0.0, INF)), {"l": (0, 1), "r": (0, 4), "y": (0, 4)})
    assert [node.op for node in graph.nodes] == ["Conv", "Conv", "Concat"]
    assert same(params["l"], params["r"])
    assert same(params["l"], params["y"])
    assert abs(params["y"].high - 4) < 1e-5


def test_a_clamped_input_of_a_mixed_concat_is_requantized_and_keeps_its_own_scale():
    graph, params = choose(two_branches(), {"l": (0, 1), "r": (-4, 4), "y": (-4, 4)})
    assert [node.op for node in graph.nodes] == ["Conv", "Conv", "Requantize", "Concat"]
    concat = graph.nodes[-1]
    assert params["l"].zero_point == -128
    assert abs(params["l"].high - 1) < 1e-5
    assert all(same(params[name], params["y"]) for name in concat.inputs)
    assert graph.batch_axes[concat.inputs[0]] == 0


def test_add_ties_nothing():
    _, params = choose(two_branches(joined="Add"), {"l": (0, 1), "r": (-4, 4), "y": (-5, 5)})
    assert len({float(params[name].scale) for name in ("l", "r", "y")}) == 3


def test_a_sigmoid_fixes_the_scale_of_everything_that_only_moves_it():
    nodes = [
        Node("s", "Sigmoid", ("x",), ("s",)),
        Node("f", "Reshape", ("s",), ("y",), {"shape": (1, 8)}),
    ]
    graph = make(nodes, {"x": (1, 8, 1, 1), "s": (1, 8, 1, 1), "y": (1, 8)}, {}, outputs=("y",))
    _, params = choose(graph, {"s": (0.4, 0.6), "y": (0.4, 0.6)})
    assert same(params["s"], UNIT)
    assert same(params["y"], UNIT)


def test_pools_and_slices_keep_the_scale_of_their_input():
    nodes = [
        Node("p", "MaxPool", ("x",), ("p",), {"kernel_shape": (2, 2), "strides": (2, 2), "pads": (0, 0, 0, 0)}),
        Node("s", "Slice", ("p",), ("y",), {"starts": (0,), "ends": (1,), "axes": (1,), "steps": (1,)}),
    ]
    graph = make(nodes, {"x": (1, 2, 4, 4), "p": (1, 2, 2, 2), "y": (1, 1, 2, 2)}, {}, outputs=("y",))
    _, params = choose(graph, {"x": (-3, 3), "p": (-1, 2), "y": (-1, 1)})
    assert same(params["x"], params["p"])
    assert same(params["x"], params["y"])


def test_islands_get_no_scale_unless_an_int8_node_touches_the_value():
    graph = two_branches(joined="Add")
    graph = dataclasses.replace(
        graph,
        nodes=(*graph.nodes, Node("e", "Exp", ("y",), ("z",))),
        outputs=("z",),
        values={**graph.values, "z": dataclasses.replace(graph.values["y"], name="z")},
    )
    ties = tie(graph, ("e",))
    params = choose_activations(ties, histograms(graph, {}), ("e",), Plan())
    assert "y" in params
    assert "z" not in params
