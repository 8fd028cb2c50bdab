"""Where the level of a history of medians changed for good.

One slow run is no change; many in a row are. Levels are cut by PELT (Killick et al. 2012, `ruptures`) on logarithms, so
that effects are relative. Each cut is then confirmed by a t-test between the two levels beside it and by a minimum
effect, as Apache Otava does after its own search. Medians of neighbouring runs resemble one another (same host, same
load), which a plain test takes for levels: both steps therefore widen the noise by the autocorrelation of what the
levels leave over. The constants were chosen with `benchmarks/change_points.py`; see docs/decisions/0009.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import ruptures
from scipy import ndimage, stats

from edgekit.errors import InputError
from edgekit.types.qparams import Array

MIN_LEVEL = 5
"""Shortest level, points: a change is known that many runs after it."""
MINIMUM_EFFECT = 0.02
SIGNIFICANCE = 2e-4
PENALTY = 4.0
"""What one more level has to explain, in variances of the noise times log(n)."""
CLIP = 3.0
"""How far an outlier may lie off the running median, in standard deviations of the noise."""
MAX_CORRELATION = 0.9
_MAD_TO_SIGMA = 1.4826
_MAX_SEARCHES = 6


@dataclass(frozen=True)
class Change:
    """One change of level.

    Attributes:
        index: First point of the new level.
        before: Median of the level before it.
        after: Median of the level that begins here.
        relative: `after / before - 1`.
        p_value: Of the t-test between the two levels.
    """

    index: int
    before: float
    after: float
    relative: float
    p_value: float


def find_changes(
    values: Sequence[float], *, minimum_effect: float = MINIMUM_EFFECT, significance: float = SIGNIFICANCE
) -> tuple[Change, ...]:
    """Find the changes of level in a series, oldest point first.

    Args:
        values: One median cost per run, any unit, shape (n,).
        minimum_effect: Smallest relative change worth telling, as a share; the noise is taken to be at least a tenth
            of it, so that exact counts can be judged too.
        significance: Largest p value of a change.

    Returns:
        Changes by index; none in series shorter than two levels of `MIN_LEVEL` points.

    Raises:
        InputError: A value is not finite and positive, or `minimum_effect` not positive.

    Law: find_changes(c * values) has the same indices for every c > 0.

    >>> [change.index for change in find_changes([10.0, 10.1, 9.9, 10.0, 10.1] * 2 + [12.0, 12.1, 11.9, 12.0, 12.1])]
    [10]
    """
    costs = np.asarray(values, dtype=np.float64)
    if not (np.isfinite(costs).all() and (costs > 0).all()):
        raise InputError("a series of costs holds a value that is not finite and positive")
    if minimum_effect <= 0:
        raise InputError(f"the minimum effect is {minimum_effect}", hint="give a positive share, for example 0.02")
    if len(costs) < 2 * MIN_LEVEL:
        return ()
    floor = minimum_effect / 10
    levels = _clip(np.log(costs / np.median(costs)), floor)
    cuts, correlation = _cut(levels, floor)
    while True:
        changes = [_compare(costs, levels, around, correlation, floor) for around in _neighbours(cuts)]
        doubtful = [
            change for change in changes if change.p_value > significance or abs(change.relative) < minimum_effect
        ]
        if not doubtful:
            return tuple(changes)
        # One at a time: without it the levels beside it are longer, and their own tests come out differently.
        cuts.remove(min(doubtful, key=lambda change: abs(change.relative)).index)
        correlation = max(correlation, _correlation(levels, cuts, floor))


def _neighbours(cuts: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Every inner border between the ones before and after it."""
    return zip(cuts[:-2], cuts[1:-1], cuts[2:], strict=True)


def _noise(logs: Array, floor: float) -> float:
    """Standard deviation from one point to the next, blind to changes of level; at least `floor`."""
    steps = np.diff(logs)
    deviation = float(np.median(np.abs(steps - np.median(steps))))
    return max(_MAD_TO_SIGMA * deviation / math.sqrt(2), floor)


def _clip(logs: Array, floor: float) -> Array:
    """Draw outliers towards the running median; a level of `MIN_LEVEL` points is no outlier."""
    centre = ndimage.median_filter(logs, size=2 * MIN_LEVEL - 1, mode="mirror")
    reach = CLIP * _noise(logs, floor)
    return np.clip(logs, centre - reach, centre + reach)


def _cut(levels: Array, floor: float) -> tuple[list[int], float]:
    """Borders of the levels, 0 and n among them, and the autocorrelation of what they leave over.

    The dearer a level, the fewer there are and the more correlated is the rest, which makes levels dearer still:
    searched anew until that settles.
    """
    search = ruptures.KernelCPD(kernel="linear", min_size=MIN_LEVEL).fit(levels.reshape(-1, 1))
    price = PENALTY * _noise(levels, floor) ** 2 * math.log(len(levels))
    cuts: list[int] = []
    correlation = 0.0
    for _ in range(_MAX_SEARCHES):
        # Variance of a mean of AR(1) noise, expressed by that of its first differences.
        found = [0, *map(int, search.predict(pen=price * (1 + correlation) / (1 - correlation) ** 2))]
        if found == cuts:
            break
        cuts = found
        correlation = max(correlation, _correlation(levels, cuts, floor))
    return cuts, correlation


def _correlation(levels: Array, cuts: Sequence[int], floor: float) -> float:
    """Autocorrelation at lag 1 around the means of the levels, 0..MAX_CORRELATION, corrected for their fitting."""
    rests = [levels[start:end] - levels[start:end].mean() for start, end in pairwise(cuts)]
    # The noise of at least `floor` has no memory: what rounding leaves of equal counts says nothing.
    total = sum(float(rest @ rest) for rest in rests) + len(levels) * floor**2
    found = sum(float(rest[1:] @ rest[:-1]) for rest in rests) / total
    # Each fitted mean lowers the estimate by about (1 + 4 r) / n (Kendall 1954).
    found += len(rests) * (1 + 4 * max(found, 0.0)) / len(levels)
    return min(max(found, 0.0), MAX_CORRELATION)


def _compare(costs: Array, levels: Array, around: tuple[int, int, int], correlation: float, floor: float) -> Change:
    """Test the level before a cut against the one after it.

    The noise is pooled, since five points do not tell theirs, but a level that is noisier than that keeps its own.
    """
    start, cut, end = around
    left, right = levels[start:cut], levels[cut:end]
    freedom = len(left) + len(right) - 2
    own = [max(float(level.var(ddof=1)), floor**2) for level in (left, right)]
    pooled = (own[0] * (len(left) - 1) + own[1] * (len(right) - 1)) / freedom
    variance = max(own[0], pooled) / len(left) + max(own[1], pooled) / len(right)
    distance = abs(float(left.mean() - right.mean()))
    widened = math.sqrt(variance * (1 + correlation) / (1 - correlation))
    before, after = float(np.median(costs[start:cut])), float(np.median(costs[cut:end]))
    return Change(cut, before, after, after / before - 1, 2 * float(stats.t.sf(distance / widened, freedom)))
