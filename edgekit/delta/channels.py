"""Which channels of a net a pruned net has kept: told from the weights, which pruning leaves nearly as they were.

Rows that are known to belong together point into almost the same direction. Where a tensor has lost rows alone, each
new row is looked for among the old ones; so with columns. Where it has lost both, one of them is known from another
tensor: a layer's outputs are the next one's inputs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from edgekit.delta.spans import Pair
from edgekit.delta.weights import Weights
from edgekit.types.qparams import Array

_ALIKE = 0.8
"""Cosine of the median row and its old one, at least."""
_FEWEST_FEATURES = 5
"""Rows of fewer values can look like many others."""


@dataclass(frozen=True)
class _Task:
    """A pair as matrices of rows, (rows, columns), float32."""

    index: int
    old: Array
    new: Array


def match_channels(pairs: Sequence[Pair], old: bytes, new: bytes) -> list[Pair]:
    """Pairs of unequal shape with maps of their channels; those that are not alike are left out.

    Args:
        pairs: Of weights.
        old: The old file.
        new: The new one.
    """
    found = {index: pair for index, pair in enumerate(pairs) if pair.old.shape == pair.new.shape}
    tasks = [
        _Task(index, _matrix(old, pair.old), _matrix(new, pair.new))
        for index, pair in enumerate(pairs)
        if index not in found
    ]
    tasks.sort(key=lambda task: -task.new.shape[1])  # long rows are told apart best, and help with the others
    known: dict[tuple[int, int], list[Array]] = defaultdict(list)
    progress = True
    while tasks and progress:
        progress = False
        for task in list(tasks):
            match = _match(task, known)
            if match is None:
                continue
            progress = True
            tasks.remove(task)
            found[task.index] = replace(pairs[task.index], rows=match[0], columns=match[1])
            for chosen, before in zip(match, task.old.shape, strict=True):
                if chosen is not None:
                    known[before, len(chosen)].append(chosen)
    return [found[index] for index in sorted(found)]


def _match(task: _Task, known: dict[tuple[int, int], list[Array]]) -> tuple[Array | None, Array | None] | None:
    """Maps of rows and of columns; None for one that has all; None where nothing is alike."""
    best: tuple[float, Array | None, Array | None] = (_ALIKE, None, None)
    for columns in _candidates(task.old.shape[1], task.new.shape[1], known):
        old = task.old if columns is None else task.old[:, columns]
        for rows in (*_candidates(task.old.shape[0], task.new.shape[0], known), *_nearest(old, task.new)):
            alike = _alike(old if rows is None else old[rows], task.new)
            if alike > best[0]:
                best = alike, rows, columns
    for rows in _candidates(task.old.shape[0], task.new.shape[0], known):
        old = task.old if rows is None else task.old[rows]
        for columns in _nearest(old.T, task.new.T):
            alike = _alike(old[:, columns], task.new)
            if alike > best[0]:
                best = alike, rows, columns
    return best[1:] if best[0] > _ALIKE else None


def _candidates(before: int, after: int, known: dict[tuple[int, int], list[Array]]) -> Iterator[Array | None]:
    """Maps that could be: none where nothing is lost, those of other tensors, and these for each tap of a kernel."""
    if before == after:
        yield None
        return
    for (old, new), maps in known.items():
        taps = before // old
        if old * taps != before or new * taps != after:
            continue
        for chosen in maps:
            yield (chosen[:, None] * taps + np.arange(taps)).ravel()
            if taps > 1:
                yield (chosen + np.arange(taps)[:, None] * old).ravel()


def _nearest(old: Array, new: Array) -> list[Array]:
    """For each new row an old one, in the order of both, all together as alike as can be; nothing of short rows."""
    if old.shape[1] < _FEWEST_FEATURES or len(new) >= len(old):
        return []
    alike = _directions(new) @ _directions(old).T
    reached = np.zeros(len(old) + 1, np.float32)  # sum of the first new rows, within the first old ones
    sums = np.full(alike.shape, -np.inf, np.float32)
    for index, row in enumerate(alike):
        sums[index] = reached[:-1] + row
        reached = np.concatenate((np.full(1, -np.inf, np.float32), np.maximum.accumulate(sums[index])))
    chosen = np.empty(len(new), np.int64)
    end = len(old)
    for index in reversed(range(len(new))):
        end = int(sums[index, :end].argmax())
        chosen[index] = end
    return [chosen]


def _alike(old: Array, new: Array) -> float:
    """Cosine of the median row."""
    return float(np.median((_directions(old) * _directions(new)).sum(axis=1)))


def _directions(rows: Array) -> Array:
    lengths = np.sqrt((rows * rows).sum(axis=1, keepdims=True))
    directions: Array = rows / np.maximum(lengths, 1e-6)
    return directions


def _matrix(data: bytes, weights: Weights) -> Array:
    outer, rows, inner = weights.shape
    values = np.frombuffer(data, np.int8, weights.count, weights.place).reshape(weights.shape)
    return values.transpose(1, 0, 2).reshape(rows, outer * inner).astype(np.float32)
