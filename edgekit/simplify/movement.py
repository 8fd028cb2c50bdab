"""Translates the ONNX operators that move data without computing: reshapes, slices, pads, gathers, splits."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgekit.simplify.editor import Editor
from edgekit.simplify.static_arguments import Translation, axis_of, ints, number, positive, refusal
from edgekit.types.graph import Node
from edgekit.types.qparams import Array


def identity(editor: Editor, node: Node) -> None:
    """Identity, Dropout in inference, and casts to the type a value already has."""
    editor.substitute(node, node.inputs[0])


def reshape(editor: Editor, node: Node) -> None:
    """Reshape, Flatten, Squeeze, Unsqueeze: the static result shape says it all."""
    shape = editor.shape(node.outputs[0])
    editor.replace(node, op="Reshape", inputs=node.inputs[:1], attributes={"shape": shape})


def expand(editor: Editor, node: Node) -> None:
    """Expand to the static result shape."""
    shape = editor.shape(node.outputs[0])
    source = node.inputs[0]
    if len(editor.shape(source)) < len(shape):
        padded = (1,) * (len(shape) - len(editor.shape(source))) + editor.shape(source)
        source = editor.add("Reshape", [source], like=node, attributes={"shape": padded})
    editor.replace(node, inputs=[source], attributes={"shape": shape})


def tile(editor: Editor, node: Node) -> None:
    """Tile with constant repeats is a Concat of copies, axis after axis."""
    repeats = ints(editor, node, slot=1, name="repeats") or ()
    result = node.inputs[0]
    for axis, count in enumerate(repeats):
        if count > 1:
            result = editor.add("Concat", [result] * count, like=node, attributes={"axis": axis})
    editor.substitute(node, result)


def cast(editor: Editor, node: Node) -> None:
    """Cast to the static element type of the result."""
    editor.replace(node, op="Cast", inputs=node.inputs[:1], attributes={"to": editor.dtype(node.outputs[0])})


def transpose(editor: Editor, node: Node) -> None:
    """Transpose; without `perm` it reverses the axes."""
    rank = len(editor.shape(node.inputs[0]))
    perm = positive(node.attributes.get("perm", tuple(reversed(range(rank)))), rank)
    editor.replace(node, attributes={"perm": perm})


def concat(editor: Editor, node: Node) -> None:
    """Concat; empty operands do not count."""
    axis = axis_of(node, rank=len(editor.shape(node.outputs[0])), default=1)
    inputs = [name for name in node.inputs if 0 not in editor.shape(name)]
    editor.replace(node, inputs=inputs, attributes={"axis": axis})


def cut(editor: Editor, node: Node) -> None:
    """Slice: starts and ends clamped to the shape as Python does; axes cut in full are dropped."""
    shape = editor.shape(node.inputs[0])
    starts = ints(editor, node, slot=1, name="starts") or ()
    ends = ints(editor, node, slot=2, name="ends") or ()
    axes = positive(ints(editor, node, slot=3, name="axes") or tuple(range(len(starts))), len(shape))
    steps = ints(editor, node, slot=4, name="steps") or (1,) * len(starts)
    kept = []
    for axis, start, end, step in sorted(zip(axes, starts, ends, steps, strict=True)):
        first, last, stride = slice(start, end, step).indices(shape[axis])
        if (first, last, stride) != (0, shape[axis], 1):
            kept.append((first, max(first, last) if stride > 0 else last, axis, stride))
    if not kept:
        editor.substitute(node, node.inputs[0])
        return
    editor.replace(node, inputs=node.inputs[:1], attributes=slice_attributes(kept))


def slice_attributes(cuts: list[tuple[int, int, int, int]]) -> dict[str, tuple[int, ...]]:
    """Slice attributes of (start, end, axis, step) rows."""
    columns = [tuple(column) for column in zip(*cuts, strict=True)]
    return dict(zip(("starts", "ends", "axes", "steps"), columns, strict=True))


def take_slice(editor: Editor, value: str, *, axis: int, start: int, end: int, like: Node, step: int = 1) -> str:
    """Append a Slice of one axis; returns `value` itself when it would keep everything."""
    if (start, end, step) == (0, editor.shape(value)[axis], 1):
        return value
    return editor.add("Slice", [value], like=like, attributes=slice_attributes([(start, end, axis, step)]))


def split(editor: Editor, node: Node) -> None:
    """Split with the static sizes of its results, however the opset asks for them."""
    axis = axis_of(node, rank=len(editor.shape(node.inputs[0])), default=0)
    sizes = tuple(editor.shape(name)[axis] for name in node.outputs)
    editor.replace(node, inputs=node.inputs[:1], attributes={"axis": axis, "split": sizes})


def split_to_sequence(editor: Editor, node: Node) -> None:
    """SplitToSequence read by SequenceAt with constant positions is a Split (torch's chunk and split)."""
    source = node.inputs[0]
    shape = editor.shape(source)
    axis = axis_of(node, rank=len(shape), default=0)
    sizes = ints(editor, node, slot=1, name="split") or (1,)
    if len(node.inputs) < 2 or editor.shape(node.inputs[1]) == ():
        whole, rest = divmod(shape[axis], sizes[0])
        sizes = (sizes[0],) * whole + ((rest,) if rest else ())
    readers = editor.users(node.outputs[0])
    if any(reader.op != "SequenceAt" or editor.scalar(reader.inputs[1]) is None for reader in readers):
        raise refusal(node, "only sequences read at constant positions can be unrolled")
    results = [((*shape[:axis], size, *shape[axis + 1 :]), editor.dtype(source)) for size in sizes]
    parts = editor.add_node("Split", [source], like=node, outputs=results, attributes={"axis": axis, "split": sizes})
    for reader in readers:
        part = parts[int(editor.scalar(reader.inputs[1]) or 0)]
        if editor.shape(part) != editor.shape(reader.outputs[0]):  # keepdims = 0
            part = editor.add("Reshape", [part], like=reader, attributes={"shape": editor.shape(reader.outputs[0])})
        editor.substitute(reader, part)
    editor.remove(node)


def pad(editor: Editor, node: Node) -> None:
    """Pad: all axes written out; negative pads are a Slice, wrapping is a Concat of slices."""
    shape = editor.shape(node.inputs[0])
    rank = len(shape)
    given = ints(editor, node, slot=1, name="pads") or ()
    axes = positive(ints(editor, node, slot=3, name="axes") or tuple(range(rank)), rank)
    mode = str(node.attributes.get("mode", "constant"))
    begins, ends = [0] * rank, [0] * rank
    for position, axis in enumerate(axes):
        begins[axis], ends[axis] = given[position], given[position + len(axes)]
    source = node.inputs[0]
    for axis in range(rank):
        start, end = max(0, -begins[axis]), shape[axis] - max(0, -ends[axis])
        source = take_slice(editor, source, axis=axis, start=start, end=end, like=node)
        begins[axis], ends[axis] = max(0, begins[axis]), max(0, ends[axis])
    if mode == "wrap":
        editor.substitute(node, _wrapped(editor, node, source, begins, ends))
        return
    attributes = {
        "pads": (*begins, *ends),
        "mode": mode,
        "value": number(editor, node, slot=2, name="value", default=0.0) if mode == "constant" else 0.0,
    }
    editor.replace(node, inputs=[source], attributes=attributes)


def _wrapped(editor: Editor, node: Node, source: str, begins: list[int], ends: list[int]) -> str:
    for axis, (before, after) in enumerate(zip(begins, ends, strict=True)):
        size = editor.shape(source)[axis]
        if max(before, after) > size:
            raise refusal(node, f"it wraps {max(before, after)} around an axis of {size}")
        parts = [source]
        if before:
            parts.insert(0, take_slice(editor, source, axis=axis, start=size - before, end=size, like=node))
        if after:
            parts.append(take_slice(editor, source, axis=axis, start=0, end=after, like=node))
        if len(parts) > 1:
            source = editor.add("Concat", parts, like=node, attributes={"axis": axis})
    return source


def gather(editor: Editor, node: Node) -> None:
    """Gather; constant positions in an even stride are a Slice (and a Reshape for a single one)."""
    shape = editor.shape(node.inputs[0])
    axis = axis_of(node, rank=len(shape), default=0)
    positions = editor.constant(node.inputs[1])
    if positions is None:
        editor.replace(node, attributes={"axis": axis})
        return
    positions = positions.astype(np.int64) % shape[axis]
    stride = _even_stride(positions.reshape(-1))
    if stride is None or positions.ndim > 1:
        name = editor.add_constant(positions, f"{node.name}/indices")
        editor.replace(node, inputs=[node.inputs[0], name], attributes={"axis": axis})
        return
    start, count = int(positions.reshape(-1)[0]), positions.size
    end = start + stride * (count - 1) + (1 if stride > 0 else -1)
    part = take_slice(editor, node.inputs[0], axis=axis, start=start, end=end, step=stride, like=node)
    if editor.shape(part) != editor.shape(node.outputs[0]):
        part = editor.add("Reshape", [part], like=node, attributes={"shape": editor.shape(node.outputs[0])})
    editor.substitute(node, part)


def _even_stride(positions: Array) -> int | None:
    if positions.size == 1:
        return 1
    steps = np.diff(positions)
    return int(steps[0]) if steps.size and steps[0] != 0 and (steps == steps[0]).all() else None


def gather_nd(editor: Editor, node: Node) -> None:
    """GatherND at constant positions is a Gather over the leading axes laid out as one."""
    shape = editor.shape(node.inputs[0])
    positions = editor.constant(node.inputs[1])
    if positions is None or node.attributes.get("batch_dims", 0):
        raise refusal(node, "its positions are computed at run time")
    depth = positions.shape[-1]
    parts = [positions[..., axis] % shape[axis] for axis in range(depth)]
    flat = np.ravel_multi_index(tuple(parts), shape[:depth]).astype(np.int64)
    source = node.inputs[0]
    if depth > 1:
        rows = int(np.prod(shape[:depth]))
        source = editor.add("Reshape", [source], like=node, attributes={"shape": (rows, *shape[depth:])})
    name = editor.add_constant(flat, f"{node.name}/indices")
    gather(editor, editor.replace(node, op="Gather", inputs=[source, name], attributes={"axis": 0}))


def depth_to_space(editor: Editor, node: Node) -> None:
    """DepthToSpace; DCR unless the node says otherwise."""
    attributes = {"blocksize": int(node.attributes["blocksize"]), "mode": str(node.attributes.get("mode", "DCR"))}
    editor.replace(node, attributes=attributes)


def space_to_depth(editor: Editor, node: Node) -> None:
    """SpaceToDepth."""
    editor.replace(node, attributes={"blocksize": int(node.attributes["blocksize"])})


TRANSLATIONS: Mapping[str, Translation] = {
    "Identity": identity,
    "Dropout": identity,
    "Reshape": reshape,
    "Flatten": reshape,
    "Squeeze": reshape,
    "Unsqueeze": reshape,
    "Expand": expand,
    "Tile": tile,
    "Cast": cast,
    "CastLike": cast,
    "Transpose": transpose,
    "Concat": concat,
    "Slice": cut,
    "Split": split,
    "SplitToSequence": split_to_sequence,
    "Pad": pad,
    "Gather": gather,
    "GatherND": gather_nd,
    "DepthToSpace": depth_to_space,
    "SpaceToDepth": space_to_depth,
}
"""ONNX operator -> its translation."""
