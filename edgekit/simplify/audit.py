"""Refuses, before any work is done, a graph with operators that no runtime can be given, naming all of them."""

from __future__ import annotations

from collections.abc import Mapping

from edgekit.errors import UnsupportedOpError
from edgekit.types.graph import Graph, Node
from edgekit.types.operators import OPERATORS, Role, role

REFUSED = "refused "
"""Prefix of the operator of a node that a translation could not express; its only attribute is the reason."""

_REASONS: Mapping[str, str] = {
    **dict.fromkeys(("Loop", "Scan", "If"), "its control flow depends on values at run time"),
    **dict.fromkeys(
        ("TopK", "NonMaxSuppression", "NonZero", "Unique", "Compress"),
        "its result depends on an order or count found at run time",
    ),
    **dict.fromkeys(
        ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "QLinearConv", "ConvInteger"),
        "the model is quantized already; give the float model",
    ),
    **dict.fromkeys(
        ("RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Bernoulli"), "its result is random"
    ),
}


def audit(graph: Graph) -> None:
    """Check that every node is in the dialect and carries what its row asks for.

    Raises:
        UnsupportedOpError: Lists each node that is not, with its torch module and the reason.
    """
    reasons = [(node, _reason(graph, node)) for node in graph.nodes]
    offending = [(node.op.removeprefix(REFUSED), node.module, why) for node, why in reasons if why]
    if offending:
        raise UnsupportedOpError(
            tuple(offending),
            hint="replace these operations in the model, or cut the model before them and run the rest outside",
        )


def _reason(graph: Graph, node: Node) -> str:
    if node.op.startswith(REFUSED):
        return str(node.attributes["reason"])
    if node.op not in OPERATORS:
        return _REASONS.get(node.op, "the dialect has no form of it that both runtimes run")
    for slot, name in enumerate(node.inputs):
        fixed = role(node.op, slot) in (Role.WEIGHT, Role.BIAS, Role.PARAMETER)
        if fixed and name and name not in graph.constants:
            return f"its {role(node.op, slot).value} is computed at run time"
    missing = OPERATORS[node.op].attributes.keys() - node.attributes.keys()
    assert not missing, f"{node.label} lacks {missing}"
    return ""
