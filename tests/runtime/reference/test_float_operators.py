"""The reference in float against torch: an implementation that shares no code with it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from torch.nn import functional as F

from edgekit.runtime.reference import ReferenceSession, as_float
from edgekit.testing import strategies
from edgekit.testing.case import Case
from edgekit.types.graph import Node
from edgekit.types.qparams import Array

LIMIT = settings(max_examples=25, deadline=None)
Torch = Callable[[Node, list[torch.Tensor]], torch.Tensor]


def _pads(node: Node) -> list[int]:
    """ONNX pads as torch wants them: last axis first, begin and end side by side."""
    pads = node.attributes["pads"]
    rank = len(pads) // 2
    return [pads[axis + side * rank] for axis in reversed(range(rank)) for side in (0, 1)]


def _conv(node: Node, x: list[torch.Tensor]) -> torch.Tensor:
    function = F.conv1d if x[0].ndim == 3 else F.conv2d
    keys = node.attributes
    bias = x[2] if len(x) > 2 else None
    return function(F.pad(x[0], _pads(node)), x[1], bias, keys["strides"], 0, keys["dilations"], keys["group"])


def _conv_transpose(node: Node, x: list[torch.Tensor]) -> torch.Tensor:
    keys, rank = node.attributes, x[0].ndim - 2
    function = F.conv_transpose1d if rank == 1 else F.conv_transpose2d
    bias = x[2] if len(x) > 2 else None
    # torch wants output_padding below the stride and the same crop on both sides: crop by hand after a full result
    full = function(x[0], x[1], None, keys["strides"], 0, 0, keys["group"], keys["dilations"])
    extra = [size for padding in reversed(keys["output_padding"]) for size in (0, padding)]
    full = F.pad(full, extra)
    cropped = F.pad(full, [-size for size in _pads(node)])
    return cropped if bias is None else cropped + bias.reshape(-1, *[1] * rank)


def _max_pool(node: Node, x: list[torch.Tensor]) -> torch.Tensor:
    function = F.max_pool1d if x[0].ndim == 3 else F.max_pool2d
    padded = F.pad(x[0], _pads(node), value=-torch.inf)
    return function(padded, node.attributes["kernel_shape"], node.attributes["strides"])


def _average_pool(node: Node, x: list[torch.Tensor]) -> torch.Tensor:
    function = F.avg_pool1d if x[0].ndim == 3 else F.avg_pool2d
    kernel, strides = node.attributes["kernel_shape"], node.attributes["strides"]
    average = function(F.pad(x[0], _pads(node)), kernel, strides)
    if node.attributes["count_include_pad"]:
        return average
    return average / function(F.pad(torch.ones_like(x[0]), _pads(node)), kernel, strides)


def _resize(node: Node, x: list[torch.Tensor]) -> torch.Tensor:
    aligned = node.attributes["coordinates"] == "align_corners"
    return F.interpolate(x[0], tuple(node.attributes["sizes"]), mode="bilinear", align_corners=aligned)


def _gather(node: Node, x: list[torch.Tensor]) -> torch.Tensor:
    axis, indices = node.attributes["axis"], x[1]
    picked = torch.index_select(x[0], axis, indices.flatten())
    return picked.reshape(*x[0].shape[:axis], *indices.shape, *x[0].shape[axis + 1 :])


TORCH: dict[str, Torch] = {
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "Gemm": lambda node, x: F.linear(*x),
    "MatMul": lambda node, x: x[0] @ x[1],
    "Add": lambda node, x: x[0] + x[1],
    "Sub": lambda node, x: x[0] - x[1],
    "Mul": lambda node, x: x[0] * x[1],
    "Div": lambda node, x: x[0] / x[1],
    "Pow": lambda node, x: x[0] ** x[1],
    "Max": lambda node, x: torch.maximum(*x),
    "Min": lambda node, x: torch.minimum(*x),
    "Clip": lambda node, x: x[0].clamp(node.attributes["low"], node.attributes["high"]),
    "LeakyRelu": lambda node, x: F.leaky_relu(x[0], node.attributes["alpha"]),
    "PRelu": lambda node, x: F.prelu(x[0], x[1].flatten()),
    "Sigmoid": lambda node, x: x[0].sigmoid(),
    "Tanh": lambda node, x: x[0].tanh(),
    "Gelu": lambda node, x: F.gelu(x[0], approximate=node.attributes["approximate"]),
    "HardSwish": lambda node, x: F.hardswish(x[0]),
    "Softmax": lambda node, x: x[0].softmax(node.attributes["axis"]),
    "LayerNormalization": lambda node, x: F.layer_norm(x[0], x[1].shape, x[1], x[2], node.attributes["epsilon"]),
    "MaxPool": _max_pool,
    "AveragePool": _average_pool,
    "GlobalAveragePool": lambda node, x: x[0].mean(tuple(range(2, x[0].ndim)), keepdim=True),
    "ReduceMean": lambda node, x: x[0].mean(node.attributes["axes"], keepdim=bool(node.attributes["keepdims"])),
    "ReduceSum": lambda node, x: x[0].sum(node.attributes["axes"], keepdim=bool(node.attributes["keepdims"])),
    "ReduceMax": lambda node, x: x[0].amax(node.attributes["axes"], keepdim=bool(node.attributes["keepdims"])),
    "ArgMax": lambda node, x: x[0].argmax(node.attributes["axis"], keepdim=bool(node.attributes["keepdims"])),
    "Concat": lambda node, x: torch.cat(x, node.attributes["axis"]),
    "Reshape": lambda node, x: x[0].reshape(node.attributes["shape"]),
    "Transpose": lambda node, x: x[0].permute(node.attributes["perm"]),
    "Expand": lambda node, x: x[0].expand(node.attributes["shape"]),
    "Gather": _gather,
    "Exp": lambda node, x: x[0].exp(),
    "Log": lambda node, x: x[0].log(),
    "Sqrt": lambda node, x: x[0].sqrt(),
    "Reciprocal": lambda node, x: x[0].reciprocal(),
    "Round": lambda node, x: x[0].round(),
    "Floor": lambda node, x: x[0].floor(),
    "Ceil": lambda node, x: x[0].ceil(),
    "Abs": lambda node, x: x[0].abs(),
    "Neg": lambda node, x: -x[0],
    "Sin": lambda node, x: x[0].sin(),
    "Cos": lambda node, x: x[0].cos(),
}


def _run_torch(case: Case) -> Array:
    graph = case.quantized.graph
    node = graph.nodes[0]
    arrays = [case.feeds.get(name, graph.constants.get(name)) for name in node.inputs]
    result = TORCH[node.op](node, [torch.from_numpy(np.array(array)) for array in arrays])
    return (result if node.clamp is None else result.clamp(*node.clamp)).numpy()


def _assert_equal_to_torch(case: Case) -> None:
    ours = ReferenceSession(as_float(case.quantized.graph)).run(case.feeds)["y0"]
    theirs = _run_torch(case)
    assert ours.shape == theirs.shape
    assert ours.dtype == theirs.dtype
    # float32 sums of at most a few hundred products in another order
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5 * max(1.0, float(np.abs(theirs).max(initial=0))))


@pytest.mark.parametrize("op", TORCH)
def test_float_equals_torch(op: str) -> None:
    @LIMIT
    @given(strategies.cases(op))
    def holds(case: Case) -> None:
        _assert_equal_to_torch(case)

    holds()


@LIMIT
@given(
    strategies.resize_cases().filter(
        lambda case: (
            case.quantized.graph.nodes[0].attributes["mode"] == "linear"
            and case.quantized.graph.nodes[0].attributes["coordinates"] != "asymmetric"
        )
    )
)
def test_linear_resize_equals_torch(case: Case) -> None:
    graph = case.quantized.graph
    node = graph.nodes[0]
    ours = ReferenceSession(as_float(graph)).run(case.feeds)["y0"]
    theirs = _resize(node, [torch.from_numpy(case.feeds["x0"])]).numpy()
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5 * max(1.0, float(np.abs(theirs).max())))


@LIMIT
@given(strategies.depth_cases("DepthToSpace"))
def test_crd_is_pixel_shuffle_and_space_to_depth_undoes_dcr(case: Case) -> None:
    graph = case.quantized.graph
    attributes = graph.nodes[0].attributes
    ours = ReferenceSession(as_float(graph)).run(case.feeds)["y0"]
    x = torch.from_numpy(case.feeds["x0"])
    if attributes["mode"] == "CRD":
        np.testing.assert_array_equal(ours, F.pixel_shuffle(x, attributes["blocksize"]).numpy())
    else:
        n, c, h, w = ours.shape
        b = attributes["blocksize"]
        back = ours.reshape(n, c, h // b, b, w // b, b).transpose(0, 3, 5, 1, 2, 4).reshape(x.shape)
        np.testing.assert_array_equal(back, x.numpy())
