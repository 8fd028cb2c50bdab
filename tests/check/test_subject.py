import numpy as np
import pytest

from edgekit.check.subject import Subject, as_loaded, integers_of, match, open_subject
from edgekit.errors import CheckError
from edgekit.types.spec import TensorSpec


def first_sample(net):
    return next(iter(net.samples))


@pytest.mark.parametrize("format", ["onnx-int8", "onnx-x86", "onnx-qop", "tflite-int8"])
def test_int8_borders_say_the_same_as_float_borders(small_net, rewrite, format):
    quantized, files = rewrite(small_net.quantized, formats=(format,), io="int8")
    sample = first_sample(small_net)
    stored = open_subject(files[format], quantized)
    plain = open_subject(small_net.files[format], quantized)
    assert stored.session.inputs[0].dtype in ("int8", "uint8")
    assert plain.session.inputs[0].dtype == "float32"
    np.testing.assert_allclose(stored.run(sample)["scores"], plain.run(sample)["scores"], atol=1e-6)


def test_a_broken_file_gives_the_runtimes_message(small_net, tmp_path):
    path = tmp_path / "model.int8.onnx"
    path.write_bytes(b"nothing")
    message = open_subject(type(small_net.files["onnx-int8"])(path, "onnx-int8", 7, "", (), ()), small_net.quantized)
    assert isinstance(message, str)
    assert "model.int8.onnx" in message


def test_the_artifact_is_shown_as_the_runtime_sees_it(small_net):
    subject = open_subject(small_net.files["tflite-int8"], small_net.quantized)
    assert isinstance(subject, Subject)
    (image,) = as_loaded(subject).inputs
    assert (image.name, image.shape, image.permutation) == ("image", (1, 3, 12, 12), (0, 2, 3, 1))


def test_tensors_are_matched_by_name_then_by_position():
    a, b, renamed = TensorSpec("a", (1,)), TensorSpec("b", (1,)), TensorSpec("in:0", (1,))
    assert match(["a", "b"], [b, a]) == [("a", a), ("b", b)]
    assert match(["a"], [renamed]) == [("a", renamed)]
    with pytest.raises(CheckError, match="2 tensors"):
        match(["a", "b"], [renamed])


def test_integers_of_skips_plain_floats(small_net):
    params = small_net.quantized.qparams["scores"]
    reals = {"scores": params.dequantize(np.array([[1, -7]], np.int8)), "other": np.ones(2, np.float32)}
    reals["index"] = np.array([4])
    found = integers_of(reals, small_net.quantized)
    assert found["scores"].tolist() == [[1, -7]]
    assert set(found) == {"scores", "index"}
