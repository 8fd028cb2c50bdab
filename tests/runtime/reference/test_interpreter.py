"""ReferenceSession as a Session: borders, batches, taps, islands, errors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings

from edgekit.errors import InputError
from edgekit.runtime.reference import ReferenceSession, as_float
from edgekit.runtime.reference.interpreter import FLOAT
from edgekit.testing import single_op, strategies
from edgekit.testing.case import Case
from edgekit.types.graph import Graph, Node, QuantizedGraph, Value
from edgekit.types.operators import OPERATORS
from edgekit.types.qparams import QParams, choose_activation, same

CHAIN = Graph(
    "chain",
    ("x",),
    ("y",),
    (
        Node("first", "Exp", ("x",), ("e",)),
        Node("second", "Reshape", ("e",), ("r",), {"shape": (1, 3, 4)}),
        Node("third", "Add", ("r", "r"), ("y",)),
    ),
    {"x": Value("x", (1, 12)), "e": Value("e", (1, 12)), "r": Value("r", (1, 3, 4)), "y": Value("y", (1, 3, 4))},
    {},
    {"x": 0, "e": 0, "r": 0, "y": 0},
)
SCALE = choose_activation(0.0, 3.0)
MIXED = QuantizedGraph(CHAIN, {"x": SCALE, "e": SCALE, "r": SCALE, "y": choose_activation(0, 6)}, {}, {"first": "Exp"})
X = {"x": np.linspace(0, 1, 12, dtype=np.float32).reshape(1, 12)}


def test_every_operator_of_the_dialect_has_a_definition() -> None:
    assert set(FLOAT) == set(OPERATORS)


@pytest.mark.parametrize("op", OPERATORS)
def test_a_batch_of_three_is_three_runs(op: str) -> None:
    @settings(max_examples=8)
    @given(strategies.cases(op).filter(lambda case: bool(case.quantized.graph.batch_axes)))
    def holds(case: Case) -> None:
        session = ReferenceSession(case.quantized)
        singles = [{name: np.roll(array, shift) for name, array in case.feeds.items()} for shift in range(3)]
        together = session.run_integers(
            {name: np.concatenate([feeds[name] for feeds in singles]) for name in case.feeds}
        )
        for name, array in together.items():
            apart = np.concatenate([session.run_integers(feeds)[name] for feeds in singles])
            if array.dtype == np.float32:  # an island: BLAS sums in another order at another size
                np.testing.assert_allclose(array, apart, rtol=1e-5, atol=1e-5 * float(np.abs(apart).max()))
            else:
                np.testing.assert_array_equal(array, apart)

    holds()


def test_integer_borders_carry_the_same_numbers() -> None:
    case = single_op.conv_case()
    x, y = (case.quantized.qparams[name] for name in ("x0", "y0"))
    session = ReferenceSession(case.quantized, io="int8")
    assert [(spec.dtype, spec.zero_point) for spec in session.inputs] == [("int8", int(x.zero_point))]
    assert session.outputs[0].scale == float(y.scale)
    stored = session.run({"x0": x.quantize(case.feeds["x0"])})["y0"]
    assert stored.dtype == np.int8
    np.testing.assert_array_equal(y.dequantize(stored), ReferenceSession(case.quantized).run(case.feeds)["y0"])


def test_uint8_activations_say_the_same_as_int8() -> None:
    for case in single_op.catalogue():
        if any(params.axis is None and params.dtype == "int8" for params in case.quantized.qparams.values()):
            expected = ReferenceSession(case.quantized).run(case.feeds)
            got = ReferenceSession(_shifted(case.quantized)).run(case.feeds)
            for name, array in expected.items():
                np.testing.assert_array_equal(got[name], array, err_msg=case.label)


def _shifted(quantized: QuantizedGraph) -> QuantizedGraph:
    """Every per-tensor int8 tensor as uint8, weights included: 128 added to integers and zero points."""
    table, integers = dict(quantized.qparams), dict(quantized.integers)
    for name, params in quantized.qparams.items():
        if params.axis is None and params.dtype == "int8":
            table[name] = QParams(params.scale, params.zero_point + 128, "uint8")
            if name in integers:
                integers[name] = (integers[name].astype(np.int16) + 128).astype(np.uint8)
    return replace(quantized, qparams=table, integers=integers)


def test_an_island_between_integers_dequantizes_computes_and_quantizes() -> None:
    taps = ReferenceSession(MIXED, taps=("e", "r")).run(X)
    assert set(taps) == {"y", "e", "r"}
    seen = SCALE.dequantize(SCALE.quantize(X["x"]))
    np.testing.assert_array_equal(taps["e"], SCALE.dequantize(SCALE.quantize(np.exp(seen))))
    np.testing.assert_array_equal(taps["r"].reshape(1, 12), taps["e"])
    stored = ReferenceSession(MIXED, taps=("e",)).run_integers(X)
    assert {name: str(array.dtype) for name, array in stored.items()} == {"y": "int8", "e": "int8"}


def test_taps_stay_float_when_borders_are_integers() -> None:
    integers = {"x": SCALE.quantize(X["x"])}
    run = ReferenceSession(MIXED, taps=("e",), io="int8").run(integers)
    assert (run["e"].dtype, run["y"].dtype) == (np.float32, np.int8)


def test_a_float_graph_is_all_islands() -> None:
    result = ReferenceSession(as_float(CHAIN)).run(X)["y"]
    np.testing.assert_allclose(result, 2 * np.exp(X["x"]).reshape(1, 3, 4), rtol=1e-6)


def test_weight_only_layers_use_the_integers_of_the_weight() -> None:
    case = single_op.gemm_case(island=True, bias=False)
    weight = case.quantized.qparams["c1"].dequantize(case.quantized.integers["c1"])
    assert not np.array_equal(weight, case.quantized.graph.constants["c1"])
    result = ReferenceSession(case.quantized).run(case.feeds)["y0"]
    np.testing.assert_allclose(result, case.feeds["x0"] @ weight.T, rtol=1e-5, atol=1e-6)


def test_index_tensors_run_beside_int8() -> None:
    graph = Graph(
        "indices",
        ("x",),
        ("y",),
        (Node("best", "ArgMax", ("x",), ("i",), {"axis": 1, "keepdims": 0}), Node("next", "Add", ("i", "one"), ("y",))),
        {"x": Value("x", (1, 5)), "i": Value("i", (1,), "int64"), "y": Value("y", (1,), "int64")},
        {"one": np.array([1])},
    )
    result = ReferenceSession(QuantizedGraph(graph, {"x": SCALE}, {})).run({"x": np.eye(5, dtype=np.float32)[2:3]})
    assert result["y"].tolist() == [3]


def test_concat_requantizes_parts_of_another_scale() -> None:
    case = single_op.concat_case(shapes=((1, 3), (1, 4)), axis=1)
    table = dict(case.quantized.qparams)
    table["x1"] = choose_activation(-20.0, 20.0)
    assert not same(table["x1"], table["y0"])
    got = ReferenceSession(replace(case.quantized, qparams=table)).run(case.feeds)["y0"]
    seen = table["x1"].dequantize(table["x1"].quantize(case.feeds["x1"]))
    np.testing.assert_array_equal(got[:, 3:], table["y0"].dequantize(table["y0"].quantize(seen)))


@pytest.mark.parametrize(
    ("feeds", "words"),
    [
        ({}, "'x' is missing"),
        ({"x": np.zeros((1, 11), np.float32)}, "fed float32 of shape \\[1, 11\\]"),
        ({"x": np.zeros((1, 12), np.float64)}, "fed float64"),
        ({"x": np.zeros((0, 12), np.float32)}, "shape \\[0, 12\\]"),
    ],
)
def test_wrong_feeds_are_named(feeds: dict[str, np.ndarray], words: str) -> None:
    with pytest.raises(InputError, match=words):
        ReferenceSession(MIXED).run(feeds)


def test_unknown_taps_and_borders_are_named() -> None:
    with pytest.raises(InputError, match="nothing_here"):
        ReferenceSession(MIXED, taps=("nothing_here",))
    with pytest.raises(InputError, match="uint4"):
        ReferenceSession(MIXED, io="uint4")


def test_inputs_must_agree_on_the_batch() -> None:
    case = single_op.binary_case("Add")
    feeds = {"x0": case.feeds["x0"], "x1": np.concatenate([case.feeds["x1"]] * 2)}
    with pytest.raises(InputError, match="disagree on the batch"):
        ReferenceSession(case.quantized).run(feeds)
