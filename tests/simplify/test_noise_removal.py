import numpy as np
import pytest


@pytest.mark.parametrize(
    "body",
    [
        "n = Identity(x)",
        "n = Dropout(x)",
        "n = Cast <to=1> (x)",
        "n = Reshape(x, same)",
        "n = Expand(x, same)",
        "n = Transpose <perm=[0,1,2,3]> (x)",
        "n = Concat <axis=1> (x)",
        "n = Split <axis=1, num_outputs=1> (x)",
        "n = Pad(x, zeros)",
        "n = Slice(x, zero, big)",
        "n = Clip(x)",
        "n = Mul(x, one)",
        "n = Add(no, x)",
        "n = Div(x, one)",
        "n = Sub(x, no)",
        "n = MaxPool <kernel_shape=[1,1]> (x)",
        "n = AveragePool <kernel_shape=[1,1]> (x)",
        "n = Resize(x, , ones)",
        "n = Tile(x, same_count)",
        "f = Flatten(x) \n n = Reshape(f, same)",
    ],
)
def test_noise_is_gone(check, body):
    weights = {
        "same": np.int64([1, 2, 3, 4]),
        "zeros": np.zeros(8, np.int64),
        "zero": np.int64([0]),
        "big": np.int64([2**62]),
        "one": np.float32(1),
        "no": np.zeros((1, 2, 1, 1), np.float32),
        "ones": np.ones(4, np.float32),
        "same_count": np.ones(4, np.int64),
    }
    assert check(f"(float[1,2,3,4] x) => (float y) {{ {body} \n y = Exp(n) }}", weights).ops == "Exp"


def test_a_neutral_constant_that_broadcasts_stays(check):
    found = check("(float[1,1,4] x) => (float y) { y = Mul(x, k) }", {"k": np.ones((1, 3, 1), np.float32)})
    assert found.ops == "Mul"


def test_an_expand_that_broadcasting_does_anyway_goes(check):
    body = "e = Expand(x, s) \n a = Add(e, z) \n y = Mul(e, e)"
    text = f"(float[1,1,4] x, float[1,3,4] z) => (float a, float y) {{ {body} }}"
    assert check(text, {"s": np.int64([1, 3, 4])}).ops == "Expand Add Mul"


def test_movement_of_a_constant_is_a_constant(check):
    body = "y = Attention <q_num_heads=2, kv_num_heads=2> (x, k, k)"
    found = check(f"(float[1,3,8] x) => (float y) {{ {body} }}", {"k": np.ones((1, 5, 8), np.float32)}, opset=23)
    assert all(name not in found.graph.constants for node in found.graph.nodes for name in node.inputs[:1])
