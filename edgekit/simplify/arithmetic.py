"""Translates elementwise ONNX arithmetic: constants to the right side, division and subtraction to what int8 has."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from edgekit.simplify.editor import Editor
from edgekit.simplify.static_arguments import Translation, number, refusal
from edgekit.types.graph import Node
from edgekit.types.qparams import Array


def plain(editor: Editor, node: Node) -> None:
    """Operators without arguments."""
    editor.replace(node, attributes={})


def relu(editor: Editor, node: Node) -> None:
    """Relu is Clip(0, inf)."""
    editor.replace(node, op="Clip", attributes={"low": 0.0, "high": math.inf})


def clip(editor: Editor, node: Node) -> None:
    """Clip with constant bounds; integers keep Max and Min."""
    low = number(editor, node, slot=1, name="min", default=-math.inf)
    high = number(editor, node, slot=2, name="max", default=math.inf)
    if editor.dtype(node.inputs[0]) != "float32":
        raise refusal(node, f"it clips {editor.dtype(node.inputs[0])}")
    editor.replace(node, inputs=node.inputs[:1], attributes={"low": low, "high": high})


def subtract(editor: Editor, node: Node) -> None:
    """`x - c` is `x + (-c)`; `c - x` stays."""
    subtrahend = editor.constant(node.inputs[1])
    if subtrahend is None or subtrahend.dtype != np.float32:
        plain(editor, node)
        return
    name = editor.add_constant(-subtrahend, f"{node.inputs[1]}.negative")
    editor.replace(node, op="Add", inputs=[node.inputs[0], name], attributes={})


def divide(editor: Editor, node: Node) -> None:
    """`x / c` is `x * (1 / c)`, `1 / x` is Reciprocal, `c / x` is `c * Reciprocal(x)`."""
    numerator, divisor = (editor.constant(name) for name in node.inputs)
    if editor.dtype(node.outputs[0]) != "float32":
        raise refusal(node, f"it divides {editor.dtype(node.outputs[0])}")
    if divisor is not None and (divisor != 0).all():
        name = editor.add_constant((1.0 / divisor.astype(np.float64)).astype(np.float32), f"{node.inputs[1]}.inverse")
        editor.replace(node, op="Mul", inputs=[node.inputs[0], name], attributes={})
    elif numerator is not None:
        inverse = editor.add("Reciprocal", [node.inputs[1]], like=node)
        editor.replace(node, op="Mul", inputs=[inverse, node.inputs[0]], attributes={})
    else:
        plain(editor, node)


def negate(editor: Editor, node: Node) -> None:
    """`-x` is `x * -1`, which has an int8 form."""
    times(editor, node, -1.0)


def times(editor: Editor, node: Node, factor: float) -> None:
    """Turn a one-input node into a multiplication by a scalar."""
    name = editor.add_constant(np.asarray(factor, np.float32), f"{node.name}/factor")
    editor.replace(node, op="Mul", inputs=[node.inputs[0], name], attributes={})


def power(editor: Editor, node: Node) -> None:
    """Powers 1, 2, 3, 1/2 and -1 have their own operators."""
    exponent = editor.scalar(node.inputs[1])
    base = node.inputs[0]
    if exponent in (2.0, 3.0) and editor.dtype(base) == "float32":
        squared = editor.add("Mul", [base, base], like=node)
        editor.substitute(node, squared if exponent == 2.0 else editor.add("Mul", [squared, base], like=node))
    elif exponent == 1.0:
        editor.substitute(node, base)
    elif exponent in (0.5, -1.0):
        editor.replace(node, op="Sqrt" if exponent == 0.5 else "Reciprocal", inputs=[base], attributes={})
    else:
        plain(editor, node)


def extremum(editor: Editor, node: Node) -> None:
    """Max and Min of several operands, two at a time; a scalar constant operand makes a Clip."""
    runtime = [name for name in node.inputs if editor.constant(name) is None]
    fixed = [name for name in node.inputs if editor.constant(name) is not None]
    shape = editor.shape(node.outputs[0])
    bounds = [editor.scalar(name) for name in fixed]
    scalars = [bound for bound in bounds if bound is not None]
    if len(scalars) == len(fixed) == 1 and len(runtime) == 1 and editor.shape(runtime[0]) == shape:
        low, high = (scalars[0], math.inf) if node.op == "Max" else (-math.inf, scalars[0])
        editor.replace(node, op="Clip", inputs=runtime, attributes={"low": low, "high": high})
        return
    _chain(editor, node, node.op)


def total(editor: Editor, node: Node) -> None:
    """Sum and Mean of several operands are Adds (and a Mul)."""
    count = len(node.inputs)
    if node.op == "Sum":
        _chain(editor, node, "Add")
        return
    result = _chained(editor, node, "Add")
    factor = editor.add_constant(np.asarray(1.0 / count, np.float32), f"{node.name}/factor")
    editor.replace(node, op="Mul", inputs=[result, factor], attributes={})


def _chain(editor: Editor, node: Node, op: str) -> None:
    editor.substitute(node, _chained(editor, node, op))


def _chained(editor: Editor, node: Node, op: str) -> str:
    result = node.inputs[0]
    for name in node.inputs[1:]:
        result = editor.add(op, [result, name], like=node)
    return result


def where(editor: Editor, node: Node) -> None:
    """Where with a constant condition: `x * keep + fill`; a fill of -inf becomes a large negative number.

    The masked-out operand must be finite at run time, as activations are.
    """
    condition = editor.constant(node.inputs[0])
    if condition is None:
        raise refusal(node, "it chooses between values at run time")
    keep = condition.astype(bool)
    shape = editor.shape(node.outputs[0])
    result = ""
    for name, mask in ((node.inputs[1], keep), (node.inputs[2], ~keep)):
        part = _masked(editor, node, name, mask)
        result = part if not result else editor.add("Add", [result, part], like=node)
    if editor.shape(result) != shape:
        result = editor.add("Expand", [result], like=node, attributes={"shape": shape})
    editor.substitute(node, result)


def _masked(editor: Editor, node: Node, name: str, mask: Array) -> str:
    array = editor.constant(name)
    if array is not None:
        fill = np.where(mask, array, np.zeros((), array.dtype)).astype(array.dtype)
        return editor.add_constant(finite(fill), f"{node.name}/fill")
    if mask.all():
        return name
    factor = editor.add_constant(mask.astype(np.float32), f"{node.name}/keep")
    return editor.add("Mul", [name, factor], like=node)


MASKED = -1e4
"""What stands for -inf in a mask: exp(MASKED) is 0 in float32."""


def finite(array: Array) -> Array:
    """Replace infinities of a mask by +-1e4; softmax of the result is the same in float32."""
    if array.dtype != np.float32 or np.isfinite(array).all():
        return array
    return np.clip(array, MASKED, -MASKED)


def masked_sum(editor: Editor, node: Node) -> None:
    """Add; a constant operand that holds -inf (an attention mask) is made finite, see `finite`."""
    inputs = list(node.inputs)
    for slot, name in enumerate(inputs):
        array = editor.constant(name)
        if array is not None and array.dtype == np.float32 and np.isinf(array).any():
            inputs[slot] = editor.add_constant(finite(array), name)
        elif array is not None and array.dtype == np.float32 and (array < -1e30).any():
            inputs[slot] = editor.add_constant(np.maximum(array, np.float32(MASKED)), name)
    editor.replace(node, inputs=inputs, attributes={})


def prelu(editor: Editor, node: Node) -> None:
    """PRelu with a constant slope, spread to the rank of x without its batch axis."""
    slope = editor.constant(node.inputs[1])
    rank = len(editor.shape(node.inputs[0]))
    if slope is None:
        raise refusal(node, "its slope is computed at run time")
    full = slope.reshape((1,) * (rank - slope.ndim) + slope.shape)
    if full.shape[0] != 1:
        raise refusal(node, "its slope differs along the batch")
    name = editor.add_constant(full[0], node.inputs[1])
    editor.replace(node, inputs=[node.inputs[0], name], attributes={})


def leaky_relu(editor: Editor, node: Node) -> None:
    """LeakyRelu with its default slope written out."""
    editor.replace(node, attributes={"alpha": float(node.attributes.get("alpha", 0.01))})


TRANSLATIONS: Mapping[str, Translation] = {
    **dict.fromkeys(("Exp", "Log", "Sqrt", "Abs", "Sin", "Cos", "Floor", "Ceil", "Round", "Reciprocal"), plain),
    **dict.fromkeys(("Mul", "MatMul", "Sigmoid", "Tanh"), plain),
    "Add": masked_sum,
    "Relu": relu,
    "Clip": clip,
    "Sub": subtract,
    "Div": divide,
    "Neg": negate,
    "Pow": power,
    "Max": extremum,
    "Min": extremum,
    "Sum": total,
    "Mean": total,
    "Where": where,
    "PRelu": prelu,
    "LeakyRelu": leaky_relu,
}
"""ONNX operator -> its translation."""
