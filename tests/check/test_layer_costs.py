import pytest

from edgekit.check import layer_costs
from edgekit.check.layer_costs import Profile, estimate_float_costs, profile
from edgekit.errors import ModelLoadError


@pytest.fixture
def sample(small_net):
    return small_net.samples.read(0)


def test_every_int8_node_has_a_price(small_net, sample):
    files, quantized = small_net.files, small_net.quantized
    costs = estimate_float_costs(files["onnx-fp32"].path, files["onnx-x86"].path, quantized, sample)
    assert costs.keys() == {node.name for node in quantized.graph.nodes}
    timed = [cost.ms for cost in costs.values() if cost.ms is not None]
    assert len(timed) >= 5
    assert all(abs(ms) < 50 for ms in timed)
    stem, head, add = (costs[name].size_bytes for name in ("n1", "n7", "n3"))
    assert stem == 3 * 16 * 27 - 5 * 16 - 4 * 16  # weights; their scales and zero points; scales of the biases
    assert head == 3 * 5 * 16 - 5 * 5 - 4 * 5
    assert add == 0


def test_a_price_is_float_less_int8_and_the_conversions_on_both_sides(small_net, sample, monkeypatch):
    """437 elements are converted in 0.437 ms: a microsecond each."""
    profiles = iter([Profile({"n1": 3.0}, 0.0, 0), Profile({"n1": 1.0, "n7": 0.5}, 0.437, 437)])
    monkeypatch.setattr(layer_costs, "profile", lambda *_: next(profiles))
    costs = estimate_float_costs("float", "int8", small_net.quantized, sample)
    assert costs["n1"].ms == pytest.approx(3.0 - 1.0 + (432 + 16 * 144) / 1e3)
    assert costs["n7"].ms == pytest.approx(0.0 - 0.5 + (16 + 5) / 1e3)
    assert costs["n2"].ms is None


def test_a_profile_finds_the_nodes_of_both_files(small_net, sample):
    int8 = profile(small_net.files["onnx-x86"].path, small_net.quantized, sample)
    exact = profile(small_net.files["onnx-fp32"].path, small_net.quantized, sample)
    assert {"n1", "n2", "n7"} <= int8.nodes.keys() & exact.nodes.keys()
    assert int8.border > 0
    assert int8.converted >= 432 + 5  # image and scores
    assert all(ms >= 0 for ms in (*int8.nodes.values(), *exact.nodes.values()))


def test_an_island_has_no_price(island_net):
    files, quantized = island_net.files, island_net.quantized
    sample = island_net.samples.read(0)
    costs = estimate_float_costs(files["onnx-fp32"].path, files["onnx-x86"].path, quantized, sample)
    assert "n4" not in costs


def test_conversions_around_islands_do_not_make_those_at_a_lone_layer_dear(island_net):
    """Inside the file there are more conversions than at its ends; the price of one counts them all."""
    files, quantized = island_net.files, island_net.quantized
    found = profile(files["onnx-x86"].path, quantized, island_net.samples.read(0))
    graph = quantized.graph
    ends = sum(layer_costs._elements(graph, name) for name in (*graph.inputs, *graph.outputs))
    assert found.converted > ends


def test_a_file_that_does_not_load(small_net, sample, tmp_path):
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"no model")
    with pytest.raises(ModelLoadError, match="cannot load broken"):
        profile(path, small_net.quantized, sample)
