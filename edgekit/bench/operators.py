"""Costs per operator, from the agent's event "profile" to the report: dearest first, with the torch module of each.

The module is read from the operator's name, which edgekit's emitters write as `module/Op` and runtimes embroider:
`stem/Conv__9_token_1`, `stem/Conv_nchwc`, `block/MatMul__4/MatMulAddFusion` in ONNX Runtime, plain in LiteRT.
Operators that a runtime puts in itself (a Transpose, a reorder) and the Q and DQ nodes of a file have none.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from edgekit.errors import DeviceError
from edgekit.types.bench import OperatorCost

MOST_OPERATORS = 100_000
_OPERATOR = re.compile(r"[A-Z][A-Za-z0-9]*([_:. ].*)?")
"""The part of a name that says what the node does, with what the emitter and the runtime append to it."""
_MODULE = re.compile(r"[^/;][^;]*")
"""Names of other makers begin with a slash, or list several nodes."""
_APPENDED = re.compile(r"(/[A-Za-z]*Fusion/?|/duplicated)+$")


def operator_costs(event: Mapping[str, Any]) -> tuple[OperatorCost, ...]:
    """Operators of an event "profile", dearest first; equal ones in the order of execution.

    Args:
        event: From the agent: "operators" is a list of dictionaries with name, operator and mean_us.

    Raises:
        DeviceError: The event is not what an agent sends.
    """
    told = event.get("operators")
    if not isinstance(told, list) or len(told) > MOST_OPERATORS:
        raise DeviceError(f"the device sent a profile that is no list of at most {MOST_OPERATORS} operators")
    found = [_told(entry) for entry in told]
    total_us = sum(cost_us for _, _, cost_us in found)
    costs = [
        OperatorCost(name, operator, torch_module(name), cost_us, cost_us / total_us if total_us else 0.0)
        for name, operator, cost_us in found
    ]
    return tuple(sorted(costs, key=lambda cost: -cost.mean_us))


def torch_module(name: str) -> str:
    """Dotted path of the torch module that a node or tensor of an edgekit file came from; "" when it does not tell.

    >>> torch_module("stacks.0.conv1/Conv__17_token_25"), torch_module("DequantizeLinear__12/duplicated")
    ('stacks.0.conv1', '')
    """
    module, _, last = _APPENDED.sub("", name).rpartition("/")
    return module if _OPERATOR.fullmatch(last) and _MODULE.fullmatch(module) else ""


def _told(entry: object) -> tuple[str, str, float]:
    """Name, operator, microseconds."""
    match entry:
        case {"name": str(name), "operator": str(operator), "mean_us": float() | int() as cost_us}:
            if not isinstance(cost_us, bool) and 0 <= cost_us < math.inf:
                return name, operator, float(cost_us)
    raise DeviceError(f"the device sent an operator without a name, a type or a time: {str(entry)[:200]!r}")
