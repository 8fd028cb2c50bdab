import pytest

from edgekit.types.output_noise import OutputNoise, touching
from tests.shrink.quantization.graphs import two_branches

NOISE = OutputNoise(weights={"left": 0.01, "right": 0.02}, values={"x": 0.001, "l": 0.03, "y": 0.04}, samples=2)


def test_a_value_stays_rounded_until_all_around_it_are_float():
    graph = two_branches()
    assert {node.name for node in touching(graph, "l")} == {"left", "join"}
    assert NOISE.without(graph, ()) == pytest.approx(NOISE.total)
    assert NOISE.without(graph, {"left"}) == pytest.approx(NOISE.total - 0.01)
    assert NOISE.without(graph, {"left", "join"}) == pytest.approx(NOISE.total - 0.01 - 0.03 - 0.04)
    assert NOISE.without(graph, {"left", "right", "join"}) == pytest.approx(0.0)


def test_a_node_owns_its_constants_and_its_results():
    left, _, join = two_branches().nodes
    assert NOISE.share_of(left) == pytest.approx(0.04 / 0.101)
    assert NOISE.share_of(join) == pytest.approx(0.04 / 0.101)
