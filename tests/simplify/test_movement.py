import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import UnsupportedOpError

INTS = st.integers(-9, 9)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("y = Flatten(x)", "Reshape"),
        ("y = Flatten <axis=3> (x)", "Reshape"),
        ("y = Squeeze(x, zero)", "Reshape"),
        ("u = Unsqueeze(x, zero) \n y = Squeeze(u, one)", "Reshape"),
        ("y = Transpose(x)", "Transpose"),
        ("y = Expand(x, wide)", "Reshape Expand"),
        ("y = Tile(x, twice)", "Concat Concat"),
        ("y = Identity(x)", "Reshape"),
        ("y = Cast <to=6> (x)", "Cast"),
        ("y = Gather <axis=1> (x, last)", "Slice Reshape"),
        ("y = Gather <axis=2> (x, even)", "Slice"),
        ("y = Gather <axis=2> (x, odd)", "Gather"),
        ("t = Transpose <perm=[2,1,0,3]> (x) \n g = GatherND(t, nd) \n y = Transpose <perm=[2,1,0,3]> (g)", "Gather"),
        ("y = Concat <axis=-1> (x, empty)", "Reshape"),
        ("y = SpaceToDepth <blocksize=2> (x)", "SpaceToDepth"),
    ],
)
def test_movement_in_one_line(check, body, expected):
    weights = {
        "zero": np.int64([0]),
        "one": np.int64([1]),
        "wide": np.int64([2, 1, 4, 6, 4]),
        "twice": np.int64([1, 1, 2, 2]),
        "last": np.int64(-1),
        "even": np.int64([0, 2, 4]),
        "odd": np.int64([[0, 3], [-1, 1]]),
        "nd": np.int64([[3], [-1], [1]]),
        "empty": np.zeros((1, 4, 6, 0), np.float32),
    }
    kind = "int32" if "Cast" in body else "float"
    assert check(f"(float[1,4,6,4] x) => ({kind} y) {{ {body} }}", weights).ops == expected


@given(start=INTS, end=INTS, step=st.sampled_from([-3, -2, -1, 1, 2, 3]), axis=st.sampled_from([1, 2, -1]))
def test_slices_are_clamped_as_onnx_does(check, start, end, step, axis):
    size = {1: 5, 2: 6, -1: 6}[axis]
    if not len(range(size)[start:end:step]):
        return  # empty results are no use to anyone
    weights = {"s": np.int64([start]), "e": np.int64([end]), "a": np.int64([axis]), "t": np.int64([step])}
    found = check("(float[1,5,6] x) => (float y) { z = Slice(x, s, e, a, t) \n y = Exp(z) }", weights)
    assert found.ops in ("Slice Exp", "Exp")


@given(pads=st.lists(st.integers(-2, 3), min_size=4, max_size=4), mode=st.sampled_from(["constant", "reflect", "edge"]))
def test_pads_of_any_sign(check, pads, mode):
    weights = {"p": np.int64([0, *pads[:2], 0, *pads[2:]]), "v": np.float32(1.5)}
    operands = "x, p, v" if mode == "constant" else "x, p"
    check(f'(float[1,6,7] x) => (float y) {{ y = Pad <mode="{mode}"> ({operands}) }}', weights)


def test_wrapping_pads_are_slices_and_a_concat(check):
    text = '(float[1,6,7] x) => (float y) { y = Pad <mode="wrap"> (x, p, , a) }'
    assert check(text, {"p": np.int64([2, 1]), "a": np.int64([-1])}).ops == "Slice Slice Concat"


@pytest.mark.parametrize("split", [np.int64([2, 4]), np.int64(4), None])
def test_sequences_read_at_known_positions_are_a_split(check, split):
    operands = "x" if split is None else "x, n"
    body = f"q = SplitToSequence <axis=1> ({operands}) \n a = SequenceAt(q, i) \n b = SequenceAt(q, j) \n y = Mul(a, b)"
    weights = {"i": np.int64(0), "j": np.int64(-1), **({} if split is None else {"n": split})}
    text = f"(float[1,6,3] x) => (float y) {{ {body} }}"
    if split is not None:
        weights["n"] = np.int64([3, 3]) if np.ndim(split) else np.int64(3)
    assert check(text, weights).ops == "Split Mul"


def test_arguments_computed_at_run_time_are_refused(check):
    text = "(float[1,6] x, int64[1] s, int64[1] e) => (float y) { y = Slice(x, s, e) }"
    with pytest.raises(UnsupportedOpError, match=r"Slice in .*its starts is computed at run time"):
        check(text)


@pytest.mark.parametrize("opset", [11, 13, 18, 20])
def test_every_opset_keeps_its_arguments_elsewhere(check, opset):
    weights = {"a": np.int64([1]), "n": np.int64([2, 4]), "p": np.int64([0, 1, 0, 0, 1, 0])}
    if opset < 13:
        body = "u = Unsqueeze <axes=[1]> (x) \n s = Squeeze <axes=[1]> (u) \n c, d = Split <axis=1, split=[2,4]> (s)"
        body += "\n e = ReduceSum <axes=[1]> (d) \n r = ReduceMean <axes=[1]> (c)"
    else:
        axes = ("ReduceMean <axes=[1]> (c)") if opset < 18 else "ReduceMean(c, a)"
        body = "u = Unsqueeze(x, a) \n s = Squeeze(u, a) \n c, d = Split <axis=1> (s, n)"
        body += f"\n e = ReduceSum(d, a) \n r = {axes}"
    text = f"(float[1,6,3] x) => (float y) {{ {body} \n f = Pad(e, p) \n y = Add(f, r) }}"
    assert check(text, weights, opset=opset).ops == "Split ReduceSum ReduceMean Pad Add"
