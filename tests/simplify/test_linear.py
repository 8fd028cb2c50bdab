import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

RNG = np.random.default_rng(5)


def w(*shape):
    return RNG.normal(size=shape).astype(np.float32)


@given(
    trans_a=st.booleans(),
    trans_b=st.booleans(),
    alpha=st.sampled_from([1.0, 0.5]),
    beta=st.sampled_from([1.0, -2.0]),
    bias=st.sampled_from([None, (), (4,), (1, 4), (1, 1), (3, 1), (3, 4)]),
)
def test_gemm_in_every_form(check, trans_a, trans_b, alpha, beta, bias):
    left = "3,5" if not trans_a else "5,3"
    weights = {"w": w(4, 5) if trans_b else w(5, 4)}
    operands = "x, w"
    if bias is not None:
        weights["c"] = w(*bias)
        operands += ", c"
    attributes = f"transA={int(trans_a)}, transB={int(trans_b)}, alpha={alpha}, beta={beta}"
    found = check(f"(float[{left}] x) => (float y) {{ y = Gemm <{attributes}> ({operands}) }}", weights)
    wide = bias in ((3, 1), (3, 4))
    assert found.ops == "Transpose " * trans_a + "Gemm" + " Add" * wide


def test_gemm_of_two_activations_is_a_matmul(check):
    text = "(float[3,5] x, float[4,5] z) => (float y) { y = Gemm <transB=1, alpha=0.5> (x, z, c) }"
    assert check(text, {"c": w(4)}).ops == "Transpose MatMul Mul Add"


@pytest.mark.parametrize("shape", ["1,5", "1,7,5", "1,2,7,5"])
@pytest.mark.parametrize("bias", [(4,), (1, 4), ()])
def test_matmul_and_add_of_any_rank_are_gemm(check, shape, bias):
    text = f"(float[{shape}] x) => (float y) {{ a = MatMul(x, w) \n b = Add(c, a) \n y = Relu(b) }}"
    assert check(text, {"w": w(5, 4), "c": w(*bias)}).ops == "Gemm!"


def test_matmul_with_a_constant_on_the_left_or_a_batch_of_matrices_stays(check):
    assert check("(float[1,5,3] x) => (float y) { y = MatMul(w, x) }", {"w": w(4, 5)}).ops == "MatMul"
    assert check("(float[1,2,5] x) => (float y) { y = MatMul(x, w) }", {"w": w(3, 5, 4)}).ops == "MatMul"
    assert check("(float[1,2,5] x) => (float y) { y = MatMul(x, w) }", {"w": w(1, 5, 4)}).ops == "Gemm"


def test_an_addend_that_is_no_row_stays(check):
    text = "(float[1,7,5] x) => (float y) { a = MatMul(x, w) \n y = Add(a, c) }"
    assert check(text, {"w": w(5, 4), "c": w(7, 4)}).ops == "Gemm Add"
