import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.simplify.clamp import merged

W = np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype(np.float32)
CONV = "c = Conv(x, w)"
BOUNDS = st.tuples(st.floats(-4, 4), st.floats(-4, 4)).map(sorted).map(tuple)


def model(body):
    return f"(float[1,3,8,8] x) => (float y) {{ {body} }}"


@pytest.mark.parametrize(
    ("body", "clamp"),
    [
        ("y = Relu(c)", (0.0, math.inf)),
        (
            "low = Constant <value_float=-1.0> () \n high = Constant <value_float=2.0> () \n y = Clip(c, low, high)",
            (-1, 2),
        ),
        ("six = Constant <value_float=6.0> () \n r = Relu(c) \n y = Min(r, six)", (0.0, 6.0)),
        ("p = MaxPool <kernel_shape=[2,2]> (c) \n y = Relu(p)", (0.0, math.inf)),
        ("t = Transpose <perm=[0,2,3,1]> (c) \n y = Relu(t)", (0.0, math.inf)),
    ],
)
def test_clips_are_absorbed_by_the_convolution(check, body, clamp):
    found = check(model(f"{CONV} \n {body}"), {"w": W})
    assert "Clip" not in found.ops
    assert found.node("Conv").clamp == clamp


def test_a_clip_stays_when_the_value_is_read_elsewhere(check):
    found = check(model(f"{CONV} \n r = Relu(c) \n y = Add(c, r)"), {"w": W})
    assert found.ops == "Conv Clip Add"


def test_a_clip_stays_on_an_input_and_on_an_average_pool(check):
    found = check(model("p = AveragePool <kernel_shape=[2,2]> (x) \n y = Relu(p)"))
    assert found.ops == "AveragePool Clip"


def test_a_clip_of_something_bounded_goes(check):
    found = check(model("s = Sigmoid(x) \n y = Relu(s)"))
    assert found.ops == "Sigmoid"


@given(BOUNDS, BOUNDS, st.floats(-6, 6))
def test_law_merged_bounds_are_clip_after_clip(first, second, x):
    low, high = merged(first, second)
    assert low <= high
    assert min(max(x, low), high) == min(max(min(max(x, first[0]), first[1]), second[0]), second[1])
