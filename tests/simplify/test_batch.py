import numpy as np
import pytest

from edgekit.simplify.batch import find_batch_axes
from edgekit.types.graph import Graph, Node, Value

W = np.random.default_rng(0).normal(size=(8, 8)).astype(np.float32)


def axes(found):
    return {name: found.graph.batch_axes.get(name) for name in (*found.graph.inputs, *found.graph.outputs)}


@pytest.mark.parametrize(
    ("body", "axis"),
    [
        ("t = Transpose <perm=[1,0,2]> (x) \n y = Exp(t)", 1),
        ("y = Flatten(x)", 0),
        ("t = Transpose <perm=[1,0,2]> (x) \n r = Reshape(t, rows) \n g = MatMul(r, w) \n y = Reshape(g, back)", 1),
        ("r = Reshape(x, heads) \n t = Transpose <perm=[0,2,1,3]> (r) \n s = Softmax(t) \n y = MatMul(s, v)", 0),
        ("y = ReduceMax <keepdims=0> (x, one)", 0),
        ("t = Transpose <perm=[1,0,2]> (x) \n y = ReduceMax <keepdims=0> (t, zero)", 0),
        ("y = Add(x, k)", 0),
        ("y = MatMul(m, x)", 0),
        ("y = Gather <axis=1> (x, pick)", 0),
        ("y = Gather <axis=0> (w, ids)", 0),
        ("y = ArgMax <axis=2, keepdims=0> (x)", 0),
        ("u = Unsqueeze(x, zero) \n y = Squeeze(u, zero)", 0),
    ],
)
def test_followed(check, body, axis):
    weights = {
        "w": W,
        "v": np.ones((1, 1, 4, 3), np.float32),
        "m": np.ones((2, 5), np.float32),
        "k": np.ones((5, 1), np.float32),
        "rows": np.int64([5, 8]),
        "back": np.int64([5, 1, 8]),
        "heads": np.int64([1, 5, 2, 4]),
        "one": np.int64([1]),
        "zero": np.int64([0]),
        "pick": np.int64([[0, 3], [1, 1]]),
    }
    kind = "int64" if "ArgMax" in body else "float"
    found = check(f"(float[1,5,8] x, int64[1,3] ids) => ({kind} y) {{ {body} }}", weights)
    assert axes(found) == {"x": 0, "ids": 0, "y": axis}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("y = Softmax <axis=0> (x)", "works along it"),
        ("y = ReduceMean(x)", "works along it"),
        ("y = Concat <axis=0> (x, x)", "works along it"),
        ("t = Transpose <perm=[1,0,2]> (x) \n y = Add(x, t)", "different axes"),
        ("y = Expand(x, wide)", "repeats along it"),
        ("y = Pad(x, pads)", "pads it"),
        ("t = Transpose <perm=[1,0,2]> (x) \n y = Conv(t, w)", "needs it on axis 0"),
        ("r = Reshape(x, flat) \n y = Exp(r)", "no axis of its own"),
        ("s = Shape(x) \n f = Cast <to=1> (s) \n y = Add(f, f)", "no axis of its own"),
    ],
)
def test_stuck_with_the_node_named(check, body, reason):
    weights = {
        "wide": np.int64([3, 5, 8]),
        "pads": np.int64([1, 0, 0, 0, 0, 0]),
        "w": np.ones((2, 1, 3), np.float32),
        "flat": np.int64([40]),
    }
    found = check(f"(float[1,5,8] x) => (float y) {{ {body} }}", weights)
    assert dict(found.graph.batch_axes) == {}
    (finding,) = found.simplified.findings
    assert finding.code == "batch-fixed"
    assert reason in finding.message


def test_an_input_without_a_batch_fixes_it(check):
    found = check("(float[1,5] x, float[3,1] z) => (float y) { y = Mul(x, z) }")
    (finding,) = found.simplified.findings
    assert finding.code == "batch-fixed"
    assert "input z has shape (3, 1), with no batch of 1 in front" in finding.message
    assert "stays at 1" not in finding.message, "the declared 3 stays"
    assert "declare it as 1" in finding.hint


def test_many_ambiguous_reshapes_stay_fast():
    shapes = [(1, 1, 1, 6) if index % 2 else (1, 6) for index in range(400)]
    nodes = tuple(
        Node(f"n{index}", "Reshape", (f"v{index}",), (f"v{index + 1}",), {"shape": shapes[index + 1]})
        for index in range(399)
    )
    values = {f"v{index}": Value(f"v{index}", shape) for index, shape in enumerate(shapes)}
    graph, findings = find_batch_axes(Graph("net", ("v0",), ("v399",), nodes, values, {}))
    assert not findings
    assert len(graph.batch_axes) == 400
