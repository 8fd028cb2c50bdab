import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.emit.onnx_float import write
from edgekit.errors import UnsupportedOpError
from edgekit.runtime.ort import open_onnx
from edgekit.simplify.simplification import simplify

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
OUTPUTS = {"LSTM": "y, h, c", "GRU": "y, h", "RNN": "y, h"}


def model(kind, *, directions=1, length=5, size=3, attributes="", initial="none", bias=True, seed=0, layout=0):
    """Text and weights of one recurrent node with every output returned."""
    rng = np.random.default_rng(seed)
    gates = GATES[kind]

    def array(*shape):
        return rng.normal(0, 0.6, shape).astype(np.float32)

    weights = {"w": array(directions, gates * size, 4), "r": array(directions, gates * size, size)}
    names = ["x", "w", "r", "b" if bias else "", "", "", ""]
    if bias:
        weights["b"] = array(directions, 2 * gates * size)
    inputs = f"float[1,{length},4] x" if layout else f"float[{length},1,4] x"
    shape = (1, directions, size) if layout else (directions, 1, size)
    for slot, name in ((5, "h0"), (6, "c0"))[: 2 if kind == "LSTM" else 1]:
        if initial == "constant":
            weights[name] = array(*shape)
        elif initial == "zero":
            weights[name] = np.zeros(shape, np.float32)
        elif initial == "input":
            inputs += f", float[{','.join(map(str, shape))}] {name}"
        if initial != "none":
            names[slot] = name
    while not names[-1]:
        names.pop()
    results = ", ".join(f"float {name}" for name in OUTPUTS[kind].split(", "))
    body = f"{OUTPUTS[kind]} = {kind} <hidden_size={size}, layout={layout}{attributes}> ({', '.join(names)})"
    return f"({inputs}) => ({results}) {{ {body} }}", weights


@settings(max_examples=25)
@given(
    kind=st.sampled_from(["LSTM", "GRU", "RNN"]),
    direction=st.sampled_from(["forward", "reverse", "bidirectional"]),
    length=st.integers(1, 6),
    initial=st.sampled_from(["none", "zero", "constant", "input"]),
    bias=st.booleans(),
    late=st.integers(0, 1),
)
def test_every_variant_equals_onnxruntime(check, kind, direction, length, initial, bias, late):
    attributes = f', direction="{direction}"' + (f", linear_before_reset={late}" if kind == "GRU" else "")
    directions = 2 if direction == "bidirectional" else 1
    text, weights = model(
        kind, directions=directions, length=length, attributes=attributes, initial=initial, bias=bias, seed=length
    )
    found = check(text, weights, tolerance=1e-5)
    assert set(found.ops.split()) <= {
        *("Gemm", "Split", "Sigmoid", "Tanh", "Mul", "Add", "Sub"),
        *("Reshape", "Transpose", "Concat", "Slice"),
    }


def test_relu_recurrence(check):
    text, weights = model("RNN", attributes=', activations=["Relu"]')
    assert "Tanh" not in check(text, weights, tolerance=1e-5).ops


def test_the_projection_of_all_steps_is_one_gemm(check):
    text, weights = model("LSTM", length=6)
    found = check(text, weights, tolerance=1e-5)
    gemms = [node for node in found.graph.nodes if node.op == "Gemm"]
    (projection,) = (node for node in gemms if len(found.graph.shape(node.inputs[0])) == 3)
    assert found.graph.shape(projection.outputs[0])[-1] == 12
    assert found.ops.count("Gemm") == 6  # one projection, five recurrences: the first state is zero


def test_all_steps_share_one_recurrent_weight(check):
    text, weights = model("GRU", length=6)
    found = check(text, weights, tolerance=1e-5)
    shared = {node.inputs[1] for node in found.graph.nodes if node.op == "Gemm"}
    assert len(shared) == 4  # update-reset and candidate, of the input and of the state


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_batch_first_layout_is_the_other_one_transposed(check, parsed, tmp_path, kind):
    text, weights = model(kind, initial="constant", directions=2, attributes=', direction="bidirectional"')
    expected = check(text, weights, tolerance=1e-5)
    for name in ("h0", "c0")[: 2 if kind == "LSTM" else 1]:
        weights[name] = weights[name].transpose(1, 0, 2)
    text, _ = model(kind, initial="constant", directions=2, attributes=', direction="bidirectional"', layout=1)
    onnx.save(parsed(text, weights), tmp_path / "layout.onnx")  # onnxruntime has no kernel for it
    graph = simplify(tmp_path / "layout.onnx", name="net").graph
    write(graph, tmp_path / "written.onnx")
    x = np.random.default_rng(0).normal(size=(5, 1, 4)).astype(np.float32)
    found = open_onnx(tmp_path / "written.onnx").run({"x": x.transpose(1, 0, 2)})
    wanted = expected.original.run({"x": x})
    np.testing.assert_allclose(found["y"], wanted["y"].transpose(2, 0, 1, 3), atol=1e-6)
    np.testing.assert_allclose(found["h"], wanted["h"].transpose(1, 0, 2), atol=1e-6)


@pytest.mark.parametrize(
    ("attributes", "length", "reason"),
    [
        ("", 513, "513 steps; up to 512"),
        (", clip=3.0", 4, "clips its gates"),
        (', activations=["Sigmoid", "Relu", "Tanh"]', 4, "activations are sigmoid, relu, tanh"),
    ],
)
def test_refusals(check, attributes, length, reason):
    text, weights = model("LSTM", attributes=attributes, length=length)
    with pytest.raises(UnsupportedOpError, match=reason):
        check(text, weights)
