"""A file with a little more work in it: what a gate has to notice.

The extra work is a convolution of the input, whose number of channels sets how much it is, summed up, scaled to nothing
and added to the output: the runtime cannot know that it changes no result, and so does it. Like the work of the net
itself it is arithmetic on data in the caches, so that its share does not depend on what else the machine does.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper


def plant(source: Path, target: Path, *, channels: int, stride: int = 1) -> None:
    """Write `source` with a convolution of its first input, 3 x 3, to that many channels.

    Args:
        source: A .onnx file with a float input (N, C, H, W) and a float output.
        target: Where the copy goes; with 0 channels only its metadata differs.
        channels: Of the convolution.
        stride: Of the convolution; a larger one makes less work per channel.
    """
    model = onnx.load(source)
    helper.set_model_props(model, {**{prop.key: prop.value for prop in model.metadata_props}, "planted": str(channels)})
    if channels:
        _add_convolution(model.graph, channels, stride)
    onnx.save(model, target)


def _add_convolution(graph: onnx.GraphProto, channels: int, stride: int) -> None:
    taken, given = graph.input[0], graph.output[0]
    depth = taken.type.tensor_type.shape.dim[1].dim_value
    weights = np.random.default_rng(0).standard_normal((channels, depth, 3, 3)).astype(np.float32)
    graph.initializer.append(numpy_helper.from_array(weights, "planted_weights"))
    graph.initializer.append(numpy_helper.from_array(np.float32(1e-30), "planted_scale"))
    inner = f"{given.name}_before"
    for node in graph.node:
        for position, name in enumerate(node.output):
            if name == given.name:
                node.output[position] = inner
    graph.node.extend(
        [
            helper.make_node(
                "Conv", [taken.name, "planted_weights"], ["planted_maps"], pads=[1, 1, 1, 1], strides=[stride, stride]
            ),
            helper.make_node("ReduceSum", ["planted_maps"], ["planted_sum"], keepdims=0),
            helper.make_node("Mul", ["planted_sum", "planted_scale"], ["planted_nothing"]),
            helper.make_node("Add", [inner, "planted_nothing"], [given.name]),
        ]
    )
