import pytest

from edgekit.check.fusion_litert import read_tflite
from edgekit.errors import ModelLoadError


def test_every_planned_node_runs_on_integers(small_net):
    fusion = read_tflite(small_net.files["tflite-int8"].path, small_net.quantized)
    assert (fusion.planned_int8, fusion.float, fusion.conversions) == (6, 0, 2)
    assert fusion.operators["DEPTHWISE_CONV_2D"] == 1
    assert fusion.left_float == ()
    assert fusion.delegated in (0, 1)  # all of it in one partition, or a build without XNNPACK


def test_an_island_is_counted_as_float(island_net):
    fusion = read_tflite(island_net.files["tflite-int8"].path, island_net.quantized)
    assert (fusion.planned_float, fusion.float) == (1, 1)
    assert fusion.operators["EXP"] == 1
    assert fusion.left_float == ()


def test_a_corrupt_file_is_a_load_error(tmp_path, small_net):
    path = tmp_path / "broken.tflite"
    path.write_bytes(b"not a model at all")
    with pytest.raises(ModelLoadError, match=r"broken\.tflite"):
        read_tflite(path, small_net.quantized)
