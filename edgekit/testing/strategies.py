"""Hypothesis strategies: random one-operator cases, with every attribute of the dialect drawn.

Sizes stay small (a case runs in under a millisecond), parameters do not: asymmetric pads, uneven strides, groups,
dilations, odd kernels, every axis.
"""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import strategies as st

from edgekit.testing import single_op
from edgekit.testing.case import Case
from edgekit.testing.single_op import RELU, RELU6
from edgekit.types.operators import OPERATORS, Rule

Draw = st.DrawFn
SEEDS = st.integers(0, 2**20)
ISLANDS = st.sampled_from([False, False, False, False, True])
"""Whether a linear operator computes in float with int8 weights."""
CLAMPS = st.sampled_from([None, RELU, RELU6])
UNARY_FLOAT = ("Exp", "Log", "Sqrt", "Abs", "Neg", "Sin", "Cos", "Floor", "Ceil", "Round", "Reciprocal")
BINARY_FLOAT = ("Div", "Pow", "Max", "Min")


def _ints(draw: Draw, count: int, low: int, high: int) -> tuple[int, ...]:
    return tuple(draw(st.integers(low, high)) for _ in range(count))


def _shape(draw: Draw, *, low: int = 2, high: int = 4) -> tuple[int, ...]:
    """(1, ...) of rank `low` to `high`, 1 to 7 per axis."""
    return (1, *_ints(draw, draw(st.integers(low, high)) - 1, 1, 7))


@st.composite
def conv_cases(draw: Draw) -> Case:
    """Dense, grouped and depthwise convolutions over 1 or 2 axes."""
    rank = draw(st.integers(1, 2))
    group = draw(st.sampled_from([1, 1, 2, 3]))
    depth, multiplier = draw(st.sampled_from([(1, 1), (1, 2), (2, 1), (3, 2), (4, 5)]))
    kernel, dilations = _ints(draw, rank, 1, 4), _ints(draw, rank, 1, 2)
    extents = [step * (taps - 1) + 1 for step, taps in zip(dilations, kernel, strict=True)]
    return single_op.conv_case(
        draw(SEEDS),
        channels=(group * depth, group * multiplier),
        size=tuple(extent + draw(st.integers(0, 6)) for extent in extents),
        kernel=kernel,
        strides=_ints(draw, rank, 1, 3),
        pads=tuple(draw(st.integers(0, min(2, extent - 1))) for extent in (*extents, *extents)),
        dilations=dilations,
        group=group,
        bias=draw(st.booleans()),
        clamp=draw(CLAMPS),
        wide=draw(st.booleans()),
        island=draw(ISLANDS),
    )


@st.composite
def conv_transpose_cases(draw: Draw) -> Case:
    """Transposed convolutions whose result is not empty."""
    rank = draw(st.integers(1, 2))
    group = draw(st.sampled_from([1, 1, 2]))
    kernel, strides = _ints(draw, rank, 1, 4), _ints(draw, rank, 1, 3)
    return single_op.conv_transpose_case(
        draw(SEEDS),
        channels=(group * draw(st.integers(1, 3)), group * draw(st.integers(1, 3))),
        size=_ints(draw, rank, 2, 6),
        kernel=kernel,
        strides=strides,
        pads=tuple(draw(st.integers(0, (taps - 1) // 2)) for taps in (*kernel, *kernel)),
        output_padding=tuple(draw(st.integers(0, stride - 1)) for stride in strides),
        group=group,
        bias=draw(st.booleans()),
        clamp=draw(CLAMPS),
        wide=draw(st.booleans()),
        island=draw(ISLANDS),
    )


@st.composite
def gemm_cases(draw: Draw) -> Case:
    """Linear layers on rank 2 to 4."""
    return single_op.gemm_case(
        draw(SEEDS),
        shape=(*_shape(draw)[:-1], draw(st.integers(1, 70))),
        width=draw(st.integers(1, 20)),
        bias=draw(st.booleans()),
        clamp=draw(CLAMPS),
        wide=draw(st.booleans()),
        island=draw(ISLANDS),
    )


@st.composite
def matmul_cases(draw: Draw) -> Case:
    """Products of activations, ranks 2 to 4, batch axes equal."""
    lead = _shape(draw, low=1, high=3)[1:]
    rows, depth, columns = _ints(draw, 3, 1, 9)
    return single_op.matmul_case(draw(SEEDS), left=(1, *lead, rows, depth), right=(1, *lead, depth, columns))


def _broadcastable(draw: Draw, full: tuple[int, ...], *, is_constant: bool) -> tuple[int, ...]:
    """A shape that broadcasts to `full`; that of a constant may have fewer axes, as (3, 1, 1) beside an image."""
    shape = tuple(size if draw(st.booleans()) else 1 for size in full)
    return shape[draw(st.integers(0, len(full))) :] if is_constant else shape


@st.composite
def binary_cases(draw: Draw, op: str) -> Case:
    """Int8 arithmetic with broadcasting and a constant operand now and then."""
    full = _shape(draw)
    constant = draw(st.sampled_from([None, None, 0, 1]))
    other = _broadcastable(draw, full, is_constant=constant is not None)
    shapes = (other, full) if constant == 0 or (constant is None and draw(st.booleans())) else (full, other)
    return single_op.binary_case(
        op,
        draw(SEEDS),
        left=shapes[0],
        right=shapes[1],
        constant=constant,
        clamp=draw(CLAMPS),
        wide=draw(st.booleans()),
    )


_ATTRIBUTES: dict[str, st.SearchStrategy[dict[str, float | str]]] = {
    "Clip": st.sampled_from(
        [{"low": 0.0, "high": float("inf")}, {"low": 0.0, "high": 6.0}, {"low": -1.0, "high": 1.0}]
    ),
    "LeakyRelu": st.sampled_from([{"alpha": 0.01}, {"alpha": 0.3}]),
    "Gelu": st.sampled_from([{"approximate": "none"}, {"approximate": "tanh"}]),
    **dict.fromkeys(("Sigmoid", "Tanh", "HardSwish"), st.just({})),
}


@st.composite
def unary_cases(draw: Draw, op: str) -> Case:
    """Int8 functions of one tensor."""
    return single_op.unary_case(op, draw(SEEDS), shape=_shape(draw), attributes=draw(_ATTRIBUTES[op]))


@st.composite
def island_cases(draw: Draw, op: str) -> Case:
    """Float operators, between int8 tensors or free-standing."""
    shape = _shape(draw)
    borders = draw(st.booleans())
    if op not in BINARY_FLOAT:
        return single_op.island_case(op, draw(SEEDS), shape=shape, borders=borders)
    constant = draw(st.sampled_from([None, 1]))
    right = _broadcastable(draw, shape, is_constant=constant is not None)
    return single_op.island_case(op, draw(SEEDS), shape=shape, right=right, constant=constant, borders=borders)


@st.composite
def pool_cases(draw: Draw, op: str) -> Case:
    """Pools over 1 or 2 axes; padding stays smaller than the kernel, so no window is empty."""
    rank = draw(st.integers(1, 2))
    kernel = _ints(draw, rank, 1, 4)
    return single_op.pool_case(
        op,
        draw(SEEDS),
        shape=(1, draw(st.integers(1, 5)), *(taps + draw(st.integers(0, 6)) for taps in kernel)),
        kernel=kernel,
        strides=_ints(draw, rank, 1, 3),
        pads=tuple(draw(st.integers(0, taps // 2)) for taps in (*kernel, *kernel)),
        count_include_pad=draw(st.integers(0, 1)),
    )


@st.composite
def reduce_cases(draw: Draw, op: str) -> Case:
    """Reductions of any axes but the batch."""
    shape = _shape(draw, low=3 if op == "GlobalAveragePool" else 2)
    axes = draw(st.sets(st.integers(1, len(shape) - 1), min_size=1))
    return single_op.reduce_case(
        op, draw(SEEDS), shape=shape, axes=tuple(sorted(axes)), keepdims=draw(st.integers(0, 1))
    )


@st.composite
def resize_cases(draw: Draw) -> Case:
    """Both modes and every coordinate rule the dialect has."""
    mode = draw(st.sampled_from(["nearest", "linear"]))
    return single_op.resize_case(
        draw(SEEDS),
        shape=(1, *_ints(draw, 3, 1, 6)),
        sizes=_ints(draw, 2, 1, 12),
        mode=mode,
        coordinates=draw(st.sampled_from(["half_pixel", "align_corners", "asymmetric"])),
        nearest_mode=draw(st.sampled_from(["floor", "round_prefer_floor", "round_prefer_ceil", "ceil"])),
    )


@st.composite
def concat_cases(draw: Draw) -> Case:
    """Two or three tensors along any axis but the batch."""
    shape = list(_shape(draw))
    axis = draw(st.integers(1, len(shape) - 1))
    sizes = _ints(draw, draw(st.integers(2, 3)), 1, 5)
    shapes = [tuple([*shape[:axis], size, *shape[axis + 1 :]]) for size in sizes]
    return single_op.concat_case(draw(SEEDS), shapes=shapes, axis=axis)


@st.composite
def split_cases(draw: Draw) -> Case:
    """Two to four pieces along any axis but the batch."""
    shape = list(_shape(draw))
    axis = draw(st.integers(1, len(shape) - 1))
    pieces = _ints(draw, draw(st.integers(2, 4)), 1, 4)
    shape[axis] = sum(pieces)
    return single_op.split_case(draw(SEEDS), shape=tuple(shape), axis=axis, split=pieces)


@st.composite
def slice_cases(draw: Draw) -> Case:
    """Forward and backward slices of one axis or more."""
    shape = _shape(draw)
    axes = tuple(sorted(draw(st.sets(st.integers(1, len(shape) - 1), min_size=1))))
    starts, ends, steps = [], [], []
    for axis in axes:
        first, last = sorted(_ints(draw, 2, 0, shape[axis] - 1))
        backward = draw(st.booleans())
        starts.append(last if backward else first)
        ends.append(first - 1 if backward else last + 1)
        steps.append(draw(st.integers(1, 2)) * (-1 if backward else 1))
    return single_op.slice_case(
        draw(SEEDS), shape=shape, axes=axes, starts=tuple(starts), ends=tuple(ends), steps=tuple(steps)
    )


@st.composite
def pad_cases(draw: Draw) -> Case:
    """Every mode; reflection stays inside the tensor."""
    shape = (1, *_ints(draw, draw(st.integers(1, 3)), 2, 7))
    mode = draw(st.sampled_from(["constant", "reflect", "edge"]))
    pads = [0 if size == 1 else draw(st.integers(0, min(3, size - 1))) for size in (*shape, *shape)]
    return single_op.pad_case(
        draw(SEEDS), shape=shape, pads=tuple(pads), mode=mode, value=draw(st.sampled_from([0.0, 0.5, -1.0]))
    )


@st.composite
def reshape_cases(draw: Draw) -> Case:
    """Any shape of the same size, batch kept."""
    shape = _shape(draw, low=2, high=5)
    order = draw(st.permutations(shape[1:]))
    merged = draw(st.integers(0, max(len(order) - 2, 0)))
    head = 1
    for size in order[:merged]:
        head *= size
    target = (1, *([head] if merged else []), *order[merged:])
    return single_op.reshape_case("Reshape", draw(SEEDS), shape=shape, target=target)


@st.composite
def transpose_cases(draw: Draw) -> Case:
    """Every permutation that keeps the batch first."""
    shape = _shape(draw, low=2, high=5)
    perm = (0, *draw(st.permutations(range(1, len(shape)))))
    return single_op.reshape_case("Transpose", draw(SEEDS), shape=shape, target=perm)


@st.composite
def expand_cases(draw: Draw) -> Case:
    """Some axes of size 1 repeated."""
    full = _shape(draw)
    shape = tuple(size if index == 0 or draw(st.booleans()) else 1 for index, size in enumerate(full))
    return single_op.reshape_case("Expand", draw(SEEDS), shape=shape, target=full)


@st.composite
def depth_cases(draw: Draw, op: str) -> Case:
    """Blocks of 2 or 3."""
    block = draw(st.integers(2, 3))
    channels, height, width = _ints(draw, 3, 1, 4)
    shape = (1, channels * block**2, height, width)
    if op == "SpaceToDepth":
        shape = (1, channels, height * block, width * block)
    return single_op.depth_case(
        op, draw(SEEDS), shape=shape, blocksize=block, mode=draw(st.sampled_from(["DCR", "CRD"]))
    )


@st.composite
def gather_cases(draw: Draw) -> Case:
    """Embedding look-ups, and constant picks from an activation."""
    indices = _ints(draw, draw(st.integers(0, 2)), 1, 5)
    if draw(st.booleans()):
        table = _ints(draw, 2, 2, 12)
        return single_op.gather_case(draw(SEEDS), shape=table, indices=(1, *indices))
    shape = _shape(draw)
    axis = draw(st.integers(1, len(shape) - 1))
    return single_op.gather_case(draw(SEEDS), shape=shape, indices=indices, axis=axis, table=False)


@st.composite
def softmax_cases(draw: Draw) -> Case:
    """Any axis but the batch."""
    shape = _shape(draw)
    return single_op.softmax_case(draw(SEEDS), shape=shape, axis=draw(st.integers(1, len(shape) - 1)))


@st.composite
def other_cases(draw: Draw, op: str) -> Case:
    """PRelu, LayerNormalization, Requantize and Cast."""
    seed, shape = draw(SEEDS), _shape(draw)
    if op == "PRelu":
        return single_op.prelu_case(seed, shape=shape, shared=draw(st.booleans()))
    if op == "LayerNormalization":
        return single_op.layer_norm_case(seed, shape=(*shape[:-1], draw(st.integers(4, 40))))
    if op == "Requantize":
        return single_op.requantize_case(seed, shape=shape, widen=draw(st.sampled_from([0.5, 1.0, 1.7])))
    return single_op.cast_case(seed, shape=shape, to=draw(st.sampled_from(["float32", "int32", "int64"])))


_BY_OPERATOR: dict[str, Callable[[], st.SearchStrategy[Case]]] = {
    "Conv": conv_cases,
    "ConvTranspose": conv_transpose_cases,
    "Gemm": gemm_cases,
    "MatMul": matmul_cases,
    "Resize": resize_cases,
    "Concat": concat_cases,
    "Split": split_cases,
    "Slice": slice_cases,
    "Pad": pad_cases,
    "Reshape": reshape_cases,
    "Transpose": transpose_cases,
    "Expand": expand_cases,
    "Gather": gather_cases,
    "Softmax": softmax_cases,
}

_FAMILIES: dict[Callable[[str], st.SearchStrategy[Case]], tuple[str, ...]] = {
    binary_cases: ("Add", "Sub", "Mul"),
    unary_cases: tuple(_ATTRIBUTES),
    island_cases: (*UNARY_FLOAT, *BINARY_FLOAT),
    pool_cases: ("MaxPool", "AveragePool"),
    reduce_cases: ("GlobalAveragePool", "ReduceMean", "ReduceMax", "ReduceSum", "ArgMax"),
    depth_cases: ("DepthToSpace", "SpaceToDepth"),
    other_cases: ("PRelu", "LayerNormalization", "Requantize", "Cast"),
}


def cases(op: str) -> st.SearchStrategy[Case]:
    """Random cases of one operator of the dialect."""
    if op in _BY_OPERATOR:
        return _BY_OPERATOR[op]()
    return next(family(op) for family, members in _FAMILIES.items() if op in members)


INT8 = tuple(name for name, row in OPERATORS.items() if row.rule is not Rule.FLOAT)
"""Operators with an int8 form."""
