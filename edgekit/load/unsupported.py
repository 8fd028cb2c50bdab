"""Operators that torch.onnx has no form for, all of them with their modules; torch itself names only the first."""

from __future__ import annotations

import operator
import re

import torch

from edgekit.errors import EdgekitError, ModelLoadError, UnsupportedOpError
from edgekit.load.quiet import first_line

_NAMED = re.compile(r"<OpOverload\(op='([\w.]+)', overload='(\w+)'\)>")
_WHY = "torch.onnx has no ONNX form for it"
_HINT = "replace it in the model by supported operators, or hand over an ONNX file"


def export_error(error: Exception, program: torch.export.ExportedProgram) -> EdgekitError:
    """The error to raise in place of what torch.onnx raised."""
    rows = _missing(program)
    named = _NAMED.search(str(error))
    if not rows and named:
        rows = [(f"{named[1]}.{named[2]}", "", _WHY)]
    if rows:
        return UnsupportedOpError(tuple(dict.fromkeys(rows)), hint=_HINT)
    return ModelLoadError(f"torch.onnx cannot export the model: {_cause(error)}", hint=_HINT)


def _missing(program: torch.export.ExportedProgram) -> list[tuple[str, str, str]]:
    """Nodes without an entry in the exporter's table, after the decompositions that the exporter itself does.

    The table is private to torch.onnx, so any change there falls back to the one operator named in the message.
    """
    try:
        from torch.onnx._internal.exporter import _decomp, _registration

        registry = _registration.ONNXRegistry.from_torchlib()
        known = _decomp.get_onnx_implemented_overloads(registry)
        table = _decomp.create_onnx_friendly_decomposition_table(set(known))
        nodes = program.run_decompositions(table).graph.nodes
        calls = [node for node in nodes if node.op == "call_function" and node.target is not operator.getitem]
        return [(str(c.target), _module_of(c), _WHY) for c in calls if not registry.is_registered(c.target)]
    except Exception:  # a diagnosis must not hide the error it explains
        return []


def _module_of(node: torch.fx.Node) -> str:
    """Path of the innermost module in the node's stack."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    return str(stack[-1][0]) if stack else ""


def _cause(error: BaseException) -> str:
    """The first line of the innermost cause, where torch.onnx puts what really happened."""
    while error.__cause__ is not None:
        error = error.__cause__
    return first_line(error)
