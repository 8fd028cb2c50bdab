"""Forecasts for hardware that is not here, on files whose fate is known, and the door to them."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgekit.emit.exporter import emit
from edgekit.errors import ModelLoadError
from edgekit.targets.forecast import forecast
from edgekit.types.plan import Plan
from edgekit.types.recipe import FILES
from edgekit.types.target import HOST, TARGETS


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    from tests.targets.nets import calibrate

    folder, net = tmp_path_factory.mktemp("files"), calibrate("resnet8", 6)
    made = {}
    for plan, formats in (
        (Plan(), ("onnx-fp32", "onnx-int8", "onnx-x86", "onnx-qop", "tflite-int8")),
        (Plan(scheme="full"), ("onnx-vnni", "onnx-arm", "onnx-qnn")),
        (Plan(scheme="full", symmetric=True), ("onnx-tensorrt",)),
    ):
        for format in formats:
            made[format] = folder / FILES[format]
            emit(net.quantize(plan), made[format], format=format, metadata={})
    return made


def ask(path, name):
    return forecast(path, [TARGETS[name]])[0]


def reasons(found):
    return {group.reason for group in found.groups if group.reason}


@pytest.mark.parametrize("name", [name for name in TARGETS if name != HOST])
def test_every_target_runs_its_own_file_on_int8(name, files):
    for format in TARGETS[name].formats:
        found = ask(files[format], name)
        assert found.count("int8") >= 15
        assert found.count("float") == 0
        assert found.count("refused") == 0
        assert not found.remarks


def test_a_float_file_runs_in_float_everywhere(files):
    for name in ("x86-avx2", "arm", "xnnpack", "tensorrt"):
        found = ask(files["onnx-fp32"], name)
        assert found.count("int8") == 0
        assert "nothing around it is quantized" in reasons(found) | {"its input is not quantized"}


def test_tensorrt_refuses_what_is_not_symmetric_int8(files):
    assert "its integers are uint8; TensorRT takes int8 only" in reasons(ask(files["onnx-x86"], "tensorrt"))
    assert "its zero point is not 0; TensorRT takes symmetric int8 only" in reasons(ask(files["onnx-int8"], "tensorrt"))
    found = ask(files["onnx-qop"], "tensorrt")
    assert any("no operators on integers" in reason for reason in reasons(found))


def test_qnn_refuses_free_shapes_and_leaves_int8_activations(files, tmp_path):
    found = ask(files["onnx-x86"], "qnn")
    assert found.count("int8") == 0
    assert reasons(found) == {"input image has a free size; QNN takes static shapes only"}
    model = onnx.load(files["onnx-arm"])
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    onnx.save(model, tmp_path / "static.onnx")
    found = ask(tmp_path / "static.onnx", "qnn")
    assert "its activations are int8, QNN's operators take uint8 or uint16" in reasons(found)


def test_xnnpack_leaves_unsigned_activations_to_the_cpu_provider(files):
    found = ask(files["onnx-x86"], "xnnpack")
    conv = next(group for group in found.groups if group.op == "Conv")
    assert conv.runs == "int8"
    assert "no kernel for uint8 activations with int8 weights per channel" in conv.reason


def test_shared_int8_values_stay_float_on_x86_and_not_on_arm(files):
    found = ask(files["onnx-int8"], "x86-avx2")
    assert any("readers cannot become uint8 on x86" in reason for reason in reasons(found))
    assert ask(files["onnx-int8"], "arm").count("float") == 0


def test_full_range_weights_are_remarked_on_for_avx2_only(files):
    assert "can saturate 16 bits" in ask(files["onnx-vnni"], "x86-avx2").remarks[0]
    assert not ask(files["onnx-vnni"], "x86-vnni").remarks
    assert not ask(files["onnx-x86"], "x86-avx2").remarks


def test_the_host_tells_what_its_runtime_executes(files):
    found = ask(files["onnx-x86"], HOST)
    assert found.basis.startswith("onnxruntime ")
    assert any(group.op.startswith("QLinearConv") for group in found.groups)
    found = ask(files["tflite-int8"], HOST)
    assert "on " in found.basis
    assert found.count("int8") >= 13


def test_tflite_files_are_for_litert_alone(files):
    assert ask(files["tflite-int8"], "xnnpack").count("float") == 0
    refused = ask(files["tflite-int8"], "tensorrt")
    assert refused.count("refused") == 1
    assert "reads .onnx" in refused.groups[0].reason


def test_what_is_computed_when_the_file_loads_is_no_node(tmp_path):
    """Weights unpacked by Cast and Mul; and modules are named as the torch exporter's scopes have them."""
    nodes = [
        helper.make_node("Cast", ["w"], ["wf"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["wf", "s"], ["wd"]),
        helper.make_node("Conv", ["x", "wd"], ["y"]),
    ]
    nodes[2].metadata_props.add(key="pkg.torch.onnx.name_scopes", value="['', 'net', 'net.stem', 'conv2d']")
    constants = {"w": np.ones((4, 3, 1, 1), np.int8), "s": np.float32(0.02)}
    graph = helper.make_graph(
        nodes,
        "unpacked",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 4, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    path = tmp_path / "unpacked.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    found = ask(path, "arm")
    assert (found.count("int8"), found.count("float")) == (0, 1)
    assert found.groups[0].labels == ("net.stem",)


def test_what_is_no_onnx_file_is_an_error(tmp_path):
    (tmp_path / "x.onnx").write_bytes(b"\xff" * 50)
    with pytest.raises(ModelLoadError, match="cannot be read as ONNX"):
        ask(tmp_path / "x.onnx", "arm")


def elsewhere(path, *, dtype=np.uint8, second_scale=0.1, bias=None):
    """x -> Q -> DQ -> Conv (per-tensor weight) -> MaxPool -> Q -> DQ -> y, as another tool would write it."""
    constants = {
        "s": np.float32(0.1), "t": np.float32(second_scale), "z": np.array(3, dtype), "zero": np.array(0, np.int8),
        "w": np.ones((4, 3, 1, 1), np.int8), "ws": np.float32(0.02),
    }  # fmt: skip
    inputs = ["xd", "wd"]
    if bias is not None:
        constants["b"] = bias
        inputs.append("b")
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "s", "z"], ["xd"]),
        helper.make_node("DequantizeLinear", ["w", "ws", "zero"], ["wd"]),
        helper.make_node("Conv", inputs, ["c"], name="conv"),
        helper.make_node("QuantizeLinear", ["c", "s", "z"], ["cq"]),
        helper.make_node("DequantizeLinear", ["cq", "s", "z"], ["cd"]),
        helper.make_node("MaxPool", ["cd"], ["m"], name="pool", kernel_shape=[2, 2]),
        helper.make_node("QuantizeLinear", ["m", "t", "z"], ["mq"]),
        helper.make_node("DequantizeLinear", ["mq", "t", "z"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "elsewhere",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 4, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def test_files_made_elsewhere_are_read_as_well(tmp_path):
    good = ask(elsewhere(tmp_path / "good.onnx"), "x86-avx2")
    assert (good.count("int8"), good.count("float")) == (2, 0)
    other = ask(elsewhere(tmp_path / "scales.onnx", second_scale=0.2), "x86-avx2")
    assert reasons(other) == {"its input and output have different scales"}
    biased = ask(elsewhere(tmp_path / "bias.onnx", bias=np.zeros(4, np.float32)), "x86-avx2")
    assert biased.count("int8") == 2  # ONNX Runtime quantizes the bias itself
