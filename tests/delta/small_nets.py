"""A small net in its real int8 files, and again: calibrated on other data, trained further, pruned, renamed.

Two 1x1 convolutions around a depthwise one, as in mobile nets, a plain 3x3 convolution before them and a linear layer
behind. Made by `edgekit.compress`, so the files are what nodes get.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import edgekit
from edgekit.types.qparams import Array
from edgekit.types.recipe import Recipe

FILES = ("model.int8.onnx", "model.qop.int8.onnx", "model.int8.tflite")
HIDDEN = 96


@dataclass(frozen=True)
class Net:
    """Weights by name, and what the net is calibrated on."""

    weights: dict[str, Array]
    calibration_seed: int = 1
    held_back: float = 0.25


def base() -> Net:
    random = np.random.default_rng(0)
    shapes = {
        "stem": (24, 3, 3, 3),
        "expand": (HIDDEN, 24, 1, 1),
        "depthwise": (HIDDEN, 1, 3, 3),
        "project": (32, HIDDEN, 1, 1),
        "head": (10, 32),
    }
    weights = {}
    for name, shape in shapes.items():
        fan_in = int(np.prod(shape[1:]))
        of_channel = np.exp(random.normal(0, 0.3, shape[:1])).reshape(-1, *[1] * (len(shape) - 1))
        weights[name] = random.normal(0, 1.4 / fan_in**0.5, shape) * of_channel
        weights[f"{name}.bias"] = random.normal(0, 0.1, shape[0])
    return Net(weights)


def recalibrated(net: Net) -> Net:
    return replace(net, calibration_seed=2)


def trained(net: Net) -> Net:
    """Each channel scaled a little, as BatchNorm does, and each weight moved a little."""
    random = np.random.default_rng(3)
    weights = {}
    for name, values in net.weights.items():
        channel = 1 + random.normal(0, 0.03, len(values)).reshape(-1, *[1] * (values.ndim - 1))
        weights[name] = values * channel + random.normal(0, 0.004 * np.abs(values).max(), values.shape)
    return replace(net, weights=weights)


def pruned(net: Net) -> Net:
    """A third of the hidden channels cut."""
    kept = np.sort(np.random.default_rng(4).permutation(HIDDEN)[: HIDDEN * 2 // 3])
    weights = dict(net.weights)
    for name in ("expand", "depthwise"):
        weights[name], weights[f"{name}.bias"] = weights[name][kept], weights[f"{name}.bias"][kept]
    weights["project"] = weights["project"][:, kept]
    return replace(net, weights=weights)


def relabelled(net: Net) -> Net:
    """Nothing but metadata: a setting of the recipe that changes no number."""
    return replace(net, held_back=0.26)


def unrelated(net: Net) -> Net:
    random = np.random.default_rng(5)
    return replace(
        net,
        weights={
            name: random.permutation(values.ravel()).reshape(values.shape) for name, values in net.weights.items()
        },
    )


def write(net: Net, folder: Path) -> Path:
    """Its files, in a folder."""
    hidden = len(net.weights["expand"])
    convolutions = [("stem", 1, 2), ("expand", 1, 1), ("depthwise", hidden, 1), ("project", 1, 1)]
    nodes, last = [], "image"
    for name, groups, stride in convolutions:
        kernel = net.weights[name].shape[2]
        nodes.append(
            helper.make_node(
                "Conv", [last, name, f"{name}.bias"], [f"{name}.out"], name=name, group=groups,
                strides=[stride, stride], pads=[kernel // 2] * 4,
            )
        )  # fmt: skip
        last = f"{name}.out"
        if name != "project":
            nodes.append(helper.make_node("Relu", [last], [f"{name}.relu"], name=f"{name}.relu"))
            last = f"{name}.relu"
    nodes.append(helper.make_node("GlobalAveragePool", [last], ["pooled"], name="pool"))
    nodes.append(helper.make_node("Flatten", ["pooled"], ["flat"], name="flatten"))
    nodes.append(helper.make_node("Gemm", ["flat", "head", "head.bias"], ["logits"], name="head", transB=1))
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, 16, 16])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 10])],
        [numpy_helper.from_array(values.astype(np.float32), name) for name, values in net.weights.items()],
    )
    folder.mkdir()
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9), folder / "net.onnx")
    images = np.random.default_rng(net.calibration_seed).normal(0, 1, (24, 3, 16, 16)).astype(np.float32)
    recipe = Recipe().with_fields(
        {"quantize.effort": "fast", "check.seconds": 0.1, "calibration.held_back": net.held_back}
    )
    edgekit.compress(folder / "net.onnx", calibration=[row[None] for row in images], recipe=recipe, out=folder / "out")
    return folder / "out"
