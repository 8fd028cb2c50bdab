"""Editor: a Graph opened for changes, so that a pass is a few lines of "find this, put that".

A pass is a function `(Graph) -> Graph`; inside it opens an Editor, changes nodes, and closes it again with
`graph()`, which drops what nobody reads and puts the nodes back in topological order.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from edgekit.simplify.result_shapes import result_shape
from edgekit.types.graph import Graph, Node, Value
from edgekit.types.qparams import Array


class Editor:
    """A mutable view of one Graph with its edges indexed both ways; every change costs O(edges of the node)."""

    def __init__(self, graph: Graph) -> None:
        self.name = graph.name
        self.inputs = graph.inputs
        self.nodes: dict[str, Node] = {}
        self.values: dict[str, Value] = dict(graph.values)
        self.constants: dict[str, Array] = dict(graph.constants)
        self.batch_axes = dict(graph.batch_axes)
        self._results: list[tuple[str, str]] = [(name, name) for name in graph.outputs]
        self._producers: dict[str, str] = {}
        self._users: dict[str, dict[str, None]] = {}
        self._counters: dict[str, int] = {}
        for node in graph.nodes:
            self._link(node)
        for name in graph.outputs:
            if name in self.constants:  # the result is a copy of the constant, see `_name_results`
                self.redirect(name, self.add_constant(self.constants.pop(name), f"{name}.constant"))

    # Reading.

    def producer(self, value: str) -> Node | None:
        """The node that writes `value`; None for graph inputs and constants."""
        name = self._producers.get(value)
        return self.nodes[name] if name is not None else None

    def users(self, value: str) -> list[Node]:
        """The nodes that read `value`, each once."""
        return [self.nodes[name] for name in self._users.get(value, ())]

    def is_result(self, value: str) -> bool:
        """Whether the graph returns `value`."""
        return any(current == value for _, current in self._results)

    def sole_user(self, value: str) -> Node | None:
        """The only node that reads `value`, or None when there are more, none, or the graph returns it."""
        names = self._users.get(value, {})
        if len(names) != 1 or self.is_result(value):
            return None
        return self.nodes[next(iter(names))]

    def sole_producer(self, value: str) -> Node | None:
        """The single-output node that writes `value` for one reader only; None otherwise."""
        node = self.producer(value)
        if node is None or len(node.outputs) != 1 or self.sole_user(value) is None:
            return None
        return node

    def constant(self, name: str) -> Array | None:
        """The array of a constant, None for run-time values and absent inputs."""
        return self.constants.get(name)

    def scalar(self, name: str) -> float | None:
        """The value of a one-element constant, else None."""
        array = self.constants.get(name)
        return float(array.reshape(-1)[0]) if array is not None and array.size == 1 else None

    def shape(self, name: str) -> tuple[int, ...]:
        """Static shape of a value or constant."""
        array = self.constants.get(name)
        return tuple(array.shape) if array is not None else self.values[name].shape

    def dtype(self, name: str) -> str:
        """numpy dtype name of a value or constant."""
        array = self.constants.get(name)
        return str(array.dtype) if array is not None else self.values[name].dtype

    def each(self, *ops: str) -> Iterable[Node]:
        """The nodes of these operators (all when none is named) as they stand now; removed ones are skipped."""
        for name in list(self.nodes):
            node = self.nodes.get(name)
            if node is not None and (not ops or node.op in ops):
                yield node

    # Changing.

    def add_constant(self, array: Array, stem: str) -> str:
        """Store an array under a name derived from `stem`; returns the name."""
        name = self._fresh(stem)
        self.constants[name] = array
        return name

    def add_node(
        self,
        op: str,
        inputs: Sequence[str],
        *,
        like: Node,
        outputs: Sequence[tuple[tuple[int, ...], str]],
        attributes: Mapping[str, Any] | None = None,
    ) -> tuple[str, ...]:
        """Append a node that inherits the module of `like`.

        Args:
            op: Operator.
            inputs: Names it reads.
            like: The node it comes from.
            outputs: Shape and dtype of each result.
            attributes: Its static arguments.

        Returns:
            Names of its results.
        """
        name = self._fresh(f"{like.name}/{op}" if not like.name.endswith(f"/{op}") else like.name)
        names: list[str] = []
        for shape, dtype in outputs:
            names.append(self._fresh(name))
            self.values[names[-1]] = Value(names[-1], tuple(shape), dtype)
        self._link(Node(name, op, tuple(inputs), tuple(names), dict(attributes or {}), like.module))
        return tuple(names)

    def add(
        self,
        op: str,
        inputs: Sequence[str],
        *,
        like: Node,
        attributes: Mapping[str, Any] | None = None,
        shape: tuple[int, ...] | None = None,
        dtype: str | None = None,
    ) -> str:
        """Append a node with one result; shape and dtype follow from the inputs unless given. Returns the result."""
        if shape is None:
            shape = result_shape(op, [self.shape(name) for name in inputs if name], attributes or {})
        result = (shape, dtype or self.dtype(inputs[0]))
        return self.add_node(op, inputs, like=like, outputs=[result], attributes=attributes)[0]

    def replace(
        self,
        node: Node,
        *,
        op: str | None = None,
        inputs: Sequence[str] | None = None,
        outputs: Sequence[str] | None = None,
        attributes: Mapping[str, Any] | None = None,
        clamp: tuple[float, float] | None = None,
    ) -> Node:
        """Put a changed copy of `node` in its place (same name); returns it."""
        changed = dataclasses.replace(
            node,
            op=node.op if op is None else op,
            inputs=node.inputs if inputs is None else tuple(inputs),
            outputs=node.outputs if outputs is None else tuple(outputs),
            attributes=node.attributes if attributes is None else dict(attributes),
            clamp=node.clamp if clamp is None else clamp,
        )
        self._unlink(node)
        self._link(changed)
        return changed

    def redirect(self, old: str, new: str) -> None:
        """Let every reader of `old`, graph results included, read `new` instead."""
        if old == new:
            return
        for user in self.users(old):
            self.replace(user, inputs=[new if name == old else name for name in user.inputs])
        self._results = [(public, new if value == old else value) for public, value in self._results]

    def substitute(self, node: Node, result: str) -> None:
        """Remove a single-result node and let its readers read `result`."""
        self.remove(node)
        self.redirect(node.outputs[0], result)

    def remove(self, node: Node) -> None:
        """Take a node out; its results lose their producer."""
        self._unlink(node)
        del self.nodes[node.name]

    def graph(self) -> Graph:
        """Close the editor: dead nodes dropped, topological order, graph results under their public names."""
        self._name_results()
        order = self._ordered()
        used = {name for node in order for name in (*node.inputs, *node.outputs)} | set(self.inputs)
        used |= {value for _, value in self._results}
        return Graph(
            self.name,
            self.inputs,
            tuple(public for public, _ in self._results),
            tuple(order),
            {name: value for name, value in self.values.items() if name in used},
            {name: array for name, array in self.constants.items() if name in used},
            {name: axis for name, axis in self.batch_axes.items() if name in used},
        )

    def _link(self, node: Node) -> None:
        self.nodes[node.name] = node
        for name in node.inputs:
            if name:
                self._users.setdefault(name, {})[node.name] = None
        for name in node.outputs:
            if name:
                self._producers[name] = node.name

    def _unlink(self, node: Node) -> None:
        for name in node.inputs:
            self._users.get(name, {}).pop(node.name, None)
        for name in node.outputs:
            if self._producers.get(name) == node.name:
                del self._producers[name]

    def _fresh(self, stem: str) -> str:
        name = stem
        while name in self.values or name in self.constants or name in self.nodes:
            self._counters[stem] = self._counters.get(stem, 1) + 1
            name = f"{stem}_{self._counters[stem]}"
        return name

    def _name_results(self) -> None:
        """Give each result its public name, copying where one value is returned twice or comes from outside."""
        taken: set[str] = set()
        for position in range(len(self._results)):
            public, value = self._results[position]  # as it is now: naming an earlier result may have moved this one
            if value == public and public not in taken:
                taken.add(public)
                continue
            if value in taken or value in self.inputs or value in self.constants:
                like = self.producer(value) or Node(public, "Reshape", (), ())
                value = self.add("Reshape", [value], like=like, attributes={"shape": self.shape(value)})
            self._rename(value, public)
            self._results[position] = (public, public)
            taken.add(public)

    def _rename(self, value: str, public: str) -> None:
        if public in self.values and (public in self._producers or self._users.get(public)):
            self._rename(public, self._fresh(f"{public}_inner"))
        node = self.producer(value)
        assert node is not None
        self.values[public] = Value(public, self.values[value].shape, self.values[value].dtype)
        if value in self.batch_axes:
            self.batch_axes[public] = self.batch_axes[value]
        self.replace(node, outputs=[public if name == value else name for name in node.outputs])
        self.redirect(value, public)

    def _ordered(self) -> list[Node]:
        """Live nodes, each after the nodes it reads from, otherwise in the order they were added."""
        live = self._live()
        done: set[str] = set()
        order: list[Node] = []
        for first in self.nodes.values():
            stack = [first] if first.name in live else []
            while stack:
                node = stack[-1]
                waiting = [
                    self.nodes[self._producers[name]]
                    for name in node.inputs
                    if name in self._producers and self._producers[name] not in done
                ]
                if waiting and node.name not in done:
                    stack.extend(waiting)
                    continue
                stack.pop()
                if node.name not in done:
                    done.add(node.name)
                    order.append(node)
        return order

    def _live(self) -> set[str]:
        live: set[str] = set()
        stack = [self._producers[value] for _, value in self._results if value in self._producers]
        while stack:
            name = stack.pop()
            if name in live:
                continue
            live.add(name)
            stack.extend(self._producers[value] for value in self.nodes[name].inputs if value in self._producers)
        return live
