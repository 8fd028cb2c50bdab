"""torch.export programs: opened after an audit, open sizes frozen, traced again as an ordinary module.

A program is an ordinary module once torch has rebuilt it, and a second trace keeps the module path of every node, so
there is one way to ONNX for both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch.utils import _pytree as pytree

from edgekit.errors import ModelLoadError
from edgekit.load.archive import open_archive
from edgekit.load.call import Call, numpy_name, tensor_of
from edgekit.load.program_audit import MEMBERS, audit
from edgekit.load.quiet import first_line, silence
from edgekit.load.trace import trace_call
from edgekit.load.traced import Traced
from edgekit.types.finding import Finding, Severity
from edgekit.types.spec import TensorSpec

_TRAINING_ARGUMENT = {"aten.batch_norm.default": 5, "aten.dropout.default": 2}
"""Operators with a training flag, and its position."""


def load_program(path: Path, *, workdir: Path) -> torch.export.ExportedProgram:
    """Open a `.pt2` file without running anything that it holds.

    Args:
        path: The file.
        workdir: Where the rebuilt archive stands while torch reads it.

    Raises:
        ModelLoadError: Damaged, hostile, or written by an incompatible torch.
    """
    archive = open_archive(path)
    replacements = audit(archive)
    target = workdir / "program.pt2"
    try:
        archive.rebuild(target, replacements, prefixes=MEMBERS)
        with silence():
            return torch.export.load(target)
    except ModelLoadError:
        raise
    except Exception as error:  # torch raises whatever its reader stumbles over
        raise ModelLoadError(
            f"{path.name} is a torch.export program that torch {torch.__version__} cannot read: {first_line(error)}",
            hint="save it again with the installed torch: torch.export.save(program, path)",
        ) from error
    finally:
        target.unlink(missing_ok=True)


def trace_program(program: torch.export.ExportedProgram, inputs: Sequence[TensorSpec], path: Path) -> Traced:
    """Write a program as a float ONNX file; open sizes are frozen: the batch to 1, others as given or as exported.

    Args:
        program: Exported in eval mode.
        inputs: Sizes for open dimensions; empty takes those of the example inputs.
        path: The .onnx file to write.

    Raises:
        ModelLoadError: Exported in training mode, or `inputs` contradict the program.
        UnsupportedOpError: As `trace`.
        ParityError: As `trace`.
    """
    _refuse_training(program)
    borders = _borders(program)
    given = _match(inputs, [border.name for border in borders])
    sizes = _freeze(borders, given)
    specs, findings = [], []
    for border in borders:
        shape = tuple(_size(size, sizes) for size in border.sizes)
        if border.name in given and given[border.name].shape != shape:
            raise ModelLoadError(
                f"input {given[border.name]} does not fit the program, which takes {border}",
                hint="export the program with other example inputs, or with dynamic_shapes",
            )
        free = 0 if border.sizes and border.is_open(0) else None
        specs.append(TensorSpec(border.name, shape, border.dtype, free))
        findings += _notes(border, shape, named=border.name in given)
    names = {b.name: tensor_of(spec, seed=i) for i, (b, spec) in enumerate(zip(borders, specs, strict=True))}
    leaves = [names.get(leaf, leaf) if isinstance(leaf, str) else leaf for leaf in program.graph_signature.user_inputs]
    assert program.call_spec.in_spec is not None
    args, kwargs = pytree.tree_unflatten(leaves, program.call_spec.in_spec)
    with silence():
        module = program.module(check_guards=False)
    traced = trace_call(module, Call(tuple(args), dict(kwargs), tuple(specs)), path, findings=tuple(findings))
    return replace(traced, inputs=tuple(specs))


@dataclass(frozen=True)
class _Border:
    """One tensor that a program takes; a size is an int or a torch.SymInt."""

    name: str
    dtype: str
    sizes: tuple[Any, ...]

    def is_open(self, axis: int) -> bool:
        return not isinstance(self.sizes[axis], int)

    def __str__(self) -> str:
        return f"{self.name}:{'x'.join(str(size) for size in self.sizes) or 'scalar'}:{self.dtype}"


def _borders(program: torch.export.ExportedProgram) -> list[_Border]:
    values = {node.name: node.meta.get("val") for node in program.graph.nodes if node.op == "placeholder"}
    names = [name for name in program.graph_signature.user_inputs if isinstance(name, str)]
    found = [(name, values.get(name)) for name in names]
    return [_Border(n, numpy_name(v.dtype), tuple(v.shape)) for n, v in found if isinstance(v, torch.Tensor)]


def _match(inputs: Sequence[TensorSpec], names: list[str]) -> dict[str, TensorSpec]:
    """The declared inputs by the program's own names; by position when no name fits."""
    given = {spec.name: spec for spec in inputs}
    unknown = [name for name in given if name not in names]
    if not unknown:
        return given
    if len(unknown) == len(names) == len(inputs):
        return {name: replace(spec, name=name) for name, spec in zip(names, inputs, strict=True)}
    raise ModelLoadError(f"the program has no input {', '.join(unknown)}; it takes {', '.join(names)}")


def _freeze(borders: list[_Border], given: Mapping[str, TensorSpec]) -> dict[Any, int]:
    """sympy symbol -> size: what the user said, else 1 for a batch, else what the program was exported with."""
    said: dict[Any, int] = {}
    batch: dict[Any, int] = {}
    exported: dict[Any, int] = {}
    for border in borders:
        spec = given.get(border.name)
        if spec is not None and len(spec.shape) != len(border.sizes):
            raise ModelLoadError(f"input {spec} has {len(spec.shape)} axes; the program takes {border}")
        for axis, size in enumerate(border.sizes):
            if border.is_open(axis) and len(size.node.expr.free_symbols) == 1:
                symbol = next(iter(size.node.expr.free_symbols))
                exported.setdefault(symbol, _solve(size.node.expr, symbol, size.node.hint))
                if spec is not None:
                    said.setdefault(symbol, _solve(size.node.expr, symbol, spec.shape[axis]))
                elif axis == 0 and size.node.expr.is_Symbol:
                    batch.setdefault(symbol, 1)
    return {**exported, **batch, **said}


def _solve(expression: Any, symbol: Any, size: int) -> int:
    """The symbol's value that makes a linear expression such as `2*s0 + 1` equal to `size`, rounded down."""
    start = int(expression.subs({symbol: 0}))
    slope = int(expression.subs({symbol: 1})) - start
    return (size - start) // slope if slope else size


def _size(size: Any, frozen: Mapping[Any, int]) -> int:
    return size if isinstance(size, int) else int(size.node.expr.subs(frozen))


def _notes(border: _Border, shape: tuple[int, ...], *, named: bool) -> list[Finding]:
    """What was decided about sizes."""
    found = []
    for axis in range(1, len(shape)):
        if border.is_open(axis):
            why = "as --input says" if named else "as in the example inputs it was exported with"
            message = f"axis {axis} of '{border.name}' is open in the program; it is frozen to {shape[axis]}, {why}"
            found.append(Finding("dimension-frozen", message, Severity.NOTE, border.name))
    if len(shape) > 1 and not border.is_open(0) and shape[0] != 1:
        message = f"'{border.name}' was exported with the fixed batch {shape[0]}; every file keeps it"
        hint = "export with a batch of 1, or with dynamic_shapes, for files that take single inputs"
        found.append(Finding("fixed-batch", message, Severity.NOTE, border.name, hint))
    return found


def _refuse_training(program: torch.export.ExportedProgram) -> None:
    for node in program.graph.nodes:
        position = _TRAINING_ARGUMENT.get(str(node.target))
        if position is not None and len(node.args) > position and node.args[position] is True:
            raise ModelLoadError(
                f"the program was exported in training mode: {node.name} computes {node.target} with training=True",
                hint="call module.eval() before torch.export.export",
            )
