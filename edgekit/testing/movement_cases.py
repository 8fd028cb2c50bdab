"""Cases of pools, reductions, Resize, and the operators that move data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgekit.testing.case import Case, Setup, activation, build_case


def pool_case(
    op: str,
    seed: int = 0,
    *,
    shape: tuple[int, ...] = (1, 3, 8, 9),
    kernel: tuple[int, ...] = (2, 2),
    strides: tuple[int, ...] = (2, 2),
    pads: tuple[int, ...] | None = None,
    count_include_pad: int = 0,
) -> Case:
    """A MaxPool or AveragePool; no window may lie wholly in the padding.

    Args:
        op: "MaxPool" or "AveragePool".
        seed: Of the data.
        shape: Of the input, (1, C, L) or (1, C, H, W).
        kernel: Taps per spatial axis.
        strides: Per spatial axis.
        pads: All begins, then all ends; 0 by default.
        count_include_pad: Whether an average counts padding as zeros.
    """
    attributes = {"kernel_shape": kernel, "strides": strides, "pads": pads or (0,) * 2 * len(kernel)}
    if op == "AveragePool":
        attributes["count_include_pad"] = count_include_pad  # type: ignore[assignment]
    return build_case(op, [activation(np.random.default_rng(seed), shape)], setup=Setup(attributes))


def reduce_case(
    op: str,
    seed: int = 0,
    *,
    shape: tuple[int, ...] = (1, 3, 4, 5),
    axes: tuple[int, ...] = (2, 3),
    keepdims: int = 1,
) -> Case:
    """A ReduceMean, ReduceMax, ReduceSum (a float island), GlobalAveragePool or ArgMax.

    Args:
        op: The operator; GlobalAveragePool ignores `axes`, ArgMax takes the first of them.
        seed: Of the data.
        shape: Of the input.
        axes: Reduced axes, sorted, the batch axis not among them.
        keepdims: Whether they stay with size 1.
    """
    attributes: dict[str, object] = {"axes": axes, "keepdims": keepdims}
    if op == "GlobalAveragePool":
        attributes = {}
    elif op == "ArgMax":
        attributes = {"axis": axes[0], "keepdims": keepdims}
    setup = Setup(attributes, island=op == "ReduceSum", borders=True)
    return build_case(op, [activation(np.random.default_rng(seed), shape)], setup=setup)


def resize_case(
    seed: int = 0,
    *,
    shape: tuple[int, ...] = (1, 3, 4, 5),
    sizes: tuple[int, ...] = (8, 10),
    mode: str = "linear",
    coordinates: str = "half_pixel",
    nearest_mode: str = "floor",
) -> Case:
    """A Resize of the spatial axes.

    Args:
        seed: Of the data.
        shape: Of the input.
        sizes: Spatial size of the result.
        mode: "nearest" or "linear".
        coordinates: "half_pixel", "align_corners" or "asymmetric".
        nearest_mode: Rounding of "nearest".
    """
    attributes = {"sizes": sizes, "mode": mode, "coordinates": coordinates, "nearest_mode": nearest_mode}
    return build_case("Resize", [activation(np.random.default_rng(seed), shape)], setup=Setup(attributes))


def concat_case(
    seed: int = 0, *, shapes: Sequence[tuple[int, ...]] = ((1, 2, 4, 5), (1, 3, 4, 5)), axis: int = 1
) -> Case:
    """A Concat of activations that share one scale.

    Args:
        seed: Of the data.
        shapes: Of the inputs, equal but for `axis`.
        axis: Along which they are joined.
    """
    rng = np.random.default_rng(seed)
    operands = [activation(rng, shape) for shape in shapes]
    return build_case("Concat", operands, setup=Setup({"axis": axis}, batched=axis > 0))


def split_case(
    seed: int = 0, *, shape: tuple[int, ...] = (1, 6, 4, 5), axis: int = 1, split: tuple[int, ...] = (2, 4)
) -> Case:
    """A Split into pieces.

    Args:
        seed: Of the data.
        shape: Of the input.
        axis: That is cut.
        split: Sizes of the pieces.
    """
    setup = Setup({"axis": axis, "split": split}, outputs=len(split), batched=axis > 0)
    return build_case("Split", [activation(np.random.default_rng(seed), shape)], setup=setup)


def slice_case(
    seed: int = 0,
    *,
    shape: tuple[int, ...] = (1, 6, 4, 5),
    axes: tuple[int, ...] = (1, 2),
    starts: tuple[int, ...] = (1, 0),
    ends: tuple[int, ...] = (5, 3),
    steps: tuple[int, ...] = (2, 1),
) -> Case:
    """A Slice; a negative step runs from `starts` down to just above `ends`.

    Args:
        seed: Of the data.
        shape: Of the input.
        axes: Sliced axes.
        starts: First index per sliced axis.
        ends: Index after the last, -1 with a negative step for one before the first.
        steps: Distance between indices.
    """
    setup = Setup({"starts": starts, "ends": ends, "axes": axes, "steps": steps}, batched=0 not in axes)
    return build_case("Slice", [activation(np.random.default_rng(seed), shape)], setup=setup)


def pad_case(
    seed: int = 0,
    *,
    shape: tuple[int, ...] = (1, 3, 4, 5),
    pads: tuple[int, ...] = (0, 0, 1, 2, 0, 1, 0, 1),
    mode: str = "constant",
    value: float = 0.0,
) -> Case:
    """A Pad of any axes.

    Args:
        seed: Of the data.
        shape: Of the input.
        pads: All begins, then all ends.
        mode: "constant", "reflect" or "edge".
        value: Of the constant.
    """
    setup = Setup({"pads": pads, "mode": mode, "value": value}, batched=not (pads[0] or pads[len(shape)]))
    return build_case("Pad", [activation(np.random.default_rng(seed), shape)], setup=setup)


def reshape_case(
    op: str, seed: int = 0, *, shape: tuple[int, ...] = (1, 3, 4, 5), target: tuple[int, ...] = (1, 60)
) -> Case:
    """A Reshape, Expand or Transpose.

    Args:
        op: "Reshape", "Expand" (target is the shape) or "Transpose" (target is the permutation).
        seed: Of the data.
        shape: Of the input.
        target: Shape of the result, or permutation.
    """
    key = "perm" if op == "Transpose" else "shape"
    batched = target[0] == (0 if op == "Transpose" else shape[0])
    return build_case(op, [activation(np.random.default_rng(seed), shape)], setup=Setup({key: target}, batched=batched))


def depth_case(
    op: str, seed: int = 0, *, shape: tuple[int, ...] = (1, 8, 4, 6), blocksize: int = 2, mode: str = "DCR"
) -> Case:
    """A DepthToSpace or SpaceToDepth.

    Args:
        op: The operator.
        seed: Of the data.
        shape: Of the input.
        blocksize: Side of a block in pixels.
        mode: "DCR" or "CRD", DepthToSpace only.
    """
    attributes: dict[str, object] = {"blocksize": blocksize}
    if op == "DepthToSpace":
        attributes["mode"] = mode
    return build_case(op, [activation(np.random.default_rng(seed), shape)], setup=Setup(attributes))


def gather_case(
    seed: int = 0,
    *,
    shape: tuple[int, ...] = (20, 8),
    indices: tuple[int, ...] = (1, 5),
    axis: int = 0,
    table: bool = True,
) -> Case:
    """A Gather: rows of an embedding table by run-time indices, or of an activation by constant ones.

    Args:
        seed: Of the data.
        shape: Of the table or activation.
        indices: Shape of the index tensor.
        axis: Gathered axis.
        table: Whether the data are the constant (and the indices int64 run-time input), or the other way round.
    """
    rng = np.random.default_rng(seed)
    operands = [activation(rng, shape), np.asarray(rng.integers(0, shape[axis], size=indices))]
    setup = Setup({"axis": axis}, constants=frozenset({0 if table else 1}), batched=table or axis > 0)
    return build_case("Gather", operands, setup=setup)
