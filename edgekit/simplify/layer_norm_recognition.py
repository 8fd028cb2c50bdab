"""Recognizes layer normalization written out in primitives (Ba et al. 2016)."""

from __future__ import annotations

import numpy as np

from edgekit.simplify.editor import Editor
from edgekit.simplify.normalization import add_layer_norm
from edgekit.types.graph import Graph, Node
from edgekit.types.qparams import Array


def find_layer_norm(graph: Graph) -> Graph:
    """Put LayerNormalization in the place of `(x - mean(x)) / sqrt(mean((x - mean(x))^2) + epsilon) * scale + bias`.

    Rules:
        1. The division is a Div, or a Mul by Reciprocal(Sqrt).
        2. Means over any axes, kept, the same twice; other axes than the last are brought there by a Transpose.
        3. A following Mul and Add by constants along the normalized axes become scale and bias.
    """
    editor = Editor(graph)
    for node in editor.each("Sqrt"):
        found = _centred(editor, node)
        if found is None:
            continue
        source, centred, axes, epsilon = found
        quotient = _quotient(editor, node, centred)
        if quotient is None:
            continue
        shape = editor.shape(source)
        scale, end = _following(editor, quotient.outputs[0], "Mul", axes, shape)
        bias, end = _following(editor, end, "Add", axes, shape)
        size = int(np.prod([shape[axis] for axis in axes]))
        result = add_layer_norm(
            editor,
            source,
            axes,
            epsilon=epsilon,
            scale=np.ones(size, np.float32) if scale is None else scale,
            bias=np.zeros(size, np.float32) if bias is None else bias,
            like=quotient,
        )
        editor.redirect(end, result)
    return editor.graph()


def _centred(editor: Editor, root: Node) -> tuple[str, str, tuple[int, ...], float] | None:
    """x, x - mean(x), the axes and epsilon, when `root` is the square root of a variance plus epsilon."""
    total = editor.producer(root.inputs[0])
    if total is None or total.op != "Add":
        return None
    epsilons = [(slot, editor.scalar(name)) for slot, name in enumerate(total.inputs)]
    slot, epsilon = next(((slot, value) for slot, value in epsilons if value is not None), (0, None))
    variance = editor.producer(total.inputs[1 - slot])
    if epsilon is None or variance is None or variance.op != "ReduceMean" or not variance.attributes["keepdims"]:
        return None
    square = editor.producer(variance.inputs[0])
    if square is None or square.op != "Mul" or square.inputs[0] != square.inputs[1]:
        return None
    difference = editor.producer(square.inputs[0])
    if difference is None or difference.op != "Sub":
        return None
    mean = editor.producer(difference.inputs[1])
    if mean is None or mean.op != "ReduceMean" or mean.inputs[0] != difference.inputs[0]:
        return None
    if mean.attributes != variance.attributes:
        return None
    return difference.inputs[0], difference.outputs[0], tuple(mean.attributes["axes"]), epsilon


def _quotient(editor: Editor, root: Node, centred: str) -> Node | None:
    user = editor.sole_user(root.outputs[0])
    if user is not None and user.op == "Div" and user.inputs == (centred, root.outputs[0]):
        return user
    if user is None or user.op != "Reciprocal":
        return None
    product = editor.sole_user(user.outputs[0])
    if product is not None and product.op == "Mul" and set(product.inputs) == {centred, user.outputs[0]}:
        return product
    return None


def _following(
    editor: Editor, value: str, op: str, axes: tuple[int, ...], shape: tuple[int, ...]
) -> tuple[Array | None, str]:
    """The constant of the next `op` when it varies along the normalized axes only, and the value after it."""
    user = editor.sole_user(value)
    if user is None or user.op != op or user.clamp is not None or len(set(user.inputs)) != 2:
        return None, value
    array = editor.constant(user.inputs[1 - user.inputs.index(value)])
    if array is None or array.ndim > len(shape):
        return None, value
    full = array.reshape((1,) * (len(shape) - array.ndim) + array.shape)
    if any(size != 1 for axis, size in enumerate(full.shape) if axis not in axes):
        return None, value
    wanted = tuple(size if axis in axes else 1 for axis, size in enumerate(shape))
    return np.broadcast_to(full, wanted).astype(np.float32).reshape(-1), user.outputs[0]
