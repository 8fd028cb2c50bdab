"""Unrolls LSTM, GRU and RNN over their static length into Gemm, Split, Sigmoid, Tanh, Mul and Add.

Everything is laid out batch first: the projections of all time steps are one Gemm over the sequence, whose result is
split into rank-2 steps; the states are joined again along the features. A state that starts at zero costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from edgekit.simplify.editor import Editor
from edgekit.simplify.static_arguments import Translation, refusal
from edgekit.types.graph import Node
from edgekit.types.qparams import Array

MAX_STEPS = 512
"""Longest sequence that is unrolled; beyond it the graph would have more than ten thousand nodes."""


@dataclass(frozen=True)
class State:
    """Hidden and cell state (N, H): a value, a constant row, or None for zero."""

    hidden: str | None
    cell: str | None = None


@dataclass(frozen=True, eq=False)
class Direction:
    """One direction of one layer.

    Attributes:
        editor: The open graph.
        node: The LSTM, GRU or RNN.
        weight: (gates * H, I).
        recurrence: (gates * H, H).
        input_bias: (gates * H,), added to the input's part.
        hidden_bias: (gates * H,), added to the state's part.
        stored: Constants of the recurrence, shared by all time steps: rows and bias given -> their names.
    """

    editor: Editor
    node: Node
    weight: Array
    recurrence: Array
    input_bias: Array
    hidden_bias: Array
    stored: dict[tuple[int | None, int | None, bool], tuple[str, str]] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """H."""
        return int(self.recurrence.shape[1])

    def op(self, name: str, *inputs: str) -> str:
        """Append an operator without attributes."""
        return self.editor.add(name, inputs, like=self.node)

    def const(self, array: Array, part: str) -> str:
        """Append a constant named after the module."""
        return self.editor.add_constant(np.asarray(array, np.float32), f"{self.node.module or self.node.name}.{part}")

    def parts(self, value: str, sizes: Sequence[int]) -> tuple[str, ...]:
        """Append a Split of the last axis."""
        if len(sizes) == 1:
            return (value,)
        shape = self.editor.shape(value)
        results = [((*shape[:-1], size), "float32") for size in sizes]
        attributes = {"axis": len(shape) - 1, "split": tuple(sizes)}
        return self.editor.add_node("Split", [value], like=self.node, outputs=results, attributes=attributes)

    def steps(self, source: str, length: int, weight: Array, bias: Array) -> tuple[str, ...]:
        """Project (N, T, I) with (O, I) and return the T results (N, O)."""
        projected = self.op("Gemm", source, self.const(weight, "weight"), self.const(bias, "bias"))
        rows, size = self.editor.shape(source)[0], int(weight.shape[0])
        flat = self.editor.add("Reshape", [projected], like=self.node, attributes={"shape": (rows, length * size)})
        return self.parts(flat, [size] * length)

    def plus(self, first: str, second: str | None) -> str:
        """Append an Add unless the second operand is zero."""
        return first if second is None else self.op("Add", first, second)

    def recur(self, hidden: str | None, rows: slice, bias: Array | None = None) -> str | None:
        """`h R' + b` for some rows of R; None when it is zero, a constant row when the state is constant."""
        offset = np.zeros(self.recurrence[rows].shape[0]) if bias is None else bias
        constant = None if hidden is None else self.editor.constant(hidden)
        if hidden is None:
            return self.const(offset[None], "offset") if offset.any() else None
        if constant is not None:
            return self.const(constant @ self.recurrence[rows].T + offset, "offset")
        key = (rows.start, rows.stop, bias is not None)
        if key not in self.stored:
            weight = self.const(self.recurrence[rows], "recurrence")
            self.stored[key] = (weight, self.const(offset, "recurrence_bias"))
        return self.op("Gemm", hidden, *self.stored[key])


def lstm(layer: Direction, source: str, length: int, state: State, *, reverse: bool) -> tuple[list[str], State]:
    """LSTM (Hochreiter & Schmidhuber 1997) with the ONNX gate order i, o, f, c.

    `i, o, f = sigmoid(..)`, `g = tanh(..)`, `c = f * c + i * g`, `h = o * tanh(c)`.

    Returns:
        The hidden state of each time step, in time order, and the last state.
    """
    size = layer.size
    inputs = layer.steps(source, length, layer.weight, layer.input_bias + layer.hidden_bias)
    outputs: dict[int, str] = {}
    for step in _order(length, reverse=reverse):
        gates = layer.plus(inputs[step], layer.recur(state.hidden, slice(None)))
        squashed, candidate = layer.parts(gates, [3 * size, size])
        enter, leave, keep = layer.parts(layer.op("Sigmoid", squashed), [size] * 3)
        cell = layer.op("Mul", enter, layer.op("Tanh", candidate))
        if state.cell is not None:
            cell = layer.op("Add", layer.op("Mul", keep, state.cell), cell)
        state = State(layer.op("Mul", leave, layer.op("Tanh", cell)), cell)
        outputs[step] = str(state.hidden)
    return [outputs[step] for step in range(length)], state


def gru(layer: Direction, source: str, length: int, state: State, *, reverse: bool) -> tuple[list[str], State]:
    """GRU (Cho et al. 2014) with the ONNX gate order z, r, h and either place of the reset gate.

    `z, r = sigmoid(..)`; `n = tanh(x + (r * h) R + b)`, or `n = tanh(x + r * (h R + b))` when linear_before_reset;
    `h = n + z * (h - n)`.
    """
    size = layer.size
    late_reset = bool(layer.node.attributes.get("linear_before_reset", 0))
    update, candidate = slice(0, 2 * size), slice(2 * size, 3 * size)
    bias = layer.input_bias.copy()
    bias[update] += layer.hidden_bias[update]
    inner_bias = layer.hidden_bias[candidate]
    if not late_reset:
        bias[candidate] += inner_bias
    gates_in = layer.steps(source, length, layer.weight[update], bias[update])
    candidates_in = layer.steps(source, length, layer.weight[candidate], bias[candidate])
    outputs: dict[int, str] = {}
    hidden = state.hidden
    for step in _order(length, reverse=reverse):
        gates = layer.op("Sigmoid", layer.plus(gates_in[step], layer.recur(hidden, update)))
        share, reset = layer.parts(gates, [size, size])
        if late_reset:
            inner = layer.recur(hidden, candidate, inner_bias)
            inner = None if inner is None else layer.op("Mul", reset, inner)
        else:
            inner = layer.recur(None if hidden is None else layer.op("Mul", reset, hidden), candidate)
        fresh = layer.op("Tanh", layer.plus(candidates_in[step], inner))
        if hidden is None:
            hidden = layer.op("Sub", fresh, layer.op("Mul", share, fresh))
        else:
            hidden = layer.op("Add", fresh, layer.op("Mul", share, layer.op("Sub", hidden, fresh)))
        outputs[step] = hidden
    return [outputs[step] for step in range(length)], State(hidden)


def rnn(layer: Direction, source: str, length: int, state: State, *, reverse: bool) -> tuple[list[str], State]:
    """Plain recurrence, `h = f(x W' + h R' + b)` with f tanh or relu."""
    activation = _activations(layer.node)[0]
    inputs = layer.steps(source, length, layer.weight, layer.input_bias + layer.hidden_bias)
    outputs: dict[int, str] = {}
    hidden = state.hidden
    for step in _order(length, reverse=reverse):
        total = layer.plus(inputs[step], layer.recur(hidden, slice(None)))
        if activation == "tanh":
            hidden = layer.op("Tanh", total)
        else:
            bounds = {"low": 0.0, "high": float("inf")}
            hidden = layer.editor.add("Clip", [total], like=layer.node, attributes=bounds)
        outputs[step] = hidden
    return [outputs[step] for step in range(length)], State(hidden)


def _order(length: int, *, reverse: bool) -> range:
    return range(length - 1, -1, -1) if reverse else range(length)


Unroll = Callable[..., tuple[list[str], State]]
_UNROLLED: Mapping[str, tuple[Unroll, tuple[tuple[str, ...], ...]]] = {
    "LSTM": (lstm, (("sigmoid", "tanh", "tanh"),)),
    "GRU": (gru, (("sigmoid", "tanh"),)),
    "RNN": (rnn, (("tanh",), ("relu",))),
}


def recurrent(editor: Editor, node: Node) -> None:
    """LSTM, GRU and RNN of ONNX, one or two directions.

    Rules:
        1. The input is turned batch first, projected in one Gemm (two for GRU), and split into steps.
        2. Y is the Concat of the states; Y_h and Y_c are the last ones.
        3. Refused: more than 512 steps, peepholes, clipping, other activations, sequence lengths below the full one.
    """
    unroll, allowed = _UNROLLED[node.op]
    _check(editor, node, allowed)
    batch_first = bool(node.attributes.get("layout", 0))
    source = node.inputs[0]
    if not batch_first:
        source = editor.add("Transpose", [source], like=node, attributes={"perm": (1, 0, 2)})
    length = editor.shape(source)[1]
    ways = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}
    results = [
        unroll(_direction(editor, node, index), source, length, _initial(editor, node, index), reverse=reverse)
        for index, reverse in enumerate(ways[str(node.attributes.get("direction", "forward"))])
    ]
    joined = [states[step] for step in range(length) for states, _ in results]
    _deliver(editor, node, 0, joined, length=length, batch_first=batch_first)
    _deliver(editor, node, 1, [str(state.hidden) for _, state in results], length=None, batch_first=batch_first)
    _deliver(editor, node, 2, [str(state.cell) for _, state in results], length=None, batch_first=batch_first)
    editor.remove(node)


def _check(editor: Editor, node: Node, allowed: tuple[tuple[str, ...], ...]) -> None:
    batch_first = bool(node.attributes.get("layout", 0))
    length = editor.shape(node.inputs[0])[1 if batch_first else 0]
    if length > MAX_STEPS:
        raise refusal(node, f"its sequence has {length} steps; up to {MAX_STEPS} are unrolled")
    if _activations(node) not in (names * _directions(node) for names in allowed):
        raise refusal(node, f"its activations are {', '.join(_activations(node))}")
    if "clip" in node.attributes or node.attributes.get("input_forget", 0):
        raise refusal(node, "it clips its gates or couples input and forget gate")
    for slot, what in ((1, "weights"), (2, "weights"), (3, "biases")):
        if len(node.inputs) > slot and node.inputs[slot] and editor.constant(node.inputs[slot]) is None:
            raise refusal(node, f"its {what} are computed at run time")
    lengths = _optional(editor, node, 4)
    if len(node.inputs) > 4 and node.inputs[4] and (lengths is None or (lengths != length).any()):
        raise refusal(node, "its sequence lengths differ or are computed at run time")
    peepholes = _optional(editor, node, 7)
    if len(node.inputs) > 7 and node.inputs[7] and (peepholes is None or peepholes.any()):
        raise refusal(node, "it has peephole connections")


def _activations(node: Node) -> tuple[str, ...]:
    default = {"LSTM": ("sigmoid", "tanh", "tanh"), "GRU": ("sigmoid", "tanh"), "RNN": ("tanh",)}[node.op]
    given = node.attributes.get("activations", default * _directions(node))
    return tuple(str(name).lower() for name in given)


def _directions(node: Node) -> int:
    return 2 if node.attributes.get("direction", "forward") == "bidirectional" else 1


def _direction(editor: Editor, node: Node, index: int) -> Direction:
    weight, recurrence = (np.asarray(editor.constants[name][index]) for name in node.inputs[1:3])
    bias = _optional(editor, node, 3)
    rows = weight.shape[0]
    both = np.zeros(2 * rows, np.float32) if bias is None else bias[index]
    return Direction(editor, node, weight, recurrence, both[:rows], both[rows:])


def _initial(editor: Editor, node: Node, index: int) -> State:
    return State(_state(editor, node, 5, index), _state(editor, node, 6, index) if node.op == "LSTM" else None)


def _state(editor: Editor, node: Node, slot: int, index: int) -> str | None:
    """Initial state of one direction as a value (N, H), a constant row, or None when absent or zero."""
    if len(node.inputs) <= slot or not node.inputs[slot]:
        return None
    array = editor.constant(node.inputs[slot])
    batch_first = bool(node.attributes.get("layout", 0))
    if array is not None:
        own = array[:, index] if batch_first else array[index]
        return editor.add_constant(np.ascontiguousarray(own), f"{node.inputs[slot]}.{index}") if own.any() else None
    shape = editor.shape(node.inputs[slot])
    axis = 1 if batch_first else 0
    own_shape = tuple(size for position, size in enumerate(shape) if position != axis)
    value = node.inputs[slot]
    if shape[axis] > 1:
        cut = {"starts": (index,), "ends": (index + 1,), "axes": (axis,), "steps": (1,)}
        value = editor.add("Slice", [value], like=node, attributes=cut)
    return editor.add("Reshape", [value], like=node, attributes={"shape": own_shape})


def _optional(editor: Editor, node: Node, slot: int) -> Array | None:
    return editor.constant(node.inputs[slot]) if len(node.inputs) > slot else None


def _deliver(
    editor: Editor, node: Node, slot: int, states: Sequence[str], *, length: int | None, batch_first: bool
) -> None:
    """Join states (N, H), time-major then direction, into the layout of output `slot`, if anybody reads it."""
    if len(node.outputs) <= slot or not node.outputs[slot]:
        return
    rows, size = editor.shape(states[0])
    directions = len(states) // (length or 1)
    joined = states[0]
    if len(states) > 1:
        joined = editor.add("Concat", states, like=node, attributes={"axis": 1})
    inner = (rows, directions, size) if length is None else (rows, length, directions, size)
    result = editor.add("Reshape", [joined], like=node, attributes={"shape": inner})
    if not batch_first:
        perm = (1, 0, 2) if length is None else (1, 2, 0, 3)
        result = editor.add("Transpose", [result], like=node, attributes={"perm": perm})
    editor.redirect(node.outputs[slot], result)


TRANSLATIONS: Mapping[str, Translation] = dict.fromkeys(("LSTM", "GRU", "RNN"), recurrent)
"""ONNX operator -> its translation."""
