"""Imported scales on our graph: the integers of the file, and of our own files read back."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgekit.emit.onnx_qdq import write
from edgekit.load.checkpoint import open_model
from edgekit.runtime.ort import open_onnx
from edgekit.shrink.quantization.impose import Imposed, impose
from edgekit.shrink.quantization.impose_constants import symmetric
from edgekit.shrink.quantization.observe import observe, observed_values
from edgekit.shrink.quantization.quantize import quantize
from edgekit.simplify.simplification import simplify
from edgekit.testing.qdq import feeds, float_net, quantize_with_ort
from edgekit.types.graph import Graph, Node, QuantizedGraph, Value
from edgekit.types.imported import Imported, StoredConstant
from edgekit.types.operators import OPERATORS, Rule
from edgekit.types.qparams import QParams, same

Nets = Callable[[str], tuple[Graph, Path]]


@pytest.fixture(scope="module")
def nets(tmp_path_factory: pytest.TempPathFactory) -> Nets:
    """Each net traced once."""
    made: dict[str, tuple[Graph, Path]] = {}

    def get(name: str) -> tuple[Graph, Path]:
        if name not in made:
            made[name] = float_net(name, tmp_path_factory.mktemp(name))
        return made[name]

    return get


def imposed(path: Path, folder: Path) -> Imposed:
    folder.mkdir()
    loaded = open_model(path, workdir=folder)
    assert loaded.imported is not None
    return impose(simplify(loaded.path, name="again").graph, loaded.imported)


def worst_step(first: Path, second: Path, name: str, quantized: QuantizedGraph) -> float:
    """Largest difference of two files' outputs in steps of the output's scale, no graph optimisation."""
    sessions = [open_onnx(path, optimize=False) for path in (first, second)]
    worst = 0.0
    for sample in feeds(name, 2, seed=5):
        one, other = (session.run(sample) for session in sessions)
        for key, array in one.items():
            assert array.any()
            worst = max(worst, float(np.abs(array - other[key]).max() / quantized.qparams[key].scale))
    return worst


@pytest.mark.parametrize(
    ("name", "types", "per_channel", "exact"),
    [
        ("resnet8", "int8 int8", True, True),
        ("resnet8", "uint8 int8", True, True),
        ("resnet8", "uint8 uint8", True, True),
        ("ds_cnn", "uint8 uint8", False, False),  # unsigned weights with zero points: rounded again where needed
        ("ssd", "int8 int8", True, True),
    ],
)
def test_files_of_onnxruntime_keep_their_integers(
    name: str, types: str, per_channel: bool, exact: bool, tmp_path: Path, nets: Nets
) -> None:
    _, source = nets(name)
    theirs, ours = tmp_path / "theirs.onnx", tmp_path / "ours.onnx"
    quantize_with_ort(source, theirs, feeds(name, 4, seed=0), types=types, per_channel=per_channel)
    found = imposed(theirs, tmp_path / "work")
    write(found.quantized, ours)
    assert worst_step(theirs, ours, name, found.quantized) <= (0.01 if exact else 1.01)
    assert any("Conv" in node.op and found.quantized.is_int8(node) for node in found.quantized.graph.nodes)
    assert exact == (not found.findings)


@pytest.mark.parametrize("name", ["shufflenet", "ssd", "vit"])
def test_our_own_file_gives_back_the_same_numbers(name: str, tmp_path: Path, nets: Nets) -> None:
    """Law: reading model.int8.onnx back gives the same QParams and integers, and writing it again the same results."""
    graph, source = nets(name)
    histograms = observe(open_onnx(source, taps=observed_values(graph)), graph, feeds(name, 2, seed=0))
    first = quantize(graph, histograms)
    file, again = tmp_path / "model.int8.onnx", tmp_path / "again.onnx"
    write(first, file)
    second = imposed(file, tmp_path / "work").quantized
    assert not set(second.islands) - set(first.islands)
    assert computed(first) == computed(second)
    assert stored(first) == stored(second)
    write(second, again)
    assert worst_step(file, again, name, second) == 0.0


def computed(quantized: QuantizedGraph) -> list[tuple[str, bytes, bytes]]:
    """QParams of every result that is computed, not moved; names of moved values may differ."""
    found = [(node.op, quantized.qparams.get(node.outputs[0])) for node in quantized.graph.nodes]
    moved = {name for name, row in OPERATORS.items() if row.rule is Rule.TIED}
    return sorted(
        (op, p.scale.tobytes(), p.zero_point.tobytes()) for op, p in found if p is not None and op not in moved
    )


def stored(quantized: QuantizedGraph) -> list[tuple[bytes, bytes, bytes]]:
    """Every constant's integers, scales and zero points; names differ."""
    return sorted(
        (integers.tobytes(), quantized.qparams[name].scale.tobytes(), quantized.qparams[name].zero_point.tobytes())
        for name, integers in quantized.integers.items()
    )


def conv(qparams: dict[str, QParams], weight: StoredConstant, *, bias: float = 0.0) -> Imposed:
    """A Conv of 2 to 2 channels, imposed."""
    reals = weight.reals
    attributes = {"strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1), "group": 1}
    node = Node("conv", "Conv", ("x", "w", "b"), ("y",), attributes)
    values = {name: Value(name, (1, 2, 4, 4)) for name in ("x", "y")}
    constants = {"w": reals, "b": np.full(2, bias, np.float32)}
    graph = Graph("g", ("x",), ("y",), (node,), values, constants)
    return impose(graph, Imported("a tool", ("y",), qparams, {"wd": weight}))


WEIGHT = StoredConstant(
    QParams(np.float32([0.1, 0.2]), np.zeros(2), axis=0), np.int8([[[[5]], [[-7]]], [[[127]], [[1]]]])
)
STEP = QParams(np.asarray(0.1), np.asarray(3))


def test_weights_are_recognized_by_their_values() -> None:
    quantized = conv({"x": STEP, "y": STEP}, WEIGHT).quantized
    np.testing.assert_array_equal(quantized.integers["w"], WEIGHT.integers)
    assert not quantized.islands


def test_what_the_file_leaves_in_float_is_an_island_with_the_reason() -> None:
    quantized = conv({"x": STEP}, WEIGHT).quantized
    assert quantized.islands == {"conv": "not quantized in the file"}
    assert same(quantized.qparams["x"], STEP)
    np.testing.assert_array_equal(quantized.integers["w"], WEIGHT.integers)


@pytest.mark.parametrize(("scale", "said"), [(1e-6, r"multiplier of 2e\+04"), (1e12, r"multiplier of 2e-14")])
def test_multipliers_out_of_range_stay_float_and_are_named(scale: float, said: str) -> None:
    found = conv({"x": STEP, "y": QParams(np.asarray(scale), np.asarray(0))}, WEIGHT)
    assert re.search(said, found.quantized.islands["conv"])


def test_a_bias_beyond_32_bits_stays_float() -> None:
    found = conv({"x": STEP, "y": STEP}, WEIGHT, bias=1e9)
    assert "32 bits" in found.quantized.islands["conv"]


def test_weights_with_zero_points_become_symmetric_where_they_fit() -> None:
    """Channel 0 fits int8 once its zero point is taken off and keeps every value; channel 1 does not."""
    integers = np.int8([[10, -20, 30], [127, -100, 0]])
    weight = StoredConstant(QParams(np.asarray(0.1), np.asarray(-20)), integers)
    made = symmetric(weight, axis=0)
    reals = made.params.dequantize(made.integers)
    np.testing.assert_array_equal(reals[0], weight.reals[0])
    assert made.rounded == 1
    assert np.abs(reals[1] - weight.reals[1]).max() <= made.params.scale[1] / 2 + 1e-6


def test_float_nodes_are_kept_in_float() -> None:
    graph = conv({"x": STEP, "y": STEP}, WEIGHT).quantized.graph
    found = impose(graph, Imported("a tool", ("y",), {"x": STEP, "y": STEP}, {"w": WEIGHT}), float_nodes={"conv": "so"})
    assert found.quantized.islands == {"conv": "so"}
    assert not found.quantized.qparams


def test_a_change_of_scale_at_a_pool_becomes_a_requantize_and_at_an_average_an_island() -> None:
    other = QParams(np.asarray(0.3), np.asarray(-5))
    pool = {"kernel_shape": (2, 2), "strides": (1, 1), "pads": (0, 0, 0, 0)}
    values = {"x": Value("x", (1, 2, 4, 4)), "y": Value("y", (1, 2, 3, 3))}
    graph = Graph("g", ("x",), ("y",), (Node("pool", "MaxPool", ("x",), ("y",), pool),), values, {})
    imported = Imported("a tool", ("y",), {"x": STEP, "y": other})
    nodes = impose(graph, imported).quantized.graph.nodes
    assert [node.op for node in nodes] == ["MaxPool", "Requantize"]
    average = Node("pool", "AveragePool", ("x",), ("y",), {**pool, "count_include_pad": 1})
    quantized = impose(dataclasses.replace(graph, nodes=(average,)), imported).quantized
    assert "another scale" in quantized.islands["pool"]
