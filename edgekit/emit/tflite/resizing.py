"""Resize, DepthToSpace and SpaceToDepth."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import ceil, floor

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgekit.emit.tflite.linear import map_shape
from edgekit.emit.tflite.lowering import Lowering
from edgekit.emit.tflite.movement import gathered
from edgekit.types.graph import Node
from edgekit.types.qparams import Array

_FLAGS = {"half_pixel": (False, True), "align_corners": (True, False), "asymmetric": (False, False)}


def resize(lowering: Lowering, node: Node) -> None:
    """RESIZE_BILINEAR, RESIZE_NEAREST_NEIGHBOR where it picks the same rows as ONNX, else GATHER of those rows."""
    source = lowering.read_map(node.inputs[0], int8=lowering.is_int8(node))
    target = map_shape(lowering.graph.shape(node.outputs[0]))
    size, sizes = lowering.shape_of(source)[1:3], target[1:3]
    if node.attributes["mode"] == "linear":
        options = schema.ResizeBilinearOptionsT()
        options.alignCorners, options.halfPixelCenters = _FLAGS[node.attributes["coordinates"]]
        operands = [source, lowering.integers(sizes)]
        result = lowering.apply("RESIZE_BILINEAR", operands, shape=target, options=options)
    else:
        result = _nearest(lowering, node, source, size=size, sizes=sizes)
    lowering.publish_map(node.outputs[0], result, clamp=node.clamp)


def _nearest(lowering: Lowering, node: Node, source: int, *, size: Sequence[int], sizes: Sequence[int]) -> int:
    rows = [
        nearest_rows(n, m, coordinates=node.attributes["coordinates"], rounding=node.attributes["nearest_mode"])
        for n, m in zip(size, sizes, strict=True)
    ]
    batch, _, _, channels = lowering.shape_of(source)
    for align_corners, half_pixel in ((False, False), (False, True), (True, False)):
        kernel = [_kernel_rows(n, m, align_corners, half_pixel) for n, m in zip(size, sizes, strict=True)]
        if all(np.array_equal(ours, theirs) for ours, theirs in zip(rows, kernel, strict=True)):
            options = schema.ResizeNearestNeighborOptionsT()
            options.alignCorners, options.halfPixelCenters = align_corners, half_pixel
            operands = [source, lowering.integers(sizes)]
            shape = (batch, *sizes, channels)
            return lowering.apply("RESIZE_NEAREST_NEIGHBOR", operands, shape=shape, options=options)
    for axis, picked in enumerate(rows, start=1):
        if not np.array_equal(picked, np.arange(size[axis - 1])):
            source = gathered(lowering, source, picked, axis=axis)
    return source


def nearest_rows(size: int, result: int, *, coordinates: str, rounding: str) -> Array:
    """Source row of each result row, in exact arithmetic (ONNX Resize-19, coordinate_transformation_mode)."""
    half = Fraction(1, 2)
    rows = []
    for index in range(result):
        if coordinates == "half_pixel":
            place = (index + half) * Fraction(size, result) - half
        elif coordinates == "align_corners":
            place = Fraction(index * (size - 1), result - 1) if result > 1 else Fraction(0)
        else:
            place = Fraction(index * size, result)
        row = {
            "floor": floor(place),
            "ceil": ceil(place),
            "round_prefer_floor": ceil(place - half),
            "round_prefer_ceil": floor(place + half),
        }[rounding]
        rows.append(min(max(row, 0), size - 1))
    return np.array(rows, np.int32)


def _kernel_rows(size: int, result: int, align_corners: bool, half_pixel: bool) -> Array:
    """What the kernel picks, in its float32 (tensorflow/lite/kernels/internal/reference/resize_nearest_neighbor.h)."""
    steps = np.arange(result, dtype=np.float32)
    if align_corners and result > 1:
        scale = np.float32(size - 1) / np.float32(result - 1)
    else:
        scale = np.float32(size) / np.float32(result)
    places = (steps + np.float32(0.5 if half_pixel else 0.0)) * scale
    picked = np.floor(places + np.float32(0.5)) if align_corners else np.floor(places)
    rows: Array = np.clip(picked, 0, size - 1).astype(np.int32)
    return rows


def depth_to_space(lowering: Lowering, node: Node) -> None:
    """DEPTH_TO_SPACE, whose channels are in DCR order; CRD ones are put into it first."""
    source = lowering.read_map(node.inputs[0], int8=lowering.is_int8(node))
    block = node.attributes["blocksize"]
    batch, height, width, channels = lowering.shape_of(source)
    depth = channels // block**2
    if node.attributes["mode"] == "CRD" and depth > 1:
        grouped = lowering.reshape(source, (batch * height * width, depth, block**2))
        source = lowering.reshape(lowering.transpose(grouped, (0, 2, 1)), (batch, height, width, channels))
    options = schema.DepthToSpaceOptionsT()
    options.blockSize = block
    shape = (batch, height * block, width * block, depth)
    result = lowering.apply("DEPTH_TO_SPACE", [source], shape=shape, options=options)
    lowering.publish_map(node.outputs[0], result, clamp=node.clamp)


def space_to_depth(lowering: Lowering, node: Node) -> None:
    """SPACE_TO_DEPTH."""
    source = lowering.read_map(node.inputs[0], int8=lowering.is_int8(node))
    options = schema.SpaceToDepthOptionsT()
    options.blockSize = node.attributes["blocksize"]
    shape = map_shape(lowering.graph.shape(node.outputs[0]))
    result = lowering.apply("SPACE_TO_DEPTH", [source], shape=shape, options=options)
    lowering.publish_map(node.outputs[0], result, clamp=node.clamp)
