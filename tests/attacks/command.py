"""What the attacks on the command line share: a small model made by hand, and a command that has to be refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

QUICK = ("--set", "check.seconds=0.2")
RANDOM = np.random.default_rng(0)
WEIGHT = RANDOM.normal(size=(4, 6)).astype(np.float32)
MATMUL = [helper.make_node("MatMul", ["x", "w"], ["y"])]
X = ("x", TensorProto.FLOAT, ["N", 4])
Y = ("y", TensorProto.FLOAT, ["N", 6])


def save_onnx(path, nodes=MATMUL, weights=None, *, inputs=(X,), outputs=(Y,), domain=""):
    """An ONNX file by hand; hostile and odd ones cannot come from an exporter."""
    weights = {"w": WEIGHT} if weights is None else weights
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info(*value) for value in inputs],
        [helper.make_tensor_value_info(*value) for value in outputs],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    opsets = [helper.make_opsetid("", 20), *([helper.make_opsetid(domain, 1)] if domain else [])]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), path)
    return path


class Refused:
    """What one refused command printed."""

    def __init__(self, code: int, err: str, document: dict) -> None:
        self.code, self.err, self.error = code, err, document["error"]

    def __contains__(self, text: str) -> bool:
        return text in self.error["message"] or text in self.error["hint"]

    def __repr__(self) -> str:
        return f"{self.error['message']} | {self.error['hint']}"


Refuse = Callable[..., Refused]


def tree(folder: Path) -> dict[str, int]:
    """Path -> time of change of everything in a folder but Python's own caches."""
    paths = [path for path in folder.rglob("*") if "__pycache__" not in path.parts]
    return {str(path.relative_to(folder)): path.lstat().st_mtime_ns for path in paths if path.name != "__pycache__"}
