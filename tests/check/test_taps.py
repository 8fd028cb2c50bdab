import numpy as np
import pytest

from edgekit.check.taps import as_integers, groups, list_values, tap_float, tap_int8
from edgekit.runtime.reference import ReferenceSession, as_float
from edgekit.types.qparams import QParams


def test_groups_keep_order_and_limit(small_net):
    graph = small_net.quantized.graph
    names = ["h1", "h2", "s", "p", "scores"]
    bytes_of_map = 4 * 16 * 12 * 12
    assert list(groups(graph, names, limit_bytes=2 * bytes_of_map)) == [("h1", "h2"), ("s", "p", "scores")]
    assert list(groups(graph, names, limit_bytes=1)) == [(name,) for name in names]
    assert list(groups(graph, [])) == []


def test_float_taps_are_the_graphs_values(small_net):
    sample = next(iter(small_net.samples))
    names = ["image", "h1", "s", "scores"]
    found = tap_float(small_net.files["onnx-fp32"].path, small_net.quantized, names)(sample)
    expected = ReferenceSession(as_float(small_net.quantized.graph), taps=["h1", "s"]).run(sample)
    np.testing.assert_array_equal(found["image"], sample["image"])
    for name in ("h1", "s", "scores"):
        np.testing.assert_allclose(found[name], expected[name], atol=1e-4)


@pytest.mark.parametrize("format", ["onnx-int8", "onnx-x86"])
def test_int8_taps_are_within_a_step_of_the_reference(small_net, format):
    sample = next(iter(small_net.samples))
    names = ["image", "h1", "h2", "s", "scores"]
    found = tap_int8(small_net.files[format].path, small_net.quantized, names)(sample)
    expected = ReferenceSession(small_net.quantized, taps=names[:-1]).run(sample)
    assert set(found) == set(names)
    for name in names:
        step = float(small_net.quantized.qparams[name].scale)
        assert np.abs(found[name] - expected[name]).max() <= 1.001 * step


def test_values_a_file_does_not_hold_are_left_out(small_net):
    path = small_net.files["onnx-fp32"].path
    assert set(tap_float(path, small_net.quantized, ["h1"])(next(iter(small_net.samples)))) == {"h1"}
    assert "h1" in list_values(path)
    assert "h1" not in list_values(small_net.files["onnx-int8"].path)


def test_numbering_of_unsigned_integers():
    params = QParams(np.asarray(0.5), np.asarray(-3))
    assert as_integers(np.array([0, 255], np.uint8), params).tolist() == [-128, 127]
    assert as_integers(np.array([-128, 127], np.int8), params).tolist() == [-128, 127]
    assert as_integers(np.array([0.0, 1.0], np.float32), params).tolist() == [-3, -1]
