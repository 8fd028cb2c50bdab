"""ReferenceSession: runs a QuantizedGraph in NumPy, by the definition of each operator.

Why: two runtimes that disagree need a referee whose every rounding is written down. It takes the graph itself, not
a file, so it also says whether an emitter wrote what was decided. Storage follows `QuantizedGraph`: a tensor with
QParams is held as integers, everything else in its own dtype.

An int8 node is computed by INTEGER where exact integer arithmetic defines it (LiteRT quantization spec), else by
dequantizing to float64, FLOAT, and one rounding. An island reads float32, computes in float32, and is quantized by
`QParams.quantize` where its result has QParams.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from edgekit.errors import InputError
from edgekit.runtime.reference import linear, movement, pooling, resize
from edgekit.runtime.reference.elementwise import ONE_INPUT, REAL
from edgekit.runtime.reference.rounding import Arrays, IntegerCall, Result, reals, round_reals
from edgekit.types.graph import Graph, Node, QuantizedGraph
from edgekit.types.qparams import RANGES, Array, QParams
from edgekit.types.spec import TensorSpec

FLOAT: dict[str, Callable[[Node, Arrays], Result]] = {
    **REAL,
    **dict.fromkeys(linear.PRODUCTS, linear.linear),
    **movement.MOVEMENTS,
    "Concat": movement.concat,
    "Pad": movement.pad,
    "ArgMax": movement.argmax,
    "Resize": resize.resize,
    "MaxPool": pooling.max_pool,
    "AveragePool": pooling.average_pool,
    "GlobalAveragePool": pooling.mean,
    "ReduceMean": pooling.mean,
    "ReduceMax": pooling.largest,
    "ReduceSum": pooling.total,
}
"""operator -> its definition on floats (and on index tensors)."""

INTEGER: dict[str, Callable[[IntegerCall], Result]] = {
    **dict.fromkeys(linear.PRODUCTS, linear.integer_linear),
    **dict.fromkeys(movement.MOVEMENTS, movement.integer_movement),
    "Concat": movement.integer_concat,
    "Pad": movement.integer_pad,
    "ArgMax": movement.integer_argmax,
    "Resize": resize.integer_resize,
    "MaxPool": pooling.integer_max_pool,
    "AveragePool": pooling.integer_average_pool,
    "GlobalAveragePool": pooling.integer_mean,
    "ReduceMean": pooling.integer_mean,
    "ReduceMax": pooling.integer_largest,
}
"""operator -> its definition on integers, where that is not dequantize, compute, round."""


def as_float(graph: Graph) -> QuantizedGraph:
    """The graph with nothing quantized: every node is an island."""
    return QuantizedGraph(graph, {}, {}, {node.name: "float graph" for node in graph.nodes})


class ReferenceSession:
    """The quantized graph itself as a Session, at any batch size that `graph.batch_axes` allows.

    Attributes:
        inputs: Specs of the graph inputs: float32, or the stored integer type with io="int8".
        outputs: Specs of the graph outputs, likewise.
    """

    def __init__(self, quantized: QuantizedGraph, *, taps: Sequence[str] = (), io: str = "float") -> None:
        """Prepare a run.

        Args:
            quantized: What to run; see `as_float` for a graph without QParams.
            taps: Inner values that `run` returns too.
            io: "float" feeds and returns float32; "int8" feeds and returns the stored integers.

        Raises:
            InputError: A tap is not a value of the graph, or `io` is neither "float" nor "int8".
        """
        graph = quantized.graph
        unknown = [name for name in taps if name not in graph.values]
        if unknown:
            raise InputError(f"asked to tap {', '.join(unknown)}: no such value in graph '{graph.name}'")
        if io not in ("float", "int8"):
            raise InputError(f"asked for io={io!r}", hint='io is "float" or "int8"')
        self._quantized, self._graph, self._io = quantized, graph, io
        self._taps = tuple(taps)
        self._stored = {name: self._stored_constant(name) for name in graph.constants}
        self._last_use = _last_uses(graph, (*graph.outputs, *taps))
        self.inputs = tuple(self._spec(name) for name in graph.inputs)
        self.outputs = tuple(self._spec(name) for name in graph.outputs)

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Run once.

        Args:
            feeds: input name -> array of the input's dtype, any size on its batch axis.

        Returns:
            Output name -> array: float32 (io="float") or the stored integers (io="int8"). Taps are always float32
            when they stand for reals, and as stored otherwise.

        Raises:
            InputError: An input is missing, of the wrong shape or type, or batch sizes disagree.
        """
        stored = self.run_integers(feeds)
        as_stored = set(self._graph.outputs) - set(self._taps) if self._io == "int8" else set()
        return {name: array if name in as_stored else self._float(name, array) for name, array in stored.items()}

    def run_integers(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Run once and return outputs and taps as stored: integers where they have QParams.

        Args:
            feeds: As for `run`.

        Raises:
            InputError: As for `run`.
        """
        batch = self._batch_size(feeds)
        with np.errstate(all="ignore"):
            return self._walk(feeds, batch)

    def _walk(self, feeds: Mapping[str, Array], batch: int) -> dict[str, Array]:
        """Every node in order; a value is dropped after its last use."""
        stored = dict(self._stored)
        for spec in self.inputs:
            qparams = self._quantized.qparams.get(spec.name)
            array = np.asarray(feeds[spec.name])
            stored[spec.name] = array if qparams is None or self._io == "int8" else qparams.quantize(array)
        for index, node in enumerate(self._graph.nodes):
            stored.update(zip(node.outputs, self._compute(_at_batch(node, self._graph, batch), stored), strict=True))
            for name in self._last_use.get(index, ()):
                del stored[name]
        return {name: stored[name] for name in dict.fromkeys((*self._graph.outputs, *self._taps))}

    def _compute(self, node: Node, stored: Mapping[str, Array]) -> list[Array]:
        """The stored outputs of one node."""
        if not self._quantized.is_int8(node):
            inputs = tuple(self._float(name, stored[name]) for name in node.inputs if name)
            return [
                self._store_float(name, array)
                for name, array in zip(node.outputs, _clamped(node, _pieces(FLOAT[node.op](node, inputs))), strict=True)
            ]
        names, qparams = [name for name in node.inputs if name], self._quantized.qparams
        call = IntegerCall(
            node,
            tuple(stored[name] for name in names),
            tuple(qparams.get(name) for name in names),
            tuple(qparams.get(name) for name in node.outputs),
        )
        kernel = INTEGER.get(node.op)
        results = _pieces(kernel(call)) if kernel else _through_reals(call)
        return [self._typed(name, array) for name, array in zip(node.outputs, results, strict=True)]

    def _stored_constant(self, name: str) -> Array:
        """A constant as a file would store it: integers where it has QParams."""
        if name in self._quantized.integers:
            return self._quantized.integers[name]
        qparams, values = self._quantized.qparams.get(name), self._graph.constants[name]
        return values if qparams is None else qparams.quantize(values)

    def _float(self, name: str, array: Array) -> Array:
        """float32 reals of a stored tensor that has QParams; any other as it is."""
        qparams = self._quantized.qparams.get(name)
        return array if qparams is None else qparams.dequantize(array)

    def _store_float(self, name: str, array: Array) -> Array:
        qparams = self._quantized.qparams.get(name)
        return self._typed(name, array) if qparams is None else qparams.quantize(array)

    def _typed(self, name: str, array: Array) -> Array:
        """The result in the dtype its value declares (a numpy function may have widened it)."""
        return array if name in self._quantized.qparams else array.astype(self._graph.values[name].dtype, copy=False)

    def _spec(self, name: str) -> TensorSpec:
        """How the border shows a value."""
        spec, qparams = self._graph.spec(name), self._quantized.qparams.get(name)
        if self._io == "float" or qparams is None:
            return spec
        return replace(spec, dtype=qparams.dtype, scale=float(qparams.scale), zero_point=int(qparams.zero_point))

    def _batch_size(self, feeds: Mapping[str, Array]) -> int:
        """How many times the declared batch the feeds hold; checks names, types and shapes."""
        sizes: dict[str, int] = {}
        for spec in self.inputs:
            if spec.name not in feeds:
                raise InputError(f"input '{spec.name}' is missing: fed {', '.join(feeds) or 'nothing'}")
            array = np.asarray(feeds[spec.name])
            expected = list(spec.shape)
            if spec.batch_axis is not None and array.ndim == len(expected):
                sizes[spec.name], left_over = divmod(array.shape[spec.batch_axis], expected[spec.batch_axis])
                expected[spec.batch_axis] *= sizes[spec.name] if left_over == 0 and sizes[spec.name] else 1
            if array.shape != tuple(expected) or array.dtype != spec.dtype:
                raise InputError(f"asked for {spec}: fed {array.dtype} of shape {list(array.shape)}")
        if len(set(sizes.values())) > 1:
            raise InputError(f"inputs disagree on the batch size: {sizes}")
        return next(iter(sizes.values()), 1)


def _through_reals(call: IntegerCall) -> list[Array]:
    """Dequantize to float64, compute, round once; by a table of every input where there are only 256."""
    node, source = call.node, call.sources[0]
    if node.op in ONE_INPUT and source is not None and source.dtype in ("int8", "uint8"):
        bottom, top = RANGES[source.dtype]
        domain = np.arange(bottom, top + 1)
        (values,) = _pieces(FLOAT[node.op](node, (reals(domain, source),)))
        table = round_reals(values, call.target(), clamp=node.clamp)
        return [table[call.arrays[0].astype(np.int64) - bottom]]
    inputs = tuple(_wide(array, qparams) for array, qparams in zip(call.arrays, call.sources, strict=True))
    results = _pieces(FLOAT[node.op](node, inputs))
    return [
        value if target is None else round_reals(value, target, clamp=node.clamp)
        for value, target in zip(results, call.targets, strict=True)
    ]


def _wide(array: Array, qparams: QParams | None) -> Array:
    """float64 of what an array stands for; index tensors stay."""
    if qparams is not None:
        return reals(array, qparams)
    return array.astype(np.float64) if array.dtype == np.float32 else array


def _pieces(result: Result) -> tuple[Array, ...]:
    return result if isinstance(result, tuple) else (result,)


def _clamped(node: Node, arrays: tuple[Array, ...]) -> tuple[Array, ...]:
    return arrays if node.clamp is None else tuple(np.clip(array, *node.clamp) for array in arrays)


def _at_batch(node: Node, graph: Graph, batch: int) -> Node:
    """The node with a static target shape scaled to the batch."""
    axis = graph.batch_axes.get(node.outputs[0])
    if batch == 1 or axis is None or node.op not in ("Reshape", "Expand"):
        return node
    shape = list(node.attributes["shape"])
    shape[axis] *= batch
    return replace(node, attributes={**node.attributes, "shape": tuple(shape)})


def _last_uses(graph: Graph, kept: Sequence[str]) -> dict[int, list[str]]:
    """node index -> values that nobody needs after it."""
    last: dict[str, int] = {}
    for index, node in enumerate(graph.nodes):
        last.update((name, index) for name in (*node.inputs, *node.outputs) if name)
    found: dict[int, list[str]] = {}
    for name in set(last) - set(kept):
        found.setdefault(last[name], []).append(name)
    return found
