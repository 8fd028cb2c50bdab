import json

import numpy as np
import onnx
import onnxruntime
import pytest

from edgekit import digest
from edgekit.emit import onnx_builder, onnx_float, onnx_qdq, onnx_qop
from edgekit.emit.exporter import emit, float_artifact
from edgekit.emit.retarget import to_uint8
from edgekit.errors import StorageError
from edgekit.runtime.ort import open_onnx
from edgekit.runtime.reference import ReferenceSession
from edgekit.shrink.quantization.observe import observe, observed_values
from edgekit.shrink.quantization.quantize import quantize, quantize_weights
from tests.emit.graphs import feeds, float_graph


@pytest.fixture(scope="module")
def float_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("float") / "model.fp32.onnx"
    onnx_float.write(float_graph(), path)
    return path


@pytest.fixture(scope="module")
def quantized(float_file):
    graph = float_graph()
    return quantize(graph, observe(open_onnx(float_file, taps=observed_values(graph)), graph, feeds()))


def fused_operators(path, tmp_path):
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    options.log_severity_level = 4
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return [node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node]


def steps_apart(first, second, params):
    return np.abs(np.rint((first - second) / params.scale)).max()


@pytest.mark.parametrize("optimize", [False, True])
@pytest.mark.parametrize("format", ["onnx-int8", "onnx-x86", "onnx-qop"])
def test_every_int8_file_says_what_the_reference_says(quantized, tmp_path, format, optimize):
    emit(quantized, tmp_path / "m.onnx", format=format, metadata={})
    session, reference = open_onnx(tmp_path / "m.onnx", optimize=optimize), ReferenceSession(quantized)
    for feed in feeds(4):
        gap = steps_apart(session.run(feed)["y"], reference.run(feed)["y"], quantized.qparams["y"])
        assert gap <= 2  # eleven nodes, each within half a step of the exact result


def test_x86_file_runs_every_planned_node_on_integers(quantized, tmp_path):
    emit(quantized, tmp_path / "m.onnx", format="onnx-x86", metadata={})
    operators = fused_operators(tmp_path / "m.onnx", tmp_path)
    assert operators.count("QLinearConv") == 3
    assert "QGemm" in operators
    assert not {"Conv", "Gemm", "Relu", "Clip"} & set(operators)


def test_the_qoperator_file_means_the_same_at_every_optimisation_level(quantized, tmp_path):
    onnx_qop.write(quantized, tmp_path / "m.onnx")
    plain, optimized = open_onnx(tmp_path / "m.onnx", optimize=False), open_onnx(tmp_path / "m.onnx")
    for feed in feeds(4):
        np.testing.assert_array_equal(plain.run(feed)["y"], optimized.run(feed)["y"])


def test_a_batch_of_three_is_three_runs(quantized, tmp_path):
    onnx_qdq.write(quantized, tmp_path / "m.onnx")
    session = open_onnx(tmp_path / "m.onnx")
    (batch,) = feeds(1, batch=3)
    one_by_one = [session.run({"x": batch["x"][i : i + 1]})["y"] for i in range(3)]
    np.testing.assert_array_equal(session.run(batch)["y"], np.concatenate(one_by_one))


def test_integer_io_is_the_same_file_without_its_outer_conversions(quantized, tmp_path):
    onnx_qdq.write(quantized, tmp_path / "f.onnx")
    onnx_qdq.write(quantized, tmp_path / "i.onnx", io="int8")
    session = open_onnx(tmp_path / "i.onnx")
    source, result = quantized.qparams["x"], quantized.qparams["y"]
    assert (session.inputs[0].dtype, session.outputs[0].dtype) == ("int8", "int8")
    assert session.inputs[0].scale == pytest.approx(float(source.scale))
    assert session.outputs[0].zero_point == int(result.zero_point)
    (feed,) = feeds(1)
    integers = session.run({"x": source.quantize(feed["x"])})["y"]
    np.testing.assert_array_equal(
        result.dequantize(integers), open_onnx(tmp_path / "f.onnx").run(feed)["y"].astype(np.float32)
    )


def test_weight_only_file_stores_int8_and_computes_float(float_file, tmp_path):
    onnx_qdq.write(quantize_weights(float_graph()), tmp_path / "m.onnx")
    model = onnx.load(tmp_path / "m.onnx")
    stored = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    assert all(stored[f"{name}.q"] == onnx.TensorProto.INT8 for name in ("w1", "w2", "w3", "w4"))
    assert not [node for node in model.graph.node if node.op_type == "QuantizeLinear"]
    (feed,) = feeds(1)
    expected, found = open_onnx(float_file).run(feed)["y"], open_onnx(tmp_path / "m.onnx").run(feed)["y"]
    assert np.abs(expected - found).max() < 0.02 * np.abs(expected).max()


def test_weights_of_a_weight_only_file_are_unpacked_when_the_session_loads(tmp_path):
    """ONNX Runtime keeps a DequantizeLinear of a constant and runs it at every inference."""
    onnx_qdq.write(quantize_weights(float_graph()), tmp_path / "m.onnx")
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "executed.onnx")
    onnxruntime.InferenceSession(tmp_path / "m.onnx", options)
    executed = {node.op_type for node in onnx.load(tmp_path / "executed.onnx").graph.node}
    assert executed & {"Conv", "FusedConv"}
    assert not executed & {"DequantizeLinear", "Cast", "MatMulNBits"}


def test_nodes_carry_their_torch_module_and_the_file_its_metadata(quantized, tmp_path):
    onnx_qdq.write(quantized, tmp_path / "m.onnx", metadata={"edgekit.model": "joints"})
    model = onnx.load(tmp_path / "m.onnx")
    modules = {prop.value for node in model.graph.node for prop in node.metadata_props}
    assert {"net.stem", "net.deep", "net.point", "net.head"} <= modules
    assert open_onnx(tmp_path / "m.onnx").metadata["edgekit.model"] == "joints"


def test_same_graph_same_bytes(quantized, tmp_path):
    for name in ("a", "b"):
        onnx_qdq.write(quantized, tmp_path / name, metadata={"z": "1", "a": "2"})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_uint8_rewrite_keeps_every_real_value(quantized):
    rewritten = to_uint8(quantized)
    for name, integers in quantized.integers.items():
        before = quantized.qparams[name].dequantize(integers)
        after = rewritten.qparams[name].dequantize(rewritten.integers[name])
        np.testing.assert_array_equal(before, after)
    assert rewritten.qparams["x"].dtype == "uint8"
    assert rewritten.qparams["w1"].dtype == "int8"
    assert rewritten.qparams["x"].low == pytest.approx(quantized.qparams["x"].low)


def test_a_large_model_keeps_its_weights_beside_the_file(monkeypatch, float_file, tmp_path):
    monkeypatch.setattr(onnx_builder, "PROTOBUF_LIMIT_BYTES", 1000)
    onnx_float.write(float_graph(), tmp_path / "big.onnx")
    modes = {(tmp_path / name).stat().st_mode for name in ("big.onnx", "big.onnx.data")}
    assert len(modes) == 1, "who may read the file may read its weights"
    (feed,) = feeds(1)
    session = open_onnx(tmp_path / "big.onnx", taps=["stem"])
    np.testing.assert_array_equal(session.run(feed)["y"], open_onnx(float_file).run(feed)["y"])


def test_the_digest_of_a_large_file_covers_the_weights_beside_it(monkeypatch, tmp_path):
    small = float_artifact(float_graph(), tmp_path / "small.onnx", metadata={})
    assert (small.digest, small.size_bytes) == (digest.of_file(small.path), small.path.stat().st_size)
    monkeypatch.setattr(onnx_builder, "PROTOBUF_LIMIT_BYTES", 1000)
    large = float_artifact(float_graph(), tmp_path / "big.onnx", metadata={})
    files = [large.path, tmp_path / "big.onnx.data"]
    assert large.digest == digest.of_bytes("".join(digest.of_file(file) for file in files).encode())
    assert large.size_bytes == sum(file.stat().st_size for file in files)


def test_a_failed_write_names_the_folder_and_leaves_nothing(quantized, tmp_path):
    with pytest.raises(StorageError, match=r"m\.onnx"):
        onnx_qdq.write(quantized, tmp_path / "absent" / "m.onnx")
    assert not list(tmp_path.iterdir())


def test_tapped_values_of_the_float_file_are_the_clamped_ones(float_file):
    session = open_onnx(float_file, taps=["deep"])
    deep = session.run(feeds(1)[0])["deep"]
    assert deep.min() >= 0
    assert deep.max() <= 6


def test_integer_io_of_the_x86_file_is_described_as_uint8(quantized, tmp_path):
    artifact = emit(quantized, tmp_path / "m.onnx", format="onnx-x86", io="int8", metadata={})
    session = open_onnx(tmp_path / "m.onnx")
    assert artifact.inputs[0].dtype == session.inputs[0].dtype == "uint8"
    assert artifact.inputs[0].zero_point == session.inputs[0].zero_point
    assert json.loads(session.metadata["edgekit.border"]).keys() == {"x", "y"}
