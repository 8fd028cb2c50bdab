"""The list of supported operators for the documentation, made from the dialect and from the exporters' own tables."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from edgekit.types.operators import OPERATORS, Operator, Role, Rule

_INTRODUCTION = """\
# Operators

<!-- Generated from edgekit/types/operators.py and the exporters' tables; edits are overwritten. -->

What a torch model is made of, after export and clean-up. Names are those of ONNX; differences in meaning are noted
in `edgekit/types/operators.py`. An operator that is not listed, and cannot be rewritten into listed ones, stops the
run before any work with the list of such operators and their torch modules.

**int8** says what happens to the result: *own scale* comes from calibration; *scale of its input* means the integers
are moved or compared, never rescaled; *fixed scale* is that of the LiteRT quantization specification. *float inside*
is int8 at both ends and float arithmetic between. *stays float* is a float island in every file, named in the report.
"""

_RULES = {
    Rule.FREE: "own scale",
    Rule.TIED: "scale of its input",
    Rule.UNIT: "fixed scale 1/256",
    Rule.SYMMETRIC_UNIT: "fixed scale 1/128",
    Rule.INDEX: "reads int8, gives an index",
    Rule.FLOAT: "stays float",
}


def render_operators(support: Mapping[str, Collection[str]]) -> str:
    """docs/operators.md.

    Args:
        support: Format name -> names of the dialect's operators that its exporter writes.

    Returns:
        Markdown, ending in a newline.

    Raises:
        ValueError: A format claims an operator that the dialect does not have.
    """
    for name, operators in support.items():
        unknown = sorted(set(operators) - OPERATORS.keys())
        if unknown:
            raise ValueError(f"exporter {name} names operators that the dialect does not have: {', '.join(unknown)}")
    lines = [
        _INTRODUCTION,
        _row("operator", "inputs", "int8", "weights", *support),
        _row(*["---"] * (4 + len(support))),
    ]
    lines += [_describe(row, support) for row in OPERATORS.values()]
    return "\n".join(lines) + "\n"


def _describe(operator: Operator, support: Mapping[str, Collection[str]]) -> str:
    rule = _RULES[operator.rule] + (", float inside" if operator.float_inside else "")
    marks = ["yes" if operator.name in operators else "no" for operators in support.values()]
    return _row(f"`{operator.name}`", _inputs(operator), rule, _weights(operator), *marks)


def _inputs(operator: Operator) -> str:
    names = [role.value for role in operator.inputs]
    return ", ".join(names) + (", ..." if operator.variadic else "")


def _weights(operator: Operator) -> str:
    if Role.WEIGHT not in operator.inputs:
        return "-"
    return "per tensor" if operator.weight_axis is None else "per channel"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
