import numpy as np
import pytest

W = np.random.default_rng(0).normal(size=(8, 6)).astype(np.float32)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("a = Transpose <perm=[0,2,1]> (x) \n b = Transpose <perm=[0,2,1]> (a) \n y = Exp(b)", "Exp"),
        ("a = Flatten(x) \n y = Reshape(a, s)", "Reshape"),
        ("a = Transpose <perm=[1,0,2]> (x) \n b = MatMul(a, w) \n y = Transpose <perm=[1,0,2]> (b)", "Gemm"),
        ("a = Reshape(x, flat) \n b = MatMul(a, w) \n y = Reshape(b, back)", "Gemm"),
        (
            "a = Transpose <perm=[0,2,1]> (x) \n b = Gather <axis=2> (a, i) \n y = Transpose <perm=[0,2,1]> (b)",
            "Gather",
        ),
        ("a = Slice(x, one, four, one) \n y = Slice(a, one, four, two)", "Slice"),
    ],
)
def test_merged(check, body, expected):
    weights = {
        "s": np.int64([1, 2, 20]),
        "w": W,
        "flat": np.int64([5, 8]),
        "back": np.int64([1, 5, 6]),
        "i": np.int64([3, 0, 1]),
        "one": np.int64([1]),
        "two": np.int64([2]),
        "four": np.int64([4]),
    }
    assert check(f"(float[1,5,8] x) => (float y) {{ {body} }}", weights).ops == expected


def test_a_transpose_of_the_batch_is_no_reshape(check):
    body = "a = Transpose <perm=[1,0,2]> (x) \n b = Add(a, k) \n y = Transpose <perm=[1,0,2]> (b)"
    found = check(f"(float[1,5,8] x) => (float y) {{ {body} }}", {"k": np.ones((5, 1, 8), np.float32)})
    assert found.ops == "Transpose Add Transpose"
    assert found.graph.batch_axes[found.graph.nodes[0].outputs[0]] == 1


def test_a_transpose_of_an_axis_of_size_one_is_a_reshape(check):
    body = "a = Unsqueeze(x, two) \n b = Transpose <perm=[0,2,1,3]> (a) \n y = Exp(b)"
    found = check(f"(float[1,5,8] x) => (float y) {{ {body} }}", {"two": np.int64([2])})
    assert found.ops == "Reshape Exp"
