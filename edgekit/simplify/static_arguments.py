"""Reading the static arguments of an imported ONNX node, wherever its opset keeps them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from edgekit.errors import UnsupportedOpError
from edgekit.simplify.editor import Editor
from edgekit.types.graph import Node

Translation = Callable[[Editor, Node], None]
"""Puts dialect nodes in the place of one ONNX node; raises UnsupportedOpError (see `refusal`) where there is none."""


def refusal(node: Node, reason: str) -> UnsupportedOpError:
    """The error of a node that the dialect cannot express."""
    return UnsupportedOpError(((node.op, node.module, reason),))


def ints(editor: Editor, node: Node, *, slot: int | None = None, name: str = "") -> tuple[int, ...] | None:
    """Integers from attribute `name` (old opsets) or constant input `slot` (new ones); None when absent.

    Raises:
        UnsupportedOpError: The input is computed at run time.
    """
    if name in node.attributes:
        value = node.attributes[name]
        return tuple(int(item) for item in value) if isinstance(value, tuple) else (int(value),)
    if slot is None or slot >= len(node.inputs) or not node.inputs[slot]:
        return None
    array = editor.constant(node.inputs[slot])
    if array is None:
        raise refusal(node, f"its {name or 'argument'} is computed at run time")
    return tuple(int(item) for item in array.reshape(-1))


def number(editor: Editor, node: Node, *, slot: int | None = None, name: str = "", default: float) -> float:
    """A float from attribute `name` or one-element constant input `slot`.

    Raises:
        UnsupportedOpError: The input is computed at run time.
    """
    if name in node.attributes:
        return float(node.attributes[name])
    if slot is None or slot >= len(node.inputs) or not node.inputs[slot]:
        return default
    value = editor.scalar(node.inputs[slot])
    if value is None:
        raise refusal(node, f"its {name or 'argument'} is computed at run time")
    return value


def opset(node: Node) -> int:
    """Opset the node was written for."""
    return int(node.attributes.get("opset", 20))


def positive(axes: Sequence[int], rank: int) -> tuple[int, ...]:
    """Axes counted from the front."""
    return tuple(axis % rank for axis in axes)


def axis_of(node: Node, *, rank: int, default: int) -> int:
    """The `axis` attribute, counted from the front."""
    return int(node.attributes.get("axis", default)) % rank


def inside(values: Sequence[int], limit: int) -> bool:
    """Whether all values lie in [0, limit)."""
    return all(0 <= value < limit for value in values)
