"""One operator's entry in the event "profile"."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


def operator_cost(name: str, operator: str, times_us: Sequence[float]) -> dict[str, Any]:
    """What the host reads of one operator.

    Its cost is the mean of the middle half of its times: profilers tell whole microseconds, of which a median would
    lose the fraction, and a single interruption by the system would outweigh all else in a mean.

    Args:
        name: The runtime's node.
        operator: Its type.
        times_us: Wall time in each inference, microseconds; at least one.

    >>> operator_cost("stem/Conv", "CONV_2D", [3, 4, 3, 4, 9000])["mean_us"]
    3.667
    """
    ordered = sorted(times_us)
    cut = len(ordered) // 4
    middle = ordered[cut : len(ordered) - cut]
    return {"name": name, "operator": operator, "mean_us": round(sum(middle) / len(middle), 3)}
