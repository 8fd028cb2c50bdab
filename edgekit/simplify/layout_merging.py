"""Merges and moves Reshape, Transpose, Slice and Gather so that as few as possible are left.

Meant to run on a graph with a large prime for its batch (`virtual_batch`), so that the batch axis is never mistaken for
an axis of size 1.
"""

from __future__ import annotations

from collections.abc import Sequence

from edgekit.simplify.editor import Editor
from edgekit.simplify.movement_algebra import Move, cost, shortest
from edgekit.types.graph import Graph, Node

MOVES = ("Reshape", "Transpose")


def merge_layout(graph: Graph) -> Graph:
    """Merge data movement.

    Rules:
        1. A chain of Reshape and Transpose is replaced by the shortest one that does the same, if that is shorter.
        2. Movement before a Gemm that leaves the last axis alone goes behind it, or movement behind it before it, when
           together they are fewer Transposes, or fewer steps.
        3. Gather(Transpose(x)) at constant positions is Transpose(Gather(x)).
        4. Slice(Slice(x)) on different axes is one Slice.
    """
    editor = Editor(graph)
    for node in editor.each("Gather"):
        _gather_first(editor, node)
    for node in editor.each("Slice"):
        _join_slices(editor, node)
    for node in editor.each("Gemm"):
        _cross_gemm(editor, node)
    for node in editor.each(*MOVES):
        user = editor.sole_user(node.outputs[0])
        if user is None or user.op not in MOVES:
            _shorten(editor, node)
    return editor.graph()


def _shorten(editor: Editor, end: Node) -> None:
    """Rule 1, through values that others read as well when no Transpose is needed in the end."""
    for shared in (True, False):
        chain = chain_up(editor, end.outputs[0], shared=shared)
        if not chain:
            return
        source = chain[0].inputs[0]
        old = [as_move(node) for node in chain]
        new = shortest(editor.shape(source), old)
        if new is None or cost(new) >= cost(old) or (shared and cost(new)[0]):
            continue
        editor.substitute(end, apply_moves(editor, source, new, like=end))
        return


def _cross_gemm(editor: Editor, node: Node) -> None:
    if node.clamp is not None:
        return
    whole = chain_up(editor, node.inputs[0], shared=True)
    before = _keeping_last(editor, whole)
    after = chain_down(editor, node.outputs[0])
    if before:
        source = before[0].inputs[0]
        old = [as_move(item) for item in after]
        width = editor.shape(node.outputs[0])[-1]
        behind = [_resized(as_move(item), width) for item in before]
        shape = (*editor.shape(source)[:-1], width)
        new = shortest(shape, [*behind, *old])
        if new is not None and cost([*behind, *old])[0] > 0 and cost(new)[0] <= cost(old)[0] and after:
            product = editor.add("Gemm", [source, *node.inputs[1:]], like=node)
            editor.redirect(after[-1].outputs[0], apply_moves(editor, product, new, like=after[-1]))
            return
    movable = _leading_keepers(editor, after)
    if movable and whole:
        source = whole[0].inputs[0]
        width = editor.shape(node.inputs[0])[-1]
        old = [*(as_move(item) for item in whole), *(_resized(as_move(item), width) for item in movable)]
        new = shortest(editor.shape(source), old)
        if new is not None and cost(new) < cost(old):
            moved = apply_moves(editor, source, new, like=movable[-1])
            product = editor.add("Gemm", [moved, *node.inputs[1:]], like=node)
            editor.redirect(movable[-1].outputs[0], product)


def _keeping_last(editor: Editor, chain: Sequence[Node]) -> list[Node]:
    """The end of a chain that leaves the last axis alone."""
    kept: list[Node] = []
    for node in reversed(chain):
        if not _keeps_last(editor, node):
            break
        kept.insert(0, node)
    return kept


def _leading_keepers(editor: Editor, chain: Sequence[Node]) -> list[Node]:
    kept: list[Node] = []
    for node in chain:
        if not _keeps_last(editor, node):
            break
        kept.append(node)
    return kept


def _keeps_last(editor: Editor, node: Node) -> bool:
    first, last = editor.shape(node.inputs[0]), editor.shape(node.outputs[0])
    if not first or not last or first[-1] != last[-1] or first[-1] == 1:
        return False
    return node.op == "Reshape" or node.attributes["perm"][-1] == len(first) - 1


def _resized(move: Move, width: int) -> Move:
    return Move(move.op, (*move.values[:-1], width)) if move.op == "Reshape" else move


def chain_up(editor: Editor, value: str, *, shared: bool) -> list[Node]:
    """Reshape and Transpose nodes that lead to `value`, first to last; `shared` also through values others read."""
    chain: list[Node] = []
    node = editor.producer(value)
    while node is not None and node.op in MOVES:
        chain.insert(0, node)
        node = editor.producer(node.inputs[0]) if shared else editor.sole_producer(node.inputs[0])
    return chain


def chain_down(editor: Editor, value: str) -> list[Node]:
    """Reshape and Transpose nodes that follow `value`, each the only reader."""
    chain: list[Node] = []
    node = editor.sole_user(value)
    while node is not None and node.op in MOVES:
        chain.append(node)
        node = editor.sole_user(node.outputs[0])
    return chain


def as_move(node: Node) -> Move:
    """The step that a Reshape or Transpose node does."""
    if node.op == "Reshape":
        return Move("Reshape", tuple(node.attributes["shape"]))
    return Move("Transpose", tuple(node.attributes["perm"]))


def apply_moves(editor: Editor, value: str, moves: Sequence[Move], *, like: Node) -> str:
    """Append the nodes of a chain; returns the last result."""
    for move in moves:
        name = "shape" if move.op == "Reshape" else "perm"
        value = editor.add(move.op, [value], like=like, attributes={name: move.values})
    return value


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


def _join_slices(editor: Editor, node: Node) -> None:
    previous = editor.sole_producer(node.inputs[0])
    if previous is None or previous.op != "Slice":
        return
    joined = {name: (*previous.attributes[name], *node.attributes[name]) for name in node.attributes}
    axes = joined["axes"]
    if len(set(axes)) == len(axes):
        order = sorted(range(len(axes)), key=axes.__getitem__)
        sorted_attributes = {name: tuple(values[index] for index in order) for name, values in joined.items()}
        editor.replace(node, inputs=previous.inputs, attributes=sorted_attributes)
