"""Chains of Reshape and Transpose as permutations of atoms, and the shortest chain that does the same.

Every axis is cut into the factors that the chain moves apart (atoms). A Reshape only regroups atoms, a Transpose
reorders groups; so a whole chain is one reordering of atoms between two shapes, and needs at most one Transpose.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Literal, NamedTuple

Shape = tuple[int, ...]
_TWICE = ("Reshape", "Reshape")


class Move(NamedTuple):
    """One step: Reshape to the shape `values`, or Transpose by the permutation `values`."""

    op: Literal["Reshape", "Transpose"]
    values: Shape

    def result(self, shape: Shape) -> Shape:
        """Shape after this step."""
        return self.values if self.op == "Reshape" else tuple(shape[axis] for axis in self.values)


def cost(moves: Sequence[Move]) -> tuple[int, int]:
    """Transposes first, then steps."""
    return sum(move.op == "Transpose" for move in moves), len(moves)


def shortest(shape: Shape, moves: Sequence[Move]) -> list[Move] | None:
    """The cheapest chain of at most Reshape, Transpose, Reshape that equals `moves` on arrays of `shape`.

    Args:
        shape: Shape of the source.
        moves: The chain.

    Returns:
        None when a Reshape mixes axes in a way that factors do not describe (sizes that share no divisor).

    >>> shortest((2, 3, 4), [Move("Transpose", (1, 0, 2)), Move("Transpose", (1, 0, 2))])
    []
    >>> shortest((2, 12), [Move("Reshape", (2, 3, 4)), Move("Transpose", (0, 2, 1)), Move("Reshape", (2, 12))])
    [Move(op='Reshape', values=(2, 3, 4)), Move(op='Transpose', values=(0, 2, 1)), Move(op='Reshape', values=(2, 12))]
    """
    atoms = _Atoms.of(shape)
    moves = [  # of several Reshapes in a row only the last counts
        move
        for move, after in itertools.zip_longest(moves, moves[1:])
        if after is None or (move.op, after.op) != _TWICE
    ]
    if len(moves) == 1 and moves[0].op == "Reshape":
        return [] if moves[0].values == shape else list(moves)
    for move in moves:
        if move.op == "Transpose":
            atoms.axes = [atoms.axes[axis] for axis in move.values]
        elif not atoms.regroup(move.values):
            return None
        shape_after = move.values if move.op == "Reshape" else tuple(atoms.size(axis) for axis in atoms.axes)
    final = shape_after if moves else shape
    if atoms.order == [atom for axis in atoms.origin for atom in axis]:
        return [] if final == shape else [Move("Reshape", final)]
    forms = [form for form in (_transposed_first(atoms, final), _reshaped_first(atoms, shape, final)) if form]
    return min([*forms, _general(atoms, final)], key=cost)


@dataclass
class _Atoms:
    """Atoms per axis of the source (`origin`) and of the current shape (`axes`); axes of size 1 hold none."""

    sizes: dict[int, int]
    origin: list[list[int]]
    axes: list[list[int]] = field(default_factory=list)

    @classmethod
    def of(cls, shape: Shape) -> _Atoms:
        origin = [[axis] if size != 1 else [] for axis, size in enumerate(shape)]
        atoms = cls({axis: size for axis, size in enumerate(shape) if size != 1}, origin)
        atoms.axes = [list(axis) for axis in origin]
        return atoms

    @property
    def order(self) -> list[int]:
        return [atom for axis in self.axes for atom in axis]

    def size(self, atoms: Sequence[int]) -> int:
        return prod(self.sizes[atom] for atom in atoms)

    def regroup(self, shape: Shape) -> bool:
        """Fill the axes of `shape` with the atoms in order, cutting atoms where an axis ends inside one."""
        waiting = self.order
        grouped: list[list[int]] = []
        for wanted in shape:
            axis: list[int] = []
            while wanted > 1:
                if not waiting:
                    return False
                atom = waiting[0]
                if wanted % self.sizes[atom] == 0:
                    axis.append(waiting.pop(0))
                    wanted //= self.sizes[atom]
                elif self.sizes[atom] % wanted == 0:
                    waiting[:1] = self._cut(atom, wanted, grouped)
                else:
                    return False
            grouped.append(axis)
        self.axes = grouped
        return not waiting

    def _cut(self, atom: int, outer: int, grouped: list[list[int]]) -> list[int]:
        new = max(self.sizes) + 1
        self.sizes[new] = self.sizes[atom] // outer
        self.sizes[atom] = outer
        for axis in (*self.origin, *grouped):
            if atom in axis:
                axis.insert(axis.index(atom) + 1, new)
        return [atom, new]


def _transposed_first(atoms: _Atoms, final: Shape) -> list[Move] | None:
    """Transpose of whole source axes, then a Reshape if needed."""
    order = _sequence(atoms.order, atoms.origin)
    if order is None:
        return None
    direct = _placed(atoms.axes, atoms.origin)
    if direct is not None:
        return [Move("Transpose", direct)]
    return [Move("Transpose", _with_ones(order, atoms.origin)), Move("Reshape", final)]


def _reshaped_first(atoms: _Atoms, shape: Shape, final: Shape) -> list[Move] | None:
    """Reshape into the final axes in source order, then Transpose."""
    order = _sequence([atom for axis in atoms.origin for atom in axis], atoms.axes)
    if order is None:
        return None
    order = list(_with_ones(order, atoms.axes))
    middle = tuple(final[axis] for axis in order)
    perm = tuple(order.index(axis) for axis in range(len(final)))
    return [Move("Reshape", middle), Move("Transpose", perm)] if middle != shape else [Move("Transpose", perm)]


def _general(atoms: _Atoms, final: Shape) -> list[Move]:
    """Reshape into atoms (joined where they stay together inside one source and one final axis), Transpose, Reshape."""
    source_axis = {atom: index for index, axis in enumerate(atoms.origin) for atom in axis}
    final_axis = {atom: index for index, axis in enumerate(atoms.axes) for atom in axis}
    source = [atom for axis in atoms.origin for atom in axis]
    follows = {atom: source[index + 1] for index, atom in enumerate(source[:-1])}
    blocks: list[list[int]] = []
    for atom in atoms.order:
        last = blocks[-1][-1] if blocks else None
        together = last is not None and follows.get(last) == atom and final_axis[last] == final_axis[atom]
        if together and source_axis[blocks[-1][-1]] == source_axis[atom]:
            blocks[-1].append(atom)
        else:
            blocks.append([atom])
    in_source = sorted(range(len(blocks)), key=lambda index: source.index(blocks[index][0]))
    middle = tuple(atoms.size(blocks[index]) for index in in_source)
    perm = tuple(in_source.index(index) for index in range(len(blocks)))
    return [Move("Reshape", middle), Move("Transpose", perm), Move("Reshape", final)]


def _sequence(order: Sequence[int], groups: Sequence[Sequence[int]]) -> list[int] | None:
    """Order in which whole groups of atoms appear; None when one of them is torn apart."""
    first = {group[0]: index for index, group in enumerate(groups) if group}
    found: list[int] = []
    position = 0
    while position < len(order):
        index = first.get(order[position])
        if index is None or list(order[position : position + len(groups[index])]) != list(groups[index]):
            return None
        found.append(index)
        position += len(groups[index])
    return found


def _placed(axes: Sequence[Sequence[int]], origin: Sequence[Sequence[int]]) -> Shape | None:
    """The permutation that makes `axes` of `origin` alone, or None when they have other sizes of 1 or are joined."""
    if len(axes) != len(origin):
        return None
    ones = [index for index, axis in enumerate(origin) if not axis]
    whole = {tuple(axis): index for index, axis in enumerate(origin) if axis}
    perm: list[int] = []
    for axis in axes:
        if not axis and ones:
            perm.append(ones.pop(0))
        elif axis and tuple(axis) in whole:
            perm.append(whole[tuple(axis)])
        else:
            return None
    return tuple(perm)


def _with_ones(order: Sequence[int], groups: Sequence[Sequence[int]]) -> Shape:
    """Insert the axes of size 1 before the axis that follows them."""
    full: list[int] = []
    for index in order:
        start = index
        while start > 0 and not groups[start - 1]:
            start -= 1
        full.extend(range(start, index + 1))
    full.extend(index for index in range(len(groups)) if index not in full)
    return tuple(full)
