"""The torch executor computes what the NumPy reference computes, and lets gradients through."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edgekit.errors import ShrinkError
from edgekit.runtime.reference import ReferenceSession, as_float
from edgekit.shrink.synthesis.torch_executor import TorchExecutor
from edgekit.shrink.synthesis.torch_operators import FUNCTIONS
from edgekit.testing.case import Case
from edgekit.testing.single_op import catalogue
from edgekit.types.graph import Graph, Node, Value
from edgekit.types.operators import OPERATORS


def test_every_operator_of_the_dialect_has_a_function() -> None:
    assert set(FUNCTIONS) == set(OPERATORS)


@pytest.mark.parametrize("case", catalogue(), ids=repr)
def test_operators_agree_with_the_reference(case: Case) -> None:
    graph = case.quantized.graph
    expected = ReferenceSession(as_float(graph)).run(case.feeds)
    got = TorchExecutor(graph)({name: torch.from_numpy(np.array(array)) for name, array in case.feeds.items()})
    for name, array in expected.items():
        result = got[name].numpy()
        assert result.dtype == array.dtype
        np.testing.assert_allclose(result, array, rtol=1e-5, atol=1e-5 * max(1.0, np.abs(array).max()))


def small_graph() -> Graph:
    rng = np.random.default_rng(0)
    constants = {"w": rng.normal(size=(4, 3, 3, 3)).astype(np.float32), "b": np.zeros(4, np.float32)}
    window = {"strides": (1, 1), "pads": (1, 1, 1, 1), "dilations": (1, 1), "group": 1}
    nodes = (
        Node("c", "Conv", ("x", "w", "b"), ("y",), window, clamp=(0.0, 1.0)),
        Node("r", "Reshape", ("y",), ("z",), {"shape": (1, 4 * 25)}),
        Node("s", "Softmax", ("z",), ("p",), {"axis": 1}),
    )
    shapes = {"x": (1, 3, 5, 5), "y": (1, 4, 5, 5), "z": (1, 100), "p": (1, 100)}
    values = {name: Value(name, shape) for name, shape in shapes.items()}
    return Graph("small", ("x",), ("p",), nodes, values, constants, dict.fromkeys(shapes, 0))


def test_any_batch_size_where_the_graph_has_batch_axes() -> None:
    graph = small_graph()
    x = torch.randn(6, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    executor = TorchExecutor(graph)
    together = executor({"x": x})["p"]
    apart = torch.cat([executor({"x": x[i : i + 1]})["p"] for i in range(6)])
    torch.testing.assert_close(together, apart)


def test_values_before_the_clamp_and_gradients_to_the_input() -> None:
    graph = small_graph()
    x = torch.randn(2, 3, 5, 5, generator=torch.Generator().manual_seed(0)).requires_grad_()
    raw = TorchExecutor(graph, ["y"], before_clamp=True)({"x": x})["y"]
    clamped = TorchExecutor(graph, ["y"])({"x": x})["y"]
    assert raw.min() < 0
    assert raw.max() > 1
    torch.testing.assert_close(raw.clamp(0, 1), clamped)
    raw.square().sum().backward()
    assert x.grad is not None
    assert (x.grad != 0).all()


def test_only_the_part_that_is_needed_is_run() -> None:
    executor = TorchExecutor(small_graph(), ["y"])
    assert [node.name for node in executor.graph.nodes] == ["c"]
    with pytest.raises(ShrinkError, match="has no value q"):
        TorchExecutor(small_graph(), ["q"])
