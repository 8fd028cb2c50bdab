"""Merges and moves Reshape, Transpose, Slice and Gather so that as few as possible are left."""

from __future__ import annotations

from edgekit.simplify.editor import Editor
from edgekit.types.graph import Graph, Node


def merge_layout(graph: Graph) -> Graph:
    """Merge data movement.

    Rules:
        1. Reshape(Reshape(x)) is the second one on x.
        2. Transpose(Transpose(x)) is one Transpose, none when they cancel.
        3. Gather(Transpose(x)) at constant positions is Transpose(Gather(x)), so that a Transpose after it cancels.
        4. Slice(Slice(x)) on different axes is one Slice.
    """
    editor = Editor(graph)
    for node in editor.each("Gather"):
        _gather_first(editor, node)
    for node in editor.each("Reshape", "Transpose", "Slice"):
        previous = editor.producer(node.inputs[0])
        if previous is None or previous.op != node.op or previous.clamp is not None:
            continue
        if node.op == "Reshape":
            editor.replace(node, inputs=previous.inputs)
        elif node.op == "Transpose":
            inner = previous.attributes["perm"]
            perm = tuple(inner[axis] for axis in node.attributes["perm"])
            editor.replace(node, inputs=previous.inputs, attributes={"perm": perm})
        elif not set(node.attributes["axes"]) & set(previous.attributes["axes"]):
            joined = {name: (*previous.attributes[name], *node.attributes[name]) for name in node.attributes}
            if editor.sole_user(previous.outputs[0]) is not None:
                editor.replace(node, inputs=previous.inputs, attributes=_by_axis(joined))
    return editor.graph()


def _gather_first(editor: Editor, node: Node) -> None:
    indices = editor.constant(node.inputs[1])
    previous = editor.sole_producer(node.inputs[0])
    if indices is None or indices.ndim != 1 or previous is None or previous.op != "Transpose":
        return
    perm = previous.attributes["perm"]
    picked = editor.add(
        "Gather", [previous.inputs[0], node.inputs[1]], like=node, attributes={"axis": perm[node.attributes["axis"]]}
    )
    editor.replace(node, op="Transpose", inputs=[picked], attributes={"perm": perm})


def _by_axis(attributes: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    order = sorted(range(len(attributes["axes"])), key=lambda index: attributes["axes"][index])
    return {name: tuple(values[index] for index in order) for name, values in attributes.items()}
