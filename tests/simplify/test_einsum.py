import numpy as np
import pytest

from edgekit.errors import UnsupportedOpError


@pytest.mark.parametrize(
    ("equation", "left", "right"),
    [
        ("bij,bjk->bik", "1,3,4", "1,4,5"),
        ("bij,bkj->bki", "1,3,4", "1,5,4"),
        ("bhid,bhjd->bhij", "1,2,3,4", "1,2,5,4"),
        ("bnchw,bnc->bnhw", "1,2,3,4,5", "1,2,3"),
        ("bijk,blkj->bil", "1,2,3,4", "1,5,4,3"),
    ],
)
def test_products_of_activations(check, equation, left, right):
    text = f'(float[{left}] x, float[{right}] z) => (float y) {{ y = Einsum <equation="{equation}"> (x, z) }}'
    assert "MatMul" in check(text).ops


def test_a_constant_operand_is_a_weight(check):
    text = '(float[1,3,4] x) => (float y) { y = Einsum <equation="bnd,de->bne"> (x, w) }'
    assert check(text, {"w": np.ones((4, 5), np.float32)}).ops == "Gemm"


@pytest.mark.parametrize("equation", ["bij,bij->bij", "bii,bij->bj", "bij,bjk->bk"])
def test_other_equations_are_refused(check, equation):
    text = f'(float[1,3,3] x, float[1,3,3] z) => (float y) {{ y = Einsum <equation="{equation}"> (x, z) }}'
    with pytest.raises(UnsupportedOpError, match="equation"):
        check(text)
