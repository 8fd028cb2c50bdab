"""One operator's cost out of its times."""

from __future__ import annotations

import pytest

from edgekit.agent.operator_cost import operator_cost


@pytest.mark.parametrize(
    ("times", "mean"),
    [
        ([7], 7),
        ([3, 4], 3.5),
        ([3, 4, 3, 4, 9000], 3.667),
        ([4, 4, 4, 5, 5, 5, 5, 0], 4.5),
        ([0] * 20, 0),
    ],
)
def test_one_interruption_is_nothing_and_fractions_stay(times: list[float], mean: float) -> None:
    assert operator_cost("a", "Conv", times) == {"name": "a", "operator": "Conv", "mean_us": mean}
