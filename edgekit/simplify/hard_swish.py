"""The policy for HardSwish and HardSigmoid: Add, Clip and Mul, which run in int8 on both runtimes.

Neither ONNX Runtime nor XNNPACK has an int8 HardSwish worth using, and a file that keeps the operator falls back to
float on one side only. Written out before calibration, every file shares every tensor. The clip is absorbed later.
"""

from __future__ import annotations

import numpy as np

from edgekit.simplify.editor import Editor
from edgekit.types.graph import Node


def hard_swish(editor: Editor, node: Node) -> None:
    """`x * clip(x + 3, 0, 6) / 6` (Howard et al. 2019, MobileNetV3), the division before the product with x."""
    gate = ramp(editor, node, alpha=1 / 6, beta=0.5)
    editor.substitute(node, editor.add("Mul", [node.inputs[0], gate], like=node))


def hard_sigmoid(editor: Editor, node: Node) -> None:
    """`clip(alpha * x + beta, 0, 1)` with the defaults of ONNX, alpha 0.2 and beta 0.5."""
    alpha = float(node.attributes.get("alpha", 0.2))
    beta = float(node.attributes.get("beta", 0.5))
    editor.substitute(node, ramp(editor, node, alpha=alpha, beta=beta))


def ramp(editor: Editor, node: Node, *, alpha: float, beta: float) -> str:
    """Append `clip(x + beta / alpha, 0, 1 / alpha) * alpha` for positive alpha; returns its result."""
    offset = editor.add_constant(np.asarray(beta / alpha, np.float32), f"{node.name}/offset")
    shifted = editor.add("Add", [node.inputs[0], offset], like=node)
    clipped = editor.add("Clip", [shifted], like=node, attributes={"low": 0.0, "high": float(np.float32(1 / alpha))})
    factor = editor.add_constant(np.asarray(alpha, np.float32), f"{node.name}/factor")
    return editor.add("Mul", [clipped, factor], like=node)
