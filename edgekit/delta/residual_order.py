"""In which order values are coded: far from one another at first, then in between, like Fibonacci's sunflower.

After a hundredth of them, a hundredth of each row and of each column is known, so what is typical of a row or a column
can be learnt from values on all sides, and a step's values, coded at once, are not each other's neighbours.
"""

from __future__ import annotations

from math import gcd

import numpy as np

from edgekit.types.qparams import Array

_GOLDEN = 2654435769
"""2**32 over the golden ratio."""


def spread(count: int) -> Array:
    """A permutation of 0..count - 1, count below 2**31: multiples of a step near count over the golden ratio.

    >>> spread(8).tolist()
    [0, 5, 2, 7, 4, 1, 6, 3]
    """
    return np.arange(count, dtype=np.int64) * spread_step(count) % count


def spread_step(count: int) -> int:
    """What `spread` takes multiples of: prime to count."""
    step = (count * _GOLDEN >> 32) | 1
    while gcd(step, count) != 1:
        step += 2
    return step
