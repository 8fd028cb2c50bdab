"""Translates ONNX operators with a sliding window: convolutions and pools, with explicit pads and a bias."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from edgekit.simplify.editor import Editor
from edgekit.simplify.static_arguments import Translation, refusal
from edgekit.types.graph import Node


def conv(editor: Editor, node: Node) -> None:
    """Conv over 1 or 2 spatial axes: pads explicit, bias present."""
    kernel = _kernel(editor, node)
    spatial = len(kernel)
    strides = _per_axis(node, "strides", spatial)
    dilations = _per_axis(node, "dilations", spatial)
    attributes = {
        "strides": strides,
        "pads": _pads(editor, node, kernel, strides, dilations),
        "dilations": dilations,
        "group": int(node.attributes.get("group", 1)),
    }
    channels = editor.shape(node.inputs[1])[0]
    editor.replace(node, inputs=_with_bias(editor, node, channels), attributes=attributes)


def conv_transpose(editor: Editor, node: Node) -> None:
    """ConvTranspose: pads worked out from `output_shape` or `auto_pad` where those are given."""
    kernel = _kernel(editor, node)
    spatial = len(kernel)
    strides = _per_axis(node, "strides", spatial)
    dilations = _per_axis(node, "dilations", spatial)
    extra = tuple(node.attributes.get("output_padding", (0,) * spatial))
    pads = tuple(node.attributes.get("pads", (0,) * 2 * spatial))
    auto = str(node.attributes.get("auto_pad", "NOTSET"))
    if "output_shape" in node.attributes or auto.startswith("SAME"):
        sizes, results = editor.shape(node.inputs[0])[2:], editor.shape(node.outputs[0])[2:]
        totals = [
            max(0, stride * (size - 1) + more + (width - 1) * dilation + 1 - result)
            for size, result, width, stride, dilation, more in zip(
                sizes, results, kernel, strides, dilations, extra, strict=True
            )
        ]
        pads = _divided(totals, more_first=auto != "SAME_UPPER")
    group = int(node.attributes.get("group", 1))
    attributes = {
        "strides": strides,
        "pads": pads,
        "dilations": dilations,
        "group": group,
        "output_padding": extra,
    }
    channels = editor.shape(node.inputs[1])[1] * group
    editor.replace(node, inputs=_with_bias(editor, node, channels), attributes=attributes)


def max_pool(editor: Editor, node: Node) -> None:
    """MaxPool: the pads that `ceil_mode` implies are written out."""
    if len(node.outputs) > 1:
        raise refusal(node, "the positions of the maxima are read")
    kernel, strides, pads, extra = _window(editor, node)
    grown = tuple(pad + more for pad, more in zip(pads, (*(0 for _ in kernel), *extra), strict=True))
    editor.replace(node, attributes={"kernel_shape": kernel, "strides": strides, "pads": grown})


def average_pool(editor: Editor, node: Node) -> None:
    """AveragePool: as MaxPool; what `ceil_mode` adds is never counted in the mean, so counted pads move into a Pad."""
    kernel, strides, pads, extra = _window(editor, node)
    counted = int(node.attributes.get("count_include_pad", 0))
    source = node.inputs[0]
    if counted and any(extra) and any(pads):
        half = len(kernel)
        around = (0, 0, *pads[:half], 0, 0, *pads[half:])
        attributes = {"pads": around, "mode": "constant", "value": 0.0}
        source = editor.add("Pad", [source], like=node, attributes=attributes)
        pads = (0,) * (2 * half)
    if any(extra):
        counted = 0
    grown = tuple(pad + more for pad, more in zip(pads, (*(0 for _ in kernel), *extra), strict=True))
    attributes = {"kernel_shape": kernel, "strides": strides, "pads": grown, "count_include_pad": counted}
    editor.replace(node, inputs=[source], attributes=attributes)


def global_average_pool(editor: Editor, node: Node) -> None:
    """GlobalAveragePool has no arguments."""
    editor.replace(node, attributes={})


def global_max_pool(editor: Editor, node: Node) -> None:
    """GlobalMaxPool is a ReduceMax over the spatial axes."""
    axes = tuple(range(2, len(editor.shape(node.inputs[0]))))
    editor.replace(node, op="ReduceMax", attributes={"axes": axes, "keepdims": 1})


def _window(editor: Editor, node: Node) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Kernel, strides, pads, and the extra end pads that the rounded-up result size implies."""
    kernel = tuple(node.attributes["kernel_shape"])
    if len(kernel) > 2:
        raise refusal(node, f"it has {len(kernel)} spatial axes; 1 and 2 are supported")
    strides = _per_axis(node, "strides", len(kernel))
    dilations = _per_axis(node, "dilations", len(kernel))
    if any(dilation != 1 for dilation in dilations):
        raise refusal(node, f"its window is dilated by {dilations}")
    pads = _pads(editor, node, kernel, strides, dilations)
    sizes, results = editor.shape(node.inputs[0])[2:], editor.shape(node.outputs[0])[2:]
    half = len(kernel)
    extra = tuple(
        max(0, (result - 1) * strides[axis] + kernel[axis] - size - pads[axis] - pads[half + axis])
        for axis, (size, result) in enumerate(zip(sizes, results, strict=True))
    )
    if any(pads[half + axis] + more >= kernel[axis] for axis, more in enumerate(extra) if more):
        raise refusal(node, "its rounded-up size has a window that lies outside the map")
    return kernel, strides, pads, extra


def _pads(
    editor: Editor, node: Node, kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> tuple[int, ...]:
    auto = str(node.attributes.get("auto_pad", "NOTSET"))
    if not auto.startswith("SAME"):
        return (
            tuple(node.attributes.get("pads", (0,) * 2 * len(kernel))) if auto == "NOTSET" else (0,) * 2 * len(kernel)
        )
    totals = [
        max(0, (-(-size // stride) - 1) * stride + (width - 1) * dilation + 1 - size)
        for size, width, stride, dilation in zip(
            editor.shape(node.inputs[0])[2:], kernel, strides, dilations, strict=True
        )
    ]
    return _divided(totals, more_first=auto == "SAME_LOWER")


def _divided(totals: Sequence[int], *, more_first: bool) -> tuple[int, ...]:
    """Begins then ends of total pads, the odd one at the begin or at the end."""
    small, large = [total // 2 for total in totals], [total - total // 2 for total in totals]
    return (*large, *small) if more_first else (*small, *large)


def _kernel(editor: Editor, node: Node) -> tuple[int, ...]:
    if editor.constant(node.inputs[1]) is None:
        raise refusal(node, "its weights are computed at run time")
    kernel = editor.shape(node.inputs[1])[2:]
    if len(kernel) not in (1, 2):
        raise refusal(node, f"it has {len(kernel)} spatial axes; 1 and 2 are supported")
    return kernel


def _per_axis(node: Node, name: str, spatial: int) -> tuple[int, ...]:
    return tuple(node.attributes.get(name, (1,) * spatial))


def _with_bias(editor: Editor, node: Node, channels: int) -> tuple[str, str, str]:
    source, weight = node.inputs[:2]
    bias = node.inputs[2] if len(node.inputs) > 2 else ""
    if bias and editor.constant(bias) is None:
        raise refusal(node, "its bias is computed at run time")
    if not bias:
        bias = editor.add_constant(np.zeros(channels, np.float32), f"{weight}.bias")
    return source, weight, bias


TRANSLATIONS: Mapping[str, Translation] = {
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "MaxPool": max_pool,
    "AveragePool": average_pool,
    "GlobalAveragePool": global_average_pool,
    "GlobalMaxPool": global_max_pool,
}
"""ONNX operator -> its translation."""
