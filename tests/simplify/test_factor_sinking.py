import numpy as np
import pytest

from edgekit.simplify.factor_sinking import sink_factors
from edgekit.types.graph import Graph, Node, Value

RNG = np.random.default_rng(5)
SWISH = "s = HardSwish(c)"
GATE = "p = GlobalAveragePool(s) \n e = Conv(p, e_w) \n g = HardSigmoid <alpha=0.16666667> (e) \n m = Mul(s, g)"


def w(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def image(body):
    return f"(float[1,4,6,6] x) => (float y) {{ {body} }}"


WEIGHTS = {"w": w(4, 4, 3, 3), "e_w": w(4, 4, 1, 1), "v": w(5, 4, 1, 1)}


def test_hard_swish_between_convolutions_is_one_sum_and_one_product(check):
    found = check(image(f"c = Conv(x, w) \n {SWISH} \n y = Conv <pads=[1,1,1,1]> (s, w)"), WEIGHTS)
    assert found.ops == "Conv Add! Mul Conv"


def test_squeeze_and_excite_lets_the_factor_pass_and_gives_its_own_to_the_convolution_before(check):
    found = check(image(f"c = Conv(x, w) \n {SWISH} \n {GATE} \n y = Conv(m, v)"), WEIGHTS)
    assert found.ops == "Conv Add! Mul GlobalAveragePool Conv! Mul Conv"
    gate = [node for node in found.graph.nodes if node.clamp and node.op == "Conv"]
    assert gate[0].clamp == (0.0, 1.0)


@pytest.mark.parametrize("reader", ["Add(s, c)", "Sigmoid(s)", "Mul(s, s)", "MatMul(s, s)"])
def test_a_factor_that_something_else_reads_stays(check, reader):
    body = f"c = Conv(x, w) \n {SWISH} \n a = {reader} \n b = Conv(s, q) \n y = Concat <axis=1> (a, b)"
    found = check(image(body), {**WEIGHTS, "q": w(3, 4, 1, 1)})
    assert found.ops.split().count("Mul") == (3 if reader == "Mul(s, s)" else 2)


def test_a_result_keeps_its_factor(check):
    assert check(image("c = Conv(x, w) \n y = HardSwish(c)"), WEIGHTS).ops == "Conv Add! Mul Mul"


def test_clips_on_the_way_are_moved(check):
    body = "a = Sigmoid(x) \n m = Mul(a, k) \n c = Clip(m, low, high) \n y = Conv(c, w)"
    found = check(image(body), {**WEIGHTS, "k": np.float32(3), "low": np.float32(1), "high": np.float32(2)})
    assert found.ops == "Sigmoid Clip Conv"
    assert found.node("Clip").attributes["high"] == pytest.approx(2 / 3)


@pytest.mark.parametrize("factor", [0.0, -2.0])
def test_only_positive_factors_commute(check, factor):
    body = "a = Sigmoid(x) \n m = Mul(a, k) \n p = MaxPool <kernel_shape=[2,2]> (m) \n y = Conv(p, w)"
    assert "Mul" in check(image(body), {**WEIGHTS, "k": np.float32(factor)}).ops


def test_a_product_of_two_values_that_carry_the_factor_is_not_proportional_to_it():
    nodes = (
        Node("m", "Mul", ("x", "k"), ("v",)),
        Node("r", "LeakyRelu", ("v",), ("u",), {"alpha": 0.1}),
        Node("p", "Mul", ("v", "u"), ("q",)),
        Node("g", "Gemm", ("q", "w", "b"), ("y",)),
    )
    values = {name: Value(name, (1, 2)) for name in ("x", "v", "u", "q", "y")}
    constants = {"w": np.eye(2, dtype=np.float32), "b": np.zeros(2, np.float32), "k": np.float32(2).reshape(())}
    graph = Graph("net", ("x",), ("y",), nodes, values, constants)
    assert [node.op for node in sink_factors(graph).nodes] == ["Mul", "LeakyRelu", "Mul", "Gemm"]
