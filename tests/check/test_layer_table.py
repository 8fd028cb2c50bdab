import pytest

from edgekit.check.case import load_case
from edgekit.check.layer_table import make_layer_table
from edgekit.emit.exporter import emit
from edgekit.types.output_noise import OutputNoise


@pytest.fixture
def samples(small_net):
    return [small_net.samples.read(position) for position in range(2)]


def test_rated_shared_and_priced(small_net, samples):
    case = load_case(small_net.list("onnx-fp32", "onnx-int8", "onnx-x86"), small_net.quantized)
    layers, notes = make_layer_table(case, samples, noise=OutputNoise({"n1": 0.1}, {"h1": 0.3, "scores": 0.1}))
    assert notes == ()
    by_value = {layer.value: layer for layer in layers}
    assert by_value["h1"].output_share == pytest.approx(0.8)
    assert by_value["h1"].float_bytes > 1000
    assert by_value["h1"].float_ms is not None


def test_another_float_file_may_be_the_truth(small_net, samples, tmp_path):
    case = load_case(small_net.list("onnx-fp32", "onnx-int8"), small_net.quantized)
    same = emit(small_net.quantized, tmp_path / "same.onnx", format="onnx-fp32", metadata={})
    ratings = [
        [(layer.value, layer.sqnr_db) for layer in make_layer_table(case, samples, inner=path)[0]]
        for path in (None, same.path)
    ]
    assert ratings[0] == ratings[1]
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    layers, (note,) = make_layer_table(case, samples, inner=tmp_path / "bad.onnx")
    assert layers == ()
    assert note.code == "layers-not-rated"


def test_no_qdq_file_no_table(small_net, samples):
    case = load_case(small_net.list("onnx-fp32", "tflite-int8"), small_net.quantized)
    assert make_layer_table(case, samples) == ((), ())
