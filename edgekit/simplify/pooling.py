"""Recognizes global average pooling in the forms exporters give it."""

from __future__ import annotations

from edgekit.simplify.editor import Editor
from edgekit.types.graph import Graph, Node

SPATIAL = frozenset({"Conv", "ConvTranspose", "MaxPool", "AveragePool", "Resize", "DepthToSpace"})
POINTWISE = frozenset({"Clip", "Add", "Sub", "Mul", "Sigmoid", "Tanh", "Gelu", "LeakyRelu", "PRelu", "Concat", "Pad"})
MAX_WALK = 12
"""How many pointwise operators back the origin of a rank-3 value is looked for."""


def find_global_pooling(graph: Graph) -> Graph:
    """Adaptive average pooling to one pixel becomes GlobalAveragePool.

    Rules:
        1. ReduceMean over all spatial axes of (N, C, H, W): GlobalAveragePool, and a Reshape when axes are dropped.
        2. The same over (N, C, L) when it comes from a convolution or pool, so that the mean over the features of a
           sequence stays a ReduceMean.
        3. AveragePool whose unpadded window is the whole map: GlobalAveragePool.
        4. GlobalAveragePool of a Reshape that only regroups spatial axes (a 1-D map laid out as 2-D) reads the map.
    """
    editor = Editor(graph)
    for node in editor.each("ReduceMean"):
        source = node.inputs[0]
        rank = len(editor.shape(source))
        if node.clamp is not None or node.attributes["axes"] != tuple(range(2, rank)):
            continue
        if rank == 4 or (rank == 3 and _is_map(editor, source)):
            pooled = editor.add("GlobalAveragePool", [source], like=node)
            if not node.attributes["keepdims"]:
                pooled = editor.add("Reshape", [pooled], like=node, attributes={"shape": editor.shape(node.outputs[0])})
            editor.substitute(node, pooled)
    for node in editor.each("AveragePool"):
        window = node.attributes["kernel_shape"]
        if window == editor.shape(node.inputs[0])[2:] and not any(node.attributes["pads"]):
            editor.replace(node, op="GlobalAveragePool", attributes={})
    for node in editor.each("GlobalAveragePool"):
        _skip_reshape(editor, node)
    return editor.graph()


def _skip_reshape(editor: Editor, node: Node) -> None:
    previous = editor.producer(node.inputs[0])
    if previous is None or previous.op != "Reshape" or node.clamp is not None:
        return
    source = previous.inputs[0]
    shape, result = editor.shape(source), editor.shape(node.outputs[0])
    if len(shape) in (3, 4) and shape[:2] == result[:2]:
        pooled = editor.add("GlobalAveragePool", [source], like=node)
        editor.substitute(node, editor.add("Reshape", [pooled], like=node, attributes={"shape": result}))


def _is_map(editor: Editor, value: str) -> bool:
    node: Node | None = editor.producer(value)
    for _ in range(MAX_WALK):
        if node is None:
            return False
        if node.op in SPATIAL:
            return True
        if node.op not in POINTWISE:
            return False
        runtime = [name for name in node.inputs if editor.constant(name) is None]
        node = editor.producer(runtime[0]) if runtime else None
    return False
