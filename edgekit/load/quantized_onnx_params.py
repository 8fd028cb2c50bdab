"""Scale and zero point of one QuantizeLinear or DequantizeLinear, read from an ONNX file nobody has looked at yet.

Everything is taken to the types of edgekit: activations and weights int8 (unsigned ones moved by 128, which changes no
real value), biases int32. What no integer kernel can run is refused here, with the tensor's name and the value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx

from edgekit.errors import ModelLoadError
from edgekit.types.imported import StoredConstant
from edgekit.types.qparams import Array, QParams

_HINT = "edgekit takes int8 and uint8 activations per tensor, and int8, uint8 or int4 weights with one scale an axis"
_WIDENED = {"int8": "int8", "uint8": "int8", "int32": "int32", "int4": "int8", "uint4": "int8"}
"""dtype in the file -> dtype of edgekit."""


@dataclass(frozen=True, eq=False)
class Grid:
    """What a Q or DQ node says.

    Attributes:
        params: In edgekit's types.
        offset: What has to be added to the file's integers to get those of `params`: -128 for uint8, else 0.
    """

    params: QParams
    offset: int


def read_grid(
    node: onnx.NodeProto, constants: Mapping[str, Array], *, tensor: str, rank: int | None, stored: str = ""
) -> Grid:
    """Read the scale and zero point of a Q or DQ node.

    Args:
        node: Its inputs 1 and 2 are names of constants.
        constants: Every constant of the file.
        tensor: What the node quantizes, for messages.
        rank: Axes of the tensor, needed when the scales run along one of them; None when it is not known.
        stored: dtype of the integers where it is known: it is the type of an absent zero point.

    Raises:
        ModelLoadError: A scale is computed at run time, absent, zero, negative or not finite; an integer type, block
            size or axis that no integer kernel takes.
    """
    scale = _constant(node, 1, constants, tensor, "scale")
    assert scale is not None
    zero = _constant(node, 2, constants, tensor, "zero point") if len(node.input) > 2 and node.input[2] else None
    dtype = str(zero.dtype) if zero is not None else stored or _output_type(node)
    if dtype not in _WIDENED:
        raise ModelLoadError(f"'{tensor}' is quantized to {dtype}, which no int8 kernel takes", hint=_HINT)
    settings = {attribute.name: attribute.i for attribute in node.attribute}
    if settings.get("block_size", 0) or scale.ndim > 1:
        raise ModelLoadError(f"'{tensor}' has a scale for each block, which no int8 kernel takes", hint=_HINT)
    _refuse_scale(scale, tensor)
    zeros = np.zeros(scale.shape, np.int32) if zero is None else np.asarray(zero).astype(np.int32).reshape(-1)
    if zeros.size != scale.size:
        raise ModelLoadError(f"'{tensor}' has {scale.size} scales and {zeros.size} zero points")
    offset = -128 if dtype == "uint8" else 0
    zeros = zeros.reshape(scale.shape) + offset
    if scale.size == 1:
        return Grid(QParams(scale.reshape(()), zeros.reshape(()), _WIDENED[dtype]), offset)
    return Grid(QParams(scale, zeros, _WIDENED[dtype], _axis(settings.get("axis", 1), rank, tensor)), offset)


def activation_params(grid: Grid, tensor: str) -> QParams:
    """The grid of a tensor that exists at run time.

    Raises:
        ModelLoadError: It is per channel or of 32 bits.
    """
    params = grid.params
    if params.axis is not None:
        raise ModelLoadError(
            f"activation '{tensor}' has {params.scale.size} scales, one per channel; integer kernels take one",
            hint="quantize activations per tensor; only weights may have a scale per channel",
        )
    if params.dtype != "int8":
        raise ModelLoadError(f"activation '{tensor}' is quantized to {params.dtype}", hint=_HINT)
    return params


def stored_constant(integers: Array, grid: Grid, tensor: str) -> StoredConstant:
    """Integers of the file with their grid, moved to edgekit's types.

    Raises:
        ModelLoadError: The scales do not run along an axis of that size.
    """
    params = grid.params
    if params.axis is not None and integers.shape[params.axis] != params.scale.size:
        size = integers.shape[params.axis]
        raise ModelLoadError(f"'{tensor}' has {params.scale.size} scales along axis {params.axis}, which has {size}")
    moved = (integers.astype(np.int32) + grid.offset).astype(params.dtype)
    return StoredConstant(params, moved)


def same_numbers(first: QParams, second: QParams) -> bool:
    """Whether two nodes say the same, whatever they say of an axis."""
    return first.dtype == second.dtype and all(
        np.array_equal(one.reshape(-1), other.reshape(-1))
        for one, other in ((first.scale, second.scale), (first.zero_point, second.zero_point))
    )


def _constant(node: onnx.NodeProto, slot: int, constants: Mapping[str, Array], tensor: str, what: str) -> Array | None:
    name = node.input[slot] if slot < len(node.input) else ""
    if name not in constants:
        raise ModelLoadError(
            f"the {what} of '{tensor}' ('{name}') is not stored in the file",
            hint="scales that are computed at run time (dynamic quantization) cannot be imported"
            if name
            else "the file is damaged; export it again",
        )
    return constants[name]


def _refuse_scale(scale: Array, tensor: str) -> None:
    if scale.dtype != np.float32:
        raise ModelLoadError(f"the scale of '{tensor}' is {scale.dtype}; integer kernels take float32")
    bad = np.flatnonzero(~(np.isfinite(scale.reshape(-1)) & (scale.reshape(-1) > 0)))
    if bad.size or not scale.size:
        found = f"{scale.reshape(-1)[bad[0]]:g}" if bad.size else "nothing"
        where = f" (channel {bad[0]})" if scale.size > 1 else ""
        raise ModelLoadError(
            f"the scale of '{tensor}' is {found}{where}; no integer kernel can run that",
            hint="a scale is a positive finite number; quantize the model again",
        )


def _output_type(node: onnx.NodeProto) -> str:
    """Type of the integers without a zero point: `output_dtype` (opset 21), else uint8 (ONNX QuantizeLinear)."""
    kind = next((attribute.i for attribute in node.attribute if attribute.name == "output_dtype"), 0)
    return str(onnx.helper.tensor_dtype_to_np_dtype(kind)) if kind else "uint8"


def _axis(axis: int, rank: int | None, tensor: str) -> int:
    if rank is None and axis >= 0:
        return axis
    if rank is None or not -rank <= axis < rank:
        raise ModelLoadError(f"'{tensor}' has scales along axis {axis}, and {rank} axes")
    return axis % rank
