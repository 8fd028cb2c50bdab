import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from edgekit.errors import UnsupportedOpError

RNG = np.random.default_rng(1)


def weight(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def last_window_inside(size, kernel, stride, begin, end):
    """Whether the last window of a rounded-up pool still starts on the map, as torch makes sure it does."""
    count = -(-(size + begin + end - kernel) // stride) + 1
    return (count - 1) * stride - begin < size


def test_conv_gets_a_bias_and_explicit_attributes(check):
    found = check('(float[1,4,7] x) => (float y) { y = Conv <auto_pad="SAME_UPPER"> (x, w) }', {"w": weight(6, 4, 3)})
    assert found.ops == "Conv"
    assert found.node("Conv").attributes == {"strides": (1,), "pads": (1, 1), "dilations": (1,), "group": 1}
    assert not found.graph.constants[found.node("Conv").inputs[2]].any()


@pytest.mark.parametrize("mode", ["SAME_UPPER", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize("kernel", [2, 3])
def test_auto_pad_is_written_out(check, mode, kernel):
    body = f'y = Conv <auto_pad="{mode}", strides=[2,2]> (x, w)'
    found = check(f"(float[1,2,8,9] x) => (float y) {{ {body} }}", {"w": weight(3, 2, kernel, kernel)})
    assert found.ops == "Conv"


@pytest.mark.parametrize("extra", ["", "output_padding=[1,1],", "output_shape=[16,16],", 'auto_pad="SAME_UPPER",'])
def test_conv_transpose(check, extra):
    text = f"(float[1,4,8,8] x) => (float y) {{ y = ConvTranspose <{extra} strides=[2,2], group=2> (x, w, b) }}"
    found = check(text, {"w": weight(4, 3, 3, 3), "b": weight(6)})
    assert found.ops == "ConvTranspose"


@given(
    size=st.integers(5, 12),
    kernel=st.integers(1, 4),
    stride=st.integers(1, 3),
    begin=st.integers(0, 2),
    end=st.integers(0, 2),
    counted=st.integers(0, 1),
)
def test_average_pool_with_ceil_mode_is_exact(check, size, kernel, stride, begin, end, counted):
    assume(begin < kernel and end < kernel and last_window_inside(size, kernel, stride, begin, end))
    attributes = (
        f"kernel_shape=[{kernel}], strides=[{stride}], pads=[{begin},{end}], ceil_mode=1, count_include_pad={counted}"
    )
    check(f"(float[1,2,{size}] x) => (float y) {{ y = AveragePool <{attributes}> (x) }}")


@given(size=st.integers(5, 12), kernel=st.integers(1, 4), stride=st.integers(1, 3), pad=st.integers(0, 2))
def test_max_pool_with_ceil_mode_is_exact(check, size, kernel, stride, pad):
    assume(pad < kernel and last_window_inside(size, kernel, stride, pad, pad))
    attributes = f"kernel_shape=[{kernel}], strides=[{stride}], pads=[{pad},{pad}], ceil_mode=1"
    check(f"(float[1,2,{size}] x) => (float y) {{ y = MaxPool <{attributes}> (x) }}")


def test_global_max_pool_is_a_reduction(check):
    found = check("(float[1,3,4,5] x) => (float y) { y = GlobalMaxPool(x) }")
    assert found.ops == "ReduceMax"
    assert found.node("ReduceMax").attributes == {"axes": (2, 3), "keepdims": 1}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("y = MaxPool <kernel_shape=[2,2], dilations=[2,2]> (x)", "dilated"),
        ("y = MaxPool <kernel_shape=[1,1], strides=[4,4], ceil_mode=1> (x)", "outside the map"),
        ("y, i = MaxPool <kernel_shape=[2,2]> (x) \n z = Cast <to=1> (i)", "positions"),
    ],
)
def test_refusals_name_the_reason(check, text, reason):
    outputs = "float[N,C,H,W] y" + (", float[N,C,H,W] z" if "z =" in text else "")
    with pytest.raises(UnsupportedOpError, match=reason):
        check(f"(float[1,3,6,6] x) => ({outputs}) {{ {text} }}")
