"""The float operators of the dialect as differentiable torch functions.

Semantics are those of `edgekit.types.operators` (ONNX opset 20 where it says nothing); the NumPy reference interpreter
is the referee in the tests. A function takes the node and its present inputs and gives one tensor or a tuple.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from edgekit.types.graph import Node

Function = Callable[[Node, Sequence[Tensor]], Tensor | tuple[Tensor, ...]]


def _border(pads: Sequence[int]) -> list[int]:
    """ONNX pads (all begins, then all ends) in torch's order: last axis first, begin and end together."""
    half = len(pads) // 2
    return [pads[axis + side * half] for axis in reversed(range(half)) for side in (0, 1)]


def _is_symmetric(pads: Sequence[int]) -> bool:
    half = len(pads) // 2
    return list(pads[:half]) == list(pads[half:])


def _padded(node: Node, x: Tensor, value: float) -> Tensor:
    pads = node.attributes["pads"]
    return F.pad(x, _border(pads), value=value) if any(pads) else x


def _conv(node: Node, inputs: Sequence[Tensor]) -> Tensor:
    x, weight, *bias = inputs
    pads, half = node.attributes["pads"], len(node.attributes["pads"]) // 2
    is_symmetric = _is_symmetric(pads)
    convolve = (F.conv1d, F.conv2d, F.conv3d)[weight.ndim - 3]
    return convolve(
        x if is_symmetric else _padded(node, x, 0.0),
        weight,
        bias[0] if bias else None,
        node.attributes["strides"],
        list(pads[:half]) if is_symmetric else 0,
        node.attributes["dilations"],
        node.attributes["group"],
    )


def _conv_transpose(node: Node, inputs: Sequence[Tensor]) -> Tensor:
    """Full result (pads 0), then `output_padding` at the end, then the crop by pads: right for any pads."""
    x, weight, *bias = inputs
    spatial = weight.ndim - 2
    convolve = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[spatial - 1]
    strides, dilations = node.attributes["strides"], node.attributes["dilations"]
    full = convolve(x, weight, None, strides, 0, 0, node.attributes["group"], dilations)
    pads, extra = node.attributes["pads"], node.attributes["output_padding"]
    border = [-pad for pad in pads[:spatial]] + [more - pad for more, pad in zip(extra, pads[spatial:], strict=True)]
    cropped = F.pad(full, _border(border))
    return cropped + bias[0].reshape(-1, *[1] * spatial) if bias else cropped


def _gemm(node: Node, inputs: Sequence[Tensor]) -> Tensor:
    return F.linear(inputs[0], inputs[1], inputs[2] if len(inputs) > 2 else None)


def _max_pool(node: Node, inputs: Sequence[Tensor]) -> Tensor:
    kernel, strides = node.attributes["kernel_shape"], node.attributes["strides"]
    pool = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[len(kernel) - 1]
    return pool(_padded(node, inputs[0], float("-inf")), kernel, strides)


def _average_pool(node: Node, inputs: Sequence[Tensor]) -> Tensor:
    x, kernel, strides = inputs[0], node.attributes["kernel_shape"], node.attributes["strides"]
    pool = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[len(kernel) - 1]
    result = pool(_padded(node, x, 0.0), kernel, strides)
    if node.attributes["count_include_pad"] or not any(node.attributes["pads"]):
        return result
    share = pool(_padded(node, torch.ones_like(x[:1, :1]), 0.0), kernel, strides)
    return result / share.clamp_min(1e-9)


def _mean(node: Node, inputs: Sequence[Tensor]) -> Tensor:
    return inputs[0].mean(list(node.attributes["axes"]), keepdim=bool(node.attributes["keepdims"]))


def _largest(node: Node, inputs: Sequence[Tensor]) -> Tensor:
    return inputs[0].amax(list(node.attributes["axes"]), keepdim=bool(node.attributes["keepdims"]))


def _total(node: Node, inputs: Sequence[Tensor]) -> Tensor:
    return inputs[0].sum(
        list(node.attributes["axes"]), keepdim=bool(node.attributes["keepdims"]), dtype=inputs[0].dtype
    )


def _slice(node: Node, inputs: Sequence[Tensor]) -> Tensor:
    x = inputs[0]
    bounds = zip(*(node.attributes[key] for key in ("axes", "starts", "ends", "steps")), strict=True)
    for axis, start, end, step in bounds:
        if step > 0:
            x = x[(slice(None),) * axis + (slice(start, end, step),)]
        else:
            x = x.index_select(axis, torch.arange(start, end, step, device=x.device))
    return x


def _pad(node: Node, inputs: Sequence[Tensor]) -> Tensor:
    x, pads, mode = inputs[0], node.attributes["pads"], node.attributes["mode"]
    if mode == "constant":
        return F.pad(x, _border(pads), value=float(node.attributes["value"]))
    half = len(pads) // 2
    for axis in range(half):  # one axis after the other by index: any rank, which torch's own padding lacks
        size, begin, end = x.shape[axis], pads[axis], pads[axis + half]
        if begin or end:
            where = torch.arange(-begin, size + end, device=x.device)
            if mode == "reflect":
                where = (size - 1) - ((where.abs()) - (size - 1)).abs()
            x = x.index_select(axis, where.clamp(0, size - 1))
    return x


_ROUNDINGS: dict[str, Callable[[Tensor], Tensor]] = {
    "floor": torch.floor,
    "ceil": torch.ceil,
    "round_prefer_floor": lambda where: torch.ceil(where - 0.5),
    "round_prefer_ceil": lambda where: torch.floor(where + 0.5),
}


def _coordinates(size: int, result: int, mode: str) -> Tensor:
    index = torch.arange(result, dtype=torch.float64)
    if mode == "half_pixel":
        return (2 * index + 1) * size / (2 * result) - 0.5
    if mode == "align_corners":
        return index * (size - 1) / max(result - 1, 1)
    return index * size / result


def _resize(node: Node, inputs: Sequence[Tensor]) -> Tensor:
    x = inputs[0]
    for axis, result in enumerate(node.attributes["sizes"], start=2):
        size = x.shape[axis]
        where = _coordinates(size, result, node.attributes["coordinates"]).to(x.device)
        if node.attributes["mode"] == "nearest":
            picked = _ROUNDINGS[node.attributes["nearest_mode"]](where)
            x = x.index_select(axis, picked.clamp(0, size - 1).long())
            continue
        where = where.clamp(0, size - 1)
        lower = where.floor().long()
        share = (where - lower).to(x.dtype).reshape(-1, *[1] * (x.ndim - axis - 1))
        first = x.index_select(axis, lower)
        x = first + (x.index_select(axis, (lower + 1).clamp_max(size - 1)) - first) * share
    return x


def _depth_to_space(node: Node, inputs: Sequence[Tensor]) -> Tensor:
    x, block = inputs[0], node.attributes["blocksize"]
    if node.attributes["mode"] == "CRD":
        return F.pixel_shuffle(x, block)
    n, c, h, w = x.shape
    parts = x.reshape(n, block, block, c // block**2, h, w).permute(0, 3, 4, 1, 5, 2)
    return parts.reshape(n, c // block**2, h * block, w * block)


def _space_to_depth(node: Node, inputs: Sequence[Tensor]) -> Tensor:
    x, block = inputs[0], node.attributes["blocksize"]
    n, c, h, w = x.shape
    parts = x.reshape(n, c, h // block, block, w // block, block).permute(0, 3, 5, 1, 2, 4)
    return parts.reshape(n, c * block**2, h // block, w // block)


def _gather(node: Node, inputs: Sequence[Tensor]) -> Tensor:
    data, index, axis = inputs[0], inputs[1].long(), node.attributes["axis"]
    index = torch.where(index < 0, index + data.shape[axis], index)
    shape = (*data.shape[:axis], *index.shape, *data.shape[axis + 1 :])
    return data.index_select(axis, index.reshape(-1)).reshape(shape)


def _layer_norm(node: Node, inputs: Sequence[Tensor]) -> Tensor:
    bias = inputs[2] if len(inputs) > 2 else None
    return F.layer_norm(inputs[0], inputs[0].shape[-1:], inputs[1], bias, node.attributes["epsilon"])


def _divide(node: Node, inputs: Sequence[Tensor]) -> Tensor:
    return torch.div(inputs[0], inputs[1], rounding_mode=None if inputs[0].is_floating_point() else "trunc")


def _argmax(node: Node, inputs: Sequence[Tensor]) -> Tensor:
    return inputs[0].argmax(node.attributes["axis"], keepdim=bool(node.attributes["keepdims"]))


def _split(node: Node, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    return tuple(torch.split(inputs[0], list(node.attributes["split"]), node.attributes["axis"]))


def _plain(function: Callable[..., Tensor]) -> Function:
    return lambda node, inputs: function(*inputs)


FUNCTIONS: dict[str, Function] = {
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "Gemm": _gemm,
    "MatMul": _plain(torch.matmul),
    "Add": _plain(torch.add),
    "Sub": _plain(torch.sub),
    "Mul": _plain(torch.mul),
    "Div": _divide,
    "Pow": _plain(torch.pow),
    "Max": _plain(torch.maximum),
    "Min": _plain(torch.minimum),
    "Clip": lambda node, inputs: inputs[0].clamp(node.attributes["low"], node.attributes["high"]),
    "LeakyRelu": lambda node, inputs: F.leaky_relu(inputs[0], node.attributes["alpha"]),
    "PRelu": lambda node, inputs: torch.where(inputs[0] < 0, inputs[0] * inputs[1], inputs[0]),
    "Gelu": lambda node, inputs: F.gelu(inputs[0], approximate=node.attributes["approximate"]),
    "Sigmoid": _plain(torch.sigmoid),
    "Tanh": _plain(torch.tanh),
    "HardSwish": _plain(F.hardswish),
    "Softmax": lambda node, inputs: inputs[0].softmax(node.attributes["axis"]),
    "LayerNormalization": _layer_norm,
    "MaxPool": _max_pool,
    "AveragePool": _average_pool,
    "GlobalAveragePool": lambda node, inputs: inputs[0].mean(list(range(2, inputs[0].ndim)), keepdim=True),
    "ReduceMean": _mean,
    "ReduceMax": _largest,
    "ReduceSum": _total,
    "Concat": lambda node, inputs: torch.cat(list(inputs), node.attributes["axis"]),
    "Split": _split,
    "Slice": _slice,
    "Pad": _pad,
    "Reshape": lambda node, inputs: inputs[0].reshape(node.attributes["shape"]),
    "Transpose": lambda node, inputs: inputs[0].permute(node.attributes["perm"]),
    "Expand": lambda node, inputs: inputs[0].expand(node.attributes["shape"]),
    "Resize": _resize,
    "DepthToSpace": _depth_to_space,
    "SpaceToDepth": _space_to_depth,
    "Gather": _gather,
    "ArgMax": _argmax,
    "Requantize": lambda node, inputs: inputs[0],
    "Exp": _plain(torch.exp),
    "Log": _plain(torch.log),
    "Sqrt": _plain(torch.sqrt),
    "Abs": _plain(torch.abs),
    "Neg": _plain(torch.neg),
    "Sin": _plain(torch.sin),
    "Cos": _plain(torch.cos),
    "Floor": _plain(torch.floor),
    "Ceil": _plain(torch.ceil),
    "Round": _plain(torch.round),
    "Reciprocal": _plain(torch.reciprocal),
    "Cast": lambda node, inputs: inputs[0].to(getattr(torch, node.attributes["to"])),
}
"""operator -> its function; every operator of the dialect is here."""
