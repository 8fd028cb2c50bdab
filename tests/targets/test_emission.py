"""Each target's file: what its hardware wants is in it, and it still says what the model says."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edgekit.check.plainly import compare_plainly
from edgekit.emit.exporter import emit
from edgekit.emit.retarget import to_uint8, to_uint8_weights
from edgekit.runtime.ort import open_onnx
from edgekit.targets.emission import emit_host, emit_target
from edgekit.targets.variants import variants
from edgekit.types.plan import Plan
from edgekit.types.target import TARGETS, HostCandidate
from tests.targets.nets import sample_set

LEAST_DB = 20.0
OWN = ["x86-vnni", "arm", "tensorrt", "qnn"]


def write(net, name, folder, **options):
    plan = next(iter(variants(Plan(), [name])))
    quantized = net.quantize(plan)
    return quantized, emit_target(quantized, folder, target=TARGETS[name], metadata={}, **options)


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("net_name", ["resnet8", "shufflenet", "unet", "transformer"])
def test_the_file_says_what_the_model_says(net_name, name, calibrated, tmp_path):
    net = calibrated(net_name, 6)
    quantized, files = write(net, name, tmp_path)
    report = compare_plainly(
        [net.write_float(tmp_path), *files], quantized=quantized, held_back=sample_set(net.samples)
    )
    entry = report.artifacts[1]
    assert entry.error == ""
    assert entry.signal.sqnr_db > LEAST_DB
    assert "target-not-here" in [finding.code for finding in report.findings]
    assert not [finding for finding in report.findings if finding.severity.value == "error"]


def test_avx2_and_xnnpack_need_no_file_of_their_own(calibrated, tmp_path):
    for name in ("x86-avx2", "xnnpack"):
        assert write(calibrated("resnet8", 6), name, tmp_path)[1] == []


def nodes_of(path):
    model = onnx.load(path)
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    return model.graph, constants


def test_tensorrt_gets_symmetric_int8_float_biases_and_no_more_than_it_wants(calibrated, tmp_path):
    _, [artifact] = write(calibrated("resnet8", 6), "tensorrt", tmp_path, io="int8")
    graph, constants = nodes_of(artifact.path)
    producers = {name: node for node in graph.node for name in node.output}
    readers = {name: [node for node in graph.node if name in node.input] for name in producers}
    for node in graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            zero = constants[node.input[2]]
            assert zero.dtype == np.int8
            assert not zero.any()
        if node.op_type == "QuantizeLinear":
            assert constants[node.input[1]].ndim == 0
        if node.op_type in ("Conv", "Gemm"):
            assert constants[node.input[2]].dtype == np.float32
            weight = producers[node.input[1]]
            assert weight.op_type == "DequantizeLinear"
            assert constants[weight.input[0]].dtype == np.int8
            assert np.abs(constants[weight.input[0]].astype(int)).max() <= 127
            assert constants[weight.input[1]].ndim == 1
            assert producers[node.input[0]].op_type == "DequantizeLinear"
    assert sum(node.op_type == "Relu" for node in graph.node) == 7  # zero point 0 does not clip at 0
    assert producers[graph.output[0].name].op_type == "Gemm"
    assert graph.input[0].type.tensor_type.elem_type == TensorProto.FLOAT
    for add in (node for node in graph.node if node.op_type == "Add"):
        kinds = sorted(producers[name].op_type for name in add.input)
        assert kinds == ["Conv", "DequantizeLinear"]  # the residual is quantized, the branch ends in the layer
    for conv in (node for node in graph.node if node.op_type == "Conv"):
        assert [node.op_type for node in readers[conv.output[0]]] in (["Relu"], ["Add"], ["QuantizeLinear"])


def test_qnn_gets_static_shapes_and_uint8(calibrated, tmp_path):
    _, [artifact] = write(calibrated("resnet8", 6), "qnn", tmp_path)
    graph, constants = nodes_of(artifact.path)
    assert [axis.dim_value for axis in graph.input[0].type.tensor_type.shape.dim] == [1, 3, 32, 32]
    zeros = [constants[node.input[2]] for node in graph.node if node.op_type == "QuantizeLinear"]
    assert {zero.dtype for zero in zeros} == {np.dtype(np.uint8)}
    assert artifact.inputs[0].batch_axis is None


def test_arm_keeps_int8_and_uses_all_of_it(calibrated, tmp_path):
    net = calibrated("resnet8", 6)
    full, [artifact] = write(net, "arm", tmp_path)
    graph, constants = nodes_of(artifact.path)
    zeros = [constants[node.input[2]] for node in graph.node if node.op_type == "QuantizeLinear"]
    assert {zero.dtype for zero in zeros} == {np.dtype(np.int8)}
    narrow = net.quantize()
    name = next(node.inputs[1] for node in full.graph.nodes if node.op == "Conv")
    assert np.all(full.qparams[name].scale <= narrow.qparams[name].scale)
    assert np.any(full.qparams[name].scale < narrow.qparams[name].scale)


def test_uint8_weights_are_the_same_reals(calibrated):
    quantized = calibrated("resnet8", 6).quantize()
    signed, unsigned = to_uint8(quantized), to_uint8_weights(quantized)
    changed = [name for name in quantized.integers if unsigned.qparams[name].dtype != signed.qparams[name].dtype]
    assert len(changed) == sum(node.op in ("Conv", "Gemm") for node in quantized.graph.nodes)
    for name in changed:
        assert np.all(unsigned.qparams[name].zero_point == 128)
        before = signed.qparams[name].dequantize(signed.integers[name])
        np.testing.assert_array_equal(unsigned.qparams[name].dequantize(unsigned.integers[name]), before)


def test_the_options_of_a_host_file_are_applied_when_it_is_opened(calibrated, tmp_path):
    """x64quantprecision makes x86 compute as if products were added in 32 bits; elsewhere it changes nothing."""
    net = calibrated("resnet8", 6)
    quantized = net.quantize(Plan(scheme="full"))
    precise = HostCandidate("precise", "uint8", "int8", "full", {"session.x64quantprecision": "1"})
    artifact = emit_host(quantized, tmp_path / "model.host.int8.onnx", candidate=precise, metadata={"a": "b"})
    session, plain = open_onnx(artifact.path), open_onnx(artifact.path, optimize=False)
    assert session.metadata["edgekit.session"] == '{"session.x64quantprecision": "1"}'
    assert session.metadata["a"] == "b"
    name = net.graph.outputs[0]
    step = float(quantized.qparams[name].scale)
    for sample in net.samples:
        assert np.abs(session.run(sample)[name] - plain.run(sample)[name]).max() <= 2.01 * step


def test_only_known_options_are_taken_from_a_file(tmp_path, calibrated):
    path = tmp_path / "m.onnx"
    asked = '{"session.disable_prepacking": "1", "session.x64quantprecision": "7"}'
    emit(calibrated("resnet8", 6).quantize(), path, format="onnx-host", metadata={"edgekit.session": asked})
    open_onnx(path)
    for broken in ("[1]", "not json"):
        model = onnx.load(path)
        helper.set_model_props(model, {"edgekit.session": broken})
        onnx.save(model, path)
        open_onnx(path)
