import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from edgekit.errors import ModelLoadError
from edgekit.simplify.onnx_import import import_onnx
from edgekit.simplify.simplification import simplify
from edgekit.types.spec import TensorSpec


def save(model, folder, **options):
    onnx.save(model, folder / "model.onnx", **options)
    return folder / "model.onnx"


def test_open_dimensions_are_fixed_and_told(parsed, tmp_path):
    path = save(parsed("(float[N,3,H,W] x) => (float y) { y = Flatten(x) }"), tmp_path)
    found = simplify(path, name="net", inputs=[TensorSpec("x", (1, 3, 4, 5))])
    assert found.graph.shape("y") == (1, 60)
    assert [finding.code for finding in found.findings] == ["dimension-frozen"] * 2
    assert "axis 2 (H) of input x is fixed at 4" in found.findings[0].message


def test_an_open_batch_is_one(parsed, tmp_path):
    path = save(parsed("(float[N,3] x) => (float y) { y = Exp(x) }"), tmp_path)
    found = simplify(path, name="net")
    assert found.graph.shape("y") == (1, 3)
    assert found.findings == ()


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([], "axis 2 of input x is open"),
        ([TensorSpec("x", (1, 3))], "has 3 axes"),
        ([TensorSpec("x", (1, 4, 5))], "has size 3 on axis 1"),
    ],
)
def test_dimensions_that_cannot_be_fixed(parsed, tmp_path, inputs, message):
    path = save(parsed("(float[N,3,L] x) => (float y) { y = Exp(x) }"), tmp_path)
    with pytest.raises(ModelLoadError, match=message):
        simplify(path, name="net", inputs=inputs)


def test_files_that_are_no_model(tmp_path):
    with pytest.raises(ModelLoadError, match="no such file"):
        simplify(tmp_path / "absent.onnx", name="net")
    (tmp_path / "text.onnx").write_text("hello")
    with pytest.raises(ModelLoadError, match=r"text\.onnx is not an ONNX file"):
        simplify(tmp_path / "text.onnx", name="net")


def external(parsed, folder):
    weights = {"w": np.arange(1200, dtype=np.float32).reshape(30, 40)}
    model = parsed("(float[1,30] x) => (float y) { y = MatMul(x, w) }", weights)
    return save(model, folder, save_as_external_data=True, location="weights.bin", size_threshold=0), weights["w"]


def test_external_weights_are_mapped_not_read(parsed, tmp_path):
    path, weight = external(parsed, tmp_path)
    graph, _ = import_onnx(path, name="net")
    found = graph.constants["w"]
    assert isinstance(found, np.memmap)
    np.testing.assert_array_equal(found, weight)
    simplified = simplify(path, name="net").graph
    np.testing.assert_array_equal(simplified.constants[simplified.nodes[0].inputs[1]], weight.T)


@pytest.mark.parametrize("damage", ["outside", "short", "absent"])
def test_external_data_that_is_not_there(parsed, tmp_path, damage):
    path, _ = external(parsed, tmp_path)
    model = onnx.load(path, load_external_data=False)
    if damage == "outside":
        model.graph.initializer[0].external_data[0].value = "../weights.bin"
    if damage == "short":
        (tmp_path / "weights.bin").write_bytes(b"1234")
    if damage == "absent":
        (tmp_path / "weights.bin").unlink()
    path.write_bytes(model.SerializeToString())
    message = {"outside": "outside the model's folder", "short": "needs 4800 bytes", "absent": "cannot be read"}[damage]
    with pytest.raises(ModelLoadError, match=message):
        simplify(path, name="net")


def test_known_branches_are_entered(check):
    inner = onnx.parser.parse_graph("b () => (float[1,3] o) <float[1] k = {2.0}> { o = Mul(x, k) }")
    other = onnx.parser.parse_graph("b () => (float[1,3] o) { o = Sin(x) }")
    node = helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=other)
    border = [helper.make_tensor_value_info(name, 1, [1, 3]) for name in "xy"]
    graph = helper.make_graph([node], "net", border[:1], border[1:], [numpy_helper.from_array(np.array([True]), "c")])
    found = check(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=8))
    assert found.ops == "Mul"


def test_functions_are_inlined(check):
    text = """
    <ir_version: 8, opset_import: ["" : 20, "own" : 1]>
    net (float[1,3] x) => (float[1,3] y) { y = own.twice(x) }
    <domain: "own", opset_import: ["" : 20]>
    twice (a) => (b) { b = Add(a, a) }
    """
    assert check(onnx.parser.parse_model(text)).ops == "Add"


def test_double_precision_is_narrowed_and_told(parsed, tmp_path):
    model = parsed("(double[1,3] x) => (double y) { y = MatMul(x, w) }", {"w": np.ones((3, 2))})
    found = simplify(save(model, tmp_path), name="net")
    assert found.graph.values["x"].dtype == "float32"
    assert [finding.code for finding in found.findings] == ["element-type-narrowed"]


def test_shapes_that_inference_cannot_know_are_measured(check):
    # NonZero of a constant is folded; the shape of Compress by a constant is not inferred by onnx
    body = "c = Compress <axis=1> (x, keep) \n y = Exp(x)"
    found = check(f"(float[1,4] x) => (float y) {{ {body} }}", {"keep": np.array([True, False, True, True])})
    assert found.ops == "Exp"


def test_unused_inputs_stay_inputs(check):
    assert check("(float[1,4] x, float[1,2] z) => (float y) { y = Exp(x) }").graph.inputs == ("x", "z")
