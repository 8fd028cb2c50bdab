"""Small ONNX models as text, simplified and compared with ONNX Runtime's reading of the original at batch 1 and 3."""

from dataclasses import dataclass

import numpy as np
import onnx
import onnx.parser
import pytest
from onnx import numpy_helper

from edgekit.emit.onnx_float import write
from edgekit.runtime.ort import open_onnx
from edgekit.simplify.simplification import simplify

TOLERANCE = 3e-6
"""Of the largest output; a few float32 roundings in another order."""


@dataclass
class Outcome:
    """A simplified model with its files."""

    simplified: object
    original: object
    written: object

    @property
    def graph(self):
        return self.simplified.graph

    @property
    def ops(self):
        """Operators in order, `!` behind those with a clamp."""
        return " ".join(node.op + ("!" if node.clamp else "") for node in self.graph.nodes)

    def node(self, op):
        """The only node of an operator."""
        (node,) = (node for node in self.graph.nodes if node.op == op)
        return node


def parse(text, weights=None, *, opset=20):
    """A model from the body of a graph, `(float[1,3] x) => (float[1,3] y) { y = Relu(x) }`, and named arrays.

    Shapes of outputs are ignored: `float y` will do.
    """
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}]> net {text}')
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    for name, array in (weights or {}).items():
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))
    return model


def draw(specs, rng):
    """Random values for inputs; integers in [0, 8)."""
    return {
        spec.name: rng.normal(size=spec.shape).astype(np.float32)
        if spec.dtype == "float32"
        else rng.integers(0, 8, size=spec.shape).astype(spec.dtype)
        for spec in specs
    }


def assert_close(found, expected, tolerance=TOLERANCE):
    assert found.shape == expected.shape
    assert found.dtype == expected.dtype
    scale = max(float(np.abs(expected).max(initial=0.0)), 1e-6)
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * scale)


def compare(original, graph, path, *, tolerance=TOLERANCE, seed=0):
    """The written graph equals the original file: outputs, every inner shape, and three samples in one batch."""
    write(graph, path)
    inner = [name for node in graph.nodes for name in node.outputs if name not in graph.outputs]
    tapped = open_onnx(path, taps=inner, optimize=False)
    rng = np.random.default_rng(seed)
    samples = [draw(original.inputs, rng) for _ in range(3)]
    expected = [original.run(sample) for sample in samples]
    found = tapped.run(samples[0])
    assert tuple(spec.name for spec in original.outputs) == graph.outputs
    for name in graph.outputs:
        assert_close(found[name], expected[0][name], tolerance)
    for name in inner:
        assert found[name].shape == graph.shape(name), name
    if graph.batch_axes:
        joint = tapped.run({name: np.concatenate([sample[name] for sample in samples]) for name in samples[0]})
        for name in graph.outputs:
            axis = graph.batch_axes[name]
            assert_close(joint[name], np.concatenate([result[name] for result in expected], axis), tolerance)
    return tapped


@pytest.fixture(scope="session")
def check(tmp_path_factory):
    """Simplify a model given as text (or ModelProto), compare, and return the Outcome."""
    folder = tmp_path_factory.mktemp("models")

    def run(model, weights=None, *, opset=20, tolerance=TOLERANCE):
        if isinstance(model, str):
            model = parse(model, weights, opset=opset)
        onnx.save(model, folder / "original.onnx")
        simplified = simplify(folder / "original.onnx", name="net")
        original = open_onnx(folder / "original.onnx", optimize=False)
        written = compare(original, simplified.graph, folder / "written.onnx", tolerance=tolerance)
        return Outcome(simplified, original, written)

    return run


@pytest.fixture(scope="session")
def parsed():
    """`parse`, for tests that look at models before simplification."""
    return parse


@pytest.fixture(scope="session")
def compared():
    """`compare`, for tests that run passes one by one."""
    return compare
