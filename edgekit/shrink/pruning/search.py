"""Search: how many units of each group to cut so that a limit holds, and no more than that.

Widths move in steps of `round_to` channels, since kernels work on 8 or 16 of them at once and odd widths are slower
than whole ones. "local" takes the same share from every group; "global" always takes the step that costs the least
importance, wherever it is. Both overshoot a limit by up to a step, so afterwards steps are given back, the most
important first, while the limit still holds.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from edgekit.shrink.pruning.counting import Term
from edgekit.shrink.pruning.coupling import Group, Unit
from edgekit.shrink.pruning.layers import Axis, is_tensorless

Share = Callable[[Axis], float]


@dataclass(frozen=True)
class Ladder:
    """One group in the order in which it is cut, in steps that leave rounded widths.

    Attributes:
        group: Whose units these are.
        steps: Units that go together, the least important first; what no step holds always stays.
        costs: Importance lost with each step.
    """

    group: Group
    steps: tuple[tuple[Unit, ...], ...]
    costs: tuple[float, ...]


def ladder(group: Group, scores: Tensor, *, round_to: int, max_ratio: float) -> Ladder:
    """Order a group by importance and cut the order into steps.

    Args:
        group: With `blocks`: each step takes equally many of every block.
        scores: (units,).
        round_to: Widths after each step are multiples of it; a group that is narrower has no step.
        max_ratio: At most this share of the units goes.
    """
    rows = _rows(group, scores)
    made = max(group.width // len(rows), 1)
    """Channels of the group's layer that one row holds."""
    are_heads = any(is_tensorless(axis) for axis in group.axes)
    steps: list[tuple[Unit, ...]] = []
    costs: list[float] = []
    gone, width = 0, group.width
    most = math.floor(max_ratio * len(rows) + 1e-9)
    for end in range(1, len(rows)):
        left = width - end * made
        if end > most or left < min(round_to, width):
            break
        if left % round_to and not are_heads:
            continue
        taken = rows[gone:end]
        steps.append(tuple(unit for _, row in taken for unit in row))
        costs.append(sum(cost for cost, _ in taken))
        gone = end
    return Ladder(group, tuple(steps), tuple(costs))


def _rows(group: Group, scores: Tensor) -> list[tuple[float, list[Unit]]]:
    """Units that have to go together, the least important first: the k-th of every block."""
    blocks: dict[int, list[tuple[float, int]]] = defaultdict(list)
    for index, block in enumerate(group.blocks):
        blocks[block].append((float(scores[index]), index))
    columns = [sorted(block) for _, block in sorted(blocks.items())]
    count = min(len(column) for column in columns)
    return [
        (sum(column[row][0] for column in columns), [group.units[column[row][1]] for column in columns])
        for row in range(count)
    ]


class Widths:
    """How many steps of each ladder are taken, and what that leaves of every axis."""

    def __init__(self, ladders: Sequence[Ladder], sizes: Mapping[Axis, int]) -> None:
        self.ladders = ladders
        self.taken = [0] * len(ladders)
        self._sizes = sizes
        self._gone: dict[Axis, int] = defaultdict(int)

    def share(self, axis: Axis) -> float:
        """Of its channels that the axis keeps."""
        return 1.0 if axis not in self._sizes else 1.0 - self._gone[axis] / self._sizes[axis]

    def move(self, index: int, *, back: bool = False) -> None:
        """Take the next step of a ladder, or give its last one back."""
        self.taken[index] -= back
        for unit in self.ladders[index].steps[self.taken[index]]:
            for axis, channels in unit.entries.items():
                self._gone[axis] += -len(channels) if back else len(channels)
        self.taken[index] += not back

    def set(self, taken: Sequence[int]) -> None:
        """Take exactly so many steps of each ladder."""
        for index, wanted in enumerate(taken):
            while self.taken[index] != wanted:
                self.move(index, back=self.taken[index] > wanted)

    def lost(self) -> float:
        """Importance of everything that goes."""
        return sum(sum(ladder.costs[:taken]) for ladder, taken in zip(self.ladders, self.taken, strict=True))

    def units(self) -> list[Unit]:
        """Everything that goes."""
        return [
            unit
            for ladder, taken in zip(self.ladders, self.taken, strict=True)
            for step in ladder.steps[:taken]
            for unit in step
        ]


class Cost:
    """MACs or parameters of a set of widths, from its terms."""

    def __init__(self, terms: Sequence[Term], *, fixed: float = 0.0) -> None:
        """`fixed` is what no layer owns."""
        self._terms = terms
        self._fixed = fixed
        self._by_axis: dict[Axis, list[Term]] = defaultdict(list)
        for term in terms:
            for axis in set(term.axes):
                self._by_axis[axis].append(term)

    def total(self, share: Share) -> float:
        """Of the whole module."""
        return self._fixed + sum(_value(term, share) for term in self._terms)

    def touched(self, axes: Sequence[Axis], share: Share) -> float:
        """Of the layers that have one of the axes."""
        terms = {id(term): term for axis in axes for term in self._by_axis[axis]}
        return sum(_value(term, share) for term in terms.values())


def _value(term: Term, share: Share) -> float:
    value = term.amount
    for axis in term.axes:
        value *= share(axis)
    return value


def reach(widths: Widths, cost: Cost, limit: float, *, scope: str, per_cost: bool = True) -> bool:
    """Take steps until the cost is at most `limit`, then give back what need not have gone.

    Args:
        widths: Changed in place.
        cost: What is limited.
        limit: In the unit of `cost`.
        scope: "global" or "local".
        per_cost: Rank steps by importance per MAC (or parameter) saved, not by importance alone.

    Returns:
        Whether the limit holds; if not, every step is taken.
    """
    while cost.total(widths.share) > limit:
        index = _next_local(widths) if scope == "local" else _next_global(widths, cost, per_cost=per_cost)
        if index is None:
            return False
        widths.move(index)
    _give_back(widths, cost, limit)
    while _improve(widths, cost, limit, per_cost=per_cost) if scope == "global" else False:
        pass
    return True


def _improve(widths: Widths, cost: Cost, limit: float, *, per_cost: bool) -> bool:
    """Undo one step of one ladder and make up for it elsewhere, if that loses less; whether anything was found."""
    lost, best = widths.lost(), list(widths.taken)
    for index in range(len(widths.ladders)):
        if not widths.taken[index]:
            continue
        before = list(widths.taken)
        widths.move(index, back=True)
        while cost.total(widths.share) > limit:
            cheapest = _next_global(widths, cost, per_cost=per_cost, but=index)
            if cheapest is None:
                break
            widths.move(cheapest)
        else:
            _give_back(widths, cost, limit)
            if widths.lost() < lost * (1 - 1e-9):
                lost, best = widths.lost(), list(widths.taken)
        widths.set(before)
    is_better = best != widths.taken
    widths.set(best)
    return is_better


def _next_local(widths: Widths) -> int | None:
    """The ladder that would then have lost the smallest share."""
    shares = [
        ((taken + 1) / (len(ladder.steps) + 1), index)
        for index, (ladder, taken) in enumerate(zip(widths.ladders, widths.taken, strict=True))
        if taken < len(ladder.steps)
    ]
    return min(shares)[1] if shares else None


def _next_global(widths: Widths, cost: Cost, *, per_cost: bool, but: int = -1) -> int | None:
    """The ladder whose next step loses the least importance (per saved cost)."""
    best: tuple[float, int] | None = None
    for index, (ladder, taken) in enumerate(zip(widths.ladders, widths.taken, strict=True)):
        if taken == len(ladder.steps) or index == but:
            continue
        loss = ladder.costs[taken]
        loss /= _saving(widths, cost, index) if per_cost else max(len(ladder.steps[taken]), 1)
        if best is None or (loss, index) < best:
            best = (loss, index)
    return best[1] if best else None


def _saving(widths: Widths, cost: Cost, index: int) -> float:
    axes = sorted(widths.ladders[index].group.axes)
    before = cost.touched(axes, widths.share)
    widths.move(index)
    after = cost.touched(axes, widths.share)
    widths.move(index, back=True)
    return max(before - after, 1e-9)


def _give_back(widths: Widths, cost: Cost, limit: float) -> None:
    """Undo steps, the most important first, as long as the limit holds."""
    while True:
        candidates = sorted(
            (
                (ladder.costs[taken - 1], index)
                for index, (ladder, taken) in enumerate(zip(widths.ladders, widths.taken, strict=True))
                if taken
            ),
            reverse=True,
        )
        for _, index in candidates:
            widths.move(index, back=True)
            if cost.total(widths.share) <= limit:
                break
            widths.move(index)
        else:
            return
