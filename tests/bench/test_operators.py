"""From the agent's event to the report: order, shares, modules, and events that no agent sends."""

from __future__ import annotations

import math

import pytest

from edgekit.bench.operators import operator_costs, torch_module
from edgekit.errors import DeviceError


def event(*operators: tuple[str, str, object]) -> dict:
    return {"operators": [{"name": name, "operator": made, "mean_us": cost} for name, made, cost in operators]}


def test_dearest_first_with_shares_of_the_sum() -> None:
    costs = operator_costs(event(("a/Conv__1", "Conv", 1), ("b/Conv__2", "Conv", 6.0), ("c/Add__3", "Add", 1)))
    assert [(cost.module, cost.mean_us, cost.share) for cost in costs] == [
        ("b", 6.0, 0.75),
        ("a", 1.0, 0.125),
        ("c", 1.0, 0.125),
    ]


def test_operators_below_the_clock_have_no_share() -> None:
    assert [cost.share for cost in operator_costs(event(("a/Add", "Add (ND)", 0)))] == [0.0]
    assert operator_costs({"operators": []}) == ()


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("stacks.0.conv1/Conv__17", "stacks.0.conv1"),
        ("stacks.0.conv1/Conv__17_token_25", "stacks.0.conv1"),
        ("stacks.0.conv1/Conv_QLinearConv__13_token_4", "stacks.0.conv1"),
        ("stem/Conv_nchwc", "stem"),
        ("stem/Conv_Relu__3", "stem"),
        ("pool/GlobalAveragePool__94", "pool"),
        ("blocks.1.expand.2/Mul__21/QuickGeluFusion/", "blocks.1.expand.2"),
        ("blocks.0.mlp/MatMul__4/MatMulAddFusion", "blocks.0.mlp"),
        ("recurrent/Split_2:1", "recurrent"),
        ("Backbone/Conv__3", "Backbone"),
        ("functional_1/dense/MatMul__4", "functional_1/dense"),
        ("Reshape__99", ""),
        ("QuantizeLinear__3", ""),
        ("DequantizeLinear__12/duplicated", ""),
        ("Transpose_token_24", ""),
        ("ReorderOutput", ""),
        ("image/int8", ""),
        ("edgekit/6", ""),
        ("output", ""),
        ("/layer1/layer1.0/conv1/Conv", ""),
        ("functional_1/activation/Relu;functional_1/conv2d/Conv2D1", ""),
        ("Static Reshape (NC) 0", ""),
        ("/", ""),
        ("", ""),
    ],
)
def test_modules_of_names(name: str, module: str) -> None:
    assert torch_module(name) == module


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"operators": None},
        {"operators": {}},
        {"operators": [7]},
        {"operators": [{"name": "a", "operator": "Conv"}]},
        event(("a", "Conv", "1")),
        event(("a", "Conv", True)),
        event(("a", "Conv", -1)),
        event(("a", "Conv", math.nan)),
        event(("a", "Conv", math.inf)),
        {"operators": [{"name": 1, "operator": "Conv", "mean_us": 1}]},
        {"operators": [{}] * 100_001},
    ],
)
def test_what_no_agent_sends_is_an_error_of_the_device(told: dict) -> None:
    with pytest.raises(DeviceError, match="the device sent"):
        operator_costs(told)
