import numpy as np
import pytest

KINDS = {
    "ReduceMean": "ReduceMean",
    "ReduceMax": "ReduceMax",
    "ReduceSum": "ReduceSum",
    "ReduceMin": "Mul ReduceMax Mul",
    "ReduceL1": "Abs ReduceSum",
    "ReduceL2": "Mul ReduceSum Sqrt",
    "ReduceSumSquare": "Mul ReduceSum",
    "ReduceLogSumExp": "ReduceMax Sub Exp ReduceSum Log Add",
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("keepdims", [0, 1])
def test_reductions(check, kind, keepdims):
    text = f"(float[1,3,4,5] x) => (float y) {{ y = {kind} <keepdims={keepdims}> (x, a) }}"
    found = check(text, {"a": np.int64([-1, 1])})
    assert found.ops.removesuffix(" Reshape") == KINDS[kind]


def test_all_axes_or_none(check):
    assert check("(float[1,3,4] x) => (float y) { y = ReduceMax <keepdims=0> (x) }").ops == "ReduceMax"
    text = "(float[1,3,4] x) => (float y) { e = Exp(x) \n y = ReduceMax <noop_with_empty_axes=1> (e) }"
    assert check(text).ops == "Exp"


def test_axes_of_size_one_are_a_reshape(check):
    text = "(float[1,3,1] x) => (float y) { e = Exp(x) \n y = ReduceMean <keepdims=0> (e, a) }"
    assert check(text, {"a": np.int64([2])}).ops == "Exp Reshape"


@pytest.mark.parametrize(("opset", "expected"), [(20, "Softmax"), (11, "Reshape Softmax Reshape")])
def test_old_softmax_runs_over_all_later_axes(check, opset, expected):
    text = "(float[1,3,4] x) => (float y) { y = Softmax <axis=1> (x) }"
    assert check(text, opset=opset).ops == expected


def test_log_softmax_does_not_take_the_logarithm_of_zero(check):
    found = check("(float[1,3,4] x) => (float y) { b = Mul(x, k) \n y = LogSoftmax(b) }", {"k": np.float32(300)})
    assert "Softmax" not in found.ops


def test_arg_min_is_the_arg_max_of_the_negative(check):
    assert check("(float[1,3,4] x) => (int64 y) { y = ArgMin <axis=-1, keepdims=0> (x) }").ops == "Mul ArgMax"
