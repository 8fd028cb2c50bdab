"""Synthesized inputs look to a model as its training data did."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from edgekit.load.trace import trace
from edgekit.shrink.synthesis.matching import Objective
from edgekit.shrink.synthesis.synthesize import synthesize
from edgekit.shrink.synthesis.torch_executor import TorchExecutor
from edgekit.simplify.simplification import simplify
from edgekit.types.batchnorm import BatchNormStatistics
from edgekit.types.graph import Graph, Node, Value
from edgekit.types.qparams import Array
from edgekit.types.spec import TensorSpec

SIDE = 24
MEAN, DEVIATION = np.float32([0.6, 0.4, 0.2]), np.float32(0.25)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small nets on a busy machine wait for their threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def training_data(count: int, seed: int = 0) -> torch.Tensor:
    """Smooth pictures of the mean and deviation above: what the statistics remember."""
    rng = np.random.default_rng(seed)
    small = rng.normal(size=(count, 3, 6, 6)).repeat(SIDE // 6, axis=2).repeat(SIDE // 6, axis=3)
    return torch.from_numpy((small * DEVIATION + MEAN[:, None, None]).astype(np.float32))


def small_net(batch_axes: Mapping[str, int] | None = None) -> Graph:
    """Conv+ReLU6, Conv+ReLU, pool, Gemm: a classifier of 5."""
    rng = np.random.default_rng(1)
    window = {"strides": (2, 2), "pads": (1, 1, 1, 1), "dilations": (1, 1), "group": 1}
    nodes = (
        Node("c1", "Conv", ("x", "w1", "b1"), ("y1",), window, "stem", (0.0, 6.0)),
        Node("c2", "Conv", ("y1", "w2", "b2"), ("y2",), window, "block", (0.0, np.inf)),
        Node("p", "GlobalAveragePool", ("y2",), ("p",)),
        Node("f", "Reshape", ("p",), ("f",), {"shape": (1, 12)}),
        Node("h", "Gemm", ("f", "w3", "b3"), ("h",), {}, "head"),
        Node("s", "Softmax", ("h",), ("s",), {"axis": 1}),
    )
    shapes = {"x": (1, 3, SIDE, SIDE), "y1": (1, 8, 12, 12), "y2": (1, 12, 6, 6), "p": (1, 12, 1, 1), "f": (1, 12)}
    shapes |= {"h": (1, 5), "s": (1, 5)}
    constants = {
        "w1": rng.normal(0, 1.0, (8, 3, 3, 3)),
        "b1": rng.normal(0, 1, 8),
        "w2": rng.normal(0, 0.4, (12, 8, 3, 3)),
        "b2": rng.normal(0, 1, 12),
        "w3": rng.normal(0, 3, (5, 12)),
        "b3": np.zeros(5),
    }
    values = {name: Value(name, shape) for name, shape in shapes.items()}
    floats = {name: array.astype(np.float32) for name, array in constants.items()}
    return Graph("small", ("x",), ("s",), nodes, values, floats, batch_axes or {})


def statistics_of(graph: Graph, data: torch.Tensor, names: tuple[str, ...] = ("y1", "y2")) -> list[BatchNormStatistics]:
    batched = dict.fromkeys(graph.values, 0)
    executor = TorchExecutor(replace(graph, batch_axes=batched), names, before_clamp=True)
    results = executor({"x": data})
    return [
        BatchNormStatistics(name, results[name].mean((0, 2, 3)).numpy(), results[name].var((0, 2, 3)).numpy())
        for name in names
    ]


def stacked(samples: object) -> torch.Tensor:
    return torch.from_numpy(np.concatenate([sample["x"] for sample in samples]))


def divergence(graph: Graph, statistics: list[BatchNormStatistics], data: torch.Tensor) -> float:
    objective = Objective(replace(graph, batch_axes=dict.fromkeys(graph.values, 0)), statistics)
    return float(objective.divergence(objective._executor({"x": data})))


def test_the_statistics_are_met_and_the_input_scale_is_found() -> None:
    graph = small_net()
    data = training_data(256)
    statistics = statistics_of(graph, data)
    made = synthesize(graph, statistics, count=16, seed=0, steps=60)
    assert made is not None
    inputs = stacked(made)
    assert inputs.shape == (16, 3, SIDE, SIDE)
    assert inputs.dtype == torch.float32
    noise = torch.randn(16, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    right = noise * DEVIATION + torch.from_numpy(MEAN)[:, None, None]  # even told mean and deviation, noise is far off
    assert divergence(graph, statistics, inputs) < 0.25 * divergence(graph, statistics, right)
    assert divergence(graph, statistics, inputs) < 0.02 * divergence(graph, statistics, noise)
    np.testing.assert_allclose(inputs.mean((0, 2, 3)), MEAN, atol=0.15)
    assert float(inputs.std()) == pytest.approx(float(training_data(64).std()), rel=0.25)


def test_a_classifier_gives_them_classes_of_their_own() -> None:
    graph = small_net()
    statistics = statistics_of(graph, training_data(256))
    batched = replace(graph, batch_axes=dict.fromkeys(graph.values, 0))
    objective = Objective(batched, statistics)
    assert (objective.logits, objective.classes) == ("h", 5)
    made = synthesize(graph, statistics, count=16, seed=0, steps=60)
    winners = TorchExecutor(batched, ["h"])({"x": stacked(made)})["h"].argmax(1)
    assert len(winners.unique()) >= 3
    headless = replace(batched, outputs=("y2",), nodes=batched.nodes[:2])
    assert Objective(headless, statistics).logits is None


def test_seeds() -> None:
    graph = small_net()
    statistics = statistics_of(graph, training_data(64))

    def made(seed: int) -> torch.Tensor:
        return stacked(synthesize(graph, statistics, count=4, seed=seed, steps=5))

    torch.testing.assert_close(made(1), made(1), rtol=0, atol=0)
    assert not torch.equal(made(1), made(2))


def test_counts_beyond_the_budget_are_mirrored(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = small_net()
    statistics = statistics_of(graph, training_data(64))
    monkeypatch.setattr("edgekit.shrink.synthesis.synthesize.BUDGET_MACS", 1.0)
    made = synthesize(graph, statistics, count=20, seed=0, steps=3)
    inputs = stacked(made)
    assert inputs.shape[0] == 20
    torch.testing.assert_close(inputs[8:16], inputs[:8].flip(3))
    torch.testing.assert_close(inputs[16:], inputs[:4].flip(2))
    chosen = made.select([9, 1])
    torch.testing.assert_close(stacked(chosen)[0], stacked(chosen)[1].flip(2))


def test_a_graph_of_one_sample_at_a_time_still_works() -> None:
    graph = small_net()
    statistics = statistics_of(graph, training_data(64))
    fixed = (Node("m", "ReduceMax", ("x",), ("m",), {"axes": (0,), "keepdims": 1}), *graph.nodes)
    first = Node("c1", "Conv", ("m", "w1", "b1"), ("y1",), graph.nodes[0].attributes, "stem", (0.0, 6.0))
    nodes = (fixed[0], first, *graph.nodes[1:])
    values = {**graph.values, "m": Value("m", (1, 3, SIDE, SIDE))}
    made = synthesize(replace(graph, nodes=nodes, values=values), statistics, count=3, seed=0, steps=30)
    noise = torch.randn(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    assert divergence(graph, statistics, stacked(made)) < 0.2 * divergence(graph, statistics, noise)


def test_nothing_to_match_gives_nothing() -> None:
    graph = small_net()
    assert synthesize(graph, [], count=4, seed=0) is None
    values = {**graph.values, "x": Value("x", (1, 3, SIDE, SIDE), "int64")}
    statistics = statistics_of(graph, training_data(8))
    assert synthesize(replace(graph, values=values), statistics, count=4, seed=0) is None


def ranges(graph: Graph, data: Array) -> Array:
    """Width of the range of every layer's result, (layers,)."""
    names = [node.outputs[0] for node in graph.nodes if node.op in ("Conv", "Add", "Gemm")]
    batched = replace(graph, batch_axes=dict.fromkeys(graph.values, 0))
    with torch.no_grad():
        results = TorchExecutor(batched, names)({graph.inputs[0]: torch.from_numpy(data)})
    return np.array([float(results[name].max() - results[name].min()) for name in names])


@pytest.mark.data
def test_resnet20_gets_the_ranges_that_photos_give(tmp_path: Path, shared_data: Path) -> None:
    found = importlib.util.spec_from_file_location("shared_data_load", shared_data / "load.py")
    loader = importlib.util.module_from_spec(found)
    found.loader.exec_module(loader)
    trace(loader.cifar_resnet(20), [TensorSpec("x", (1, 3, 32, 32))], tmp_path / "net.onnx")
    simplified = simplify(tmp_path / "net.onnx", name="resnet20")
    assert len(simplified.batchnorms) == 19
    photos = ranges(simplified.graph, loader.nchw(loader.cifar10_jpeg_calib()[0][::20], "imagenet"))
    made = synthesize(simplified.graph, simplified.batchnorms, count=16, seed=0)
    inputs = np.concatenate([sample[simplified.graph.inputs[0]] for sample in made])
    ratio = ranges(simplified.graph, inputs) / photos
    assert 0.8 < np.median(ratio) < 1.2  # measured 1.0; 16 inputs against 100 photos
    assert ratio.min() > 0.6  # measured 0.66
    assert ratio.max() < 1.5  # measured 1.24
    assert 0.75 < ratio[-1] < 1.4  # the logits, which no BatchNorm speaks of: measured 0.95
