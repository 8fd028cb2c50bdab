"""Moves slices towards what they are cut from: parts of a Concat are taken directly, packed projections are unpacked.

The last step of an unrolled sequence, and query, key and value cut out of one matrix product, both reach their slice
through Reshape and Transpose. Followed backwards, the slice is an operand of the Concat, or some rows of the weight.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np

from edgekit.simplify.editor import Editor
from edgekit.simplify.layout_merging import MOVES, as_move
from edgekit.simplify.movement_algebra import Move
from edgekit.types.graph import Graph, Node


class Cut(NamedTuple):
    """`value[start:stop]` along `axis`, and the chain that leads from there to where the slice was."""

    value: str
    axis: int
    start: int
    stop: int
    chain: tuple[tuple[Node, Move], ...] = ()


def take_parts_of_concat(graph: Graph) -> Graph:
    """Slices that are exactly one operand of a Concat.

    Rules:
        1. Slice(moves(Concat(a, b, ...))) that keeps whole operands: moves(operand), or moves(Concat) of fewer, with
           the sizes that are left.
    """
    editor = Editor(graph)
    for node in editor.each("Slice"):
        cut = _single_cut(node)
        if cut is None:
            continue
        cut = trace(editor, cut)
        origin = editor.producer(cut.value)
        if origin is None or origin.op != "Concat" or origin.attributes["axis"] != cut.axis:
            continue
        sizes = [editor.shape(operand)[cut.axis] for operand in origin.inputs]
        ends = list(itertools.accumulate(sizes))
        if cut.start not in (0, *ends) or cut.stop not in ends:
            continue
        first, last = [0, *ends].index(cut.start), ends.index(cut.stop)
        kept = origin.inputs[first : last + 1]
        part = kept[0]
        if len(kept) > 1:
            part = editor.add("Concat", kept, like=origin, attributes={"axis": cut.axis})
        editor.substitute(node, replay(editor, part, cut))
    return editor.graph()


def unpack_projections(graph: Graph) -> Graph:
    """One Gemm whose result is only read in parts becomes one Gemm per part.

    Rules:
        1. Gemm of rank >= 3 (a projection of a sequence), or one whose parts are reached through Reshape or Transpose.
        2. Every reader is a Slice or Split along what was its last axis; the parts do not overlap.
        3. Each part is a Gemm with its rows of the weight, then the same movement.
    """
    editor = Editor(graph)
    for node in editor.each("Gemm"):
        leaves = _leaves(editor, node.outputs[0], ())
        if not leaves or node.clamp is not None:
            continue
        last = len(editor.shape(node.outputs[0])) - 1
        cuts = [(leaf, trace(editor, cut, root=node.outputs[0])) for leaf, cut in leaves]
        ranges = sorted((cut.start, cut.stop) for _, cut in cuts)
        apart = all(first[1] <= second[0] for first, second in itertools.pairwise(ranges))
        on_last = all(cut.value == node.outputs[0] and cut.axis == last for _, cut in cuts)
        if len(cuts) < 2 or not apart or not on_last or (last < 2 and not any(cut.chain for _, cut in cuts)):
            continue
        for leaf, cut in cuts:
            rows = slice(cut.start, cut.stop)
            weight, bias = (editor.constants[name] for name in node.inputs[1:3])
            names = [
                editor.add_constant(weight[rows], f"{node.inputs[1]}.{cut.start}"),
                editor.add_constant(np.ascontiguousarray(bias[rows]), f"{node.inputs[2]}.{cut.start}"),
            ]
            part = editor.add("Gemm", [node.inputs[0], *names], like=node)
            editor.redirect(leaf, replay(editor, part, cut))
    return editor.graph()


def trace(editor: Editor, cut: Cut, *, root: str = "") -> Cut:
    """Follow a cut backwards through Reshape and Transpose as far as it stays a cut of one axis."""
    while cut.value != root:
        node = editor.producer(cut.value)
        if node is None or node.op not in MOVES:
            return cut
        source = node.inputs[0]
        if node.op == "Transpose":
            axis, start, stop = node.attributes["perm"][cut.axis], cut.start, cut.stop
        else:
            found = _through_reshape(editor.shape(source), editor.shape(cut.value), cut)
            if found is None:
                return cut
            axis, start, stop = found
        shape = list(editor.shape(node.outputs[0]))
        shape[cut.axis] = cut.stop - cut.start
        move = as_move(node) if node.op == "Transpose" else Move("Reshape", tuple(shape))
        cut = Cut(source, axis, start, stop, ((node, move), *cut.chain))
    return cut


def replay(editor: Editor, value: str, cut: Cut) -> str:
    """Append the chain of a traced cut behind `value`, which stands for the cut of its root."""
    for node, move in cut.chain:
        name = "perm" if move.op == "Transpose" else "shape"
        value = editor.add(move.op, [value], like=node, attributes={name: move.values})
    return value


def _through_reshape(source: tuple[int, ...], result: tuple[int, ...], cut: Cut) -> tuple[int, int, int] | None:
    """The same cut on the source of a Reshape: an axis with as much before it, cut at whole rows."""
    before = int(np.prod(result[: cut.axis], dtype=np.int64))
    inner = int(np.prod(result[cut.axis + 1 :], dtype=np.int64))
    for axis, size in enumerate(source):
        after = int(np.prod(source[axis + 1 :], dtype=np.int64))
        if size == 1 or int(np.prod(source[:axis], dtype=np.int64)) != before:
            continue
        if (cut.start * inner) % after or (cut.stop * inner) % after:
            return None
        start, stop = cut.start * inner // after, cut.stop * inner // after
        return (axis, start, stop) if stop <= size else None
    return None


def _single_cut(node: Node) -> Cut | None:
    """The Slice of one axis with step 1."""
    if len(node.attributes["axes"]) != 1 or node.attributes["steps"] != (1,):
        return None
    (axis,), (start,), (stop,) = (node.attributes[name] for name in ("axes", "starts", "ends"))
    return Cut(node.inputs[0], axis, start, stop)


def _leaves(editor: Editor, value: str, found: tuple[tuple[str, Cut], ...]) -> list[tuple[str, Cut]] | None:
    """Results of every Slice and Split that read `value` through movement; None when anything else reads it."""
    users = editor.users(value)
    if editor.is_result(value) or not users:
        return None
    leaves = list(found)
    for user in users:
        if user.op in MOVES:
            further = _leaves(editor, user.outputs[0], ())
            if further is None:
                return None
            leaves.extend(further)
        elif user.op == "Slice" and (cut := _single_cut(user)) is not None:
            leaves.append((user.outputs[0], cut))
        elif user.op == "Split":
            begin = 0
            for output, size in zip(user.outputs, user.attributes["split"], strict=True):
                leaves.append((output, Cut(value, user.attributes["axis"], begin, begin + size)))
                begin += size
        else:
            return None
    return leaves
