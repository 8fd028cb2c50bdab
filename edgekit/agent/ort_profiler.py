"""Cost per operator of a .onnx file, from ONNX Runtime's own profiler.

The profiler works in a session of its own, never in the measured one: it writes down every kernel it calls, which
makes small operators some microseconds dearer.
"""

from __future__ import annotations

import json
import os
import tempfile

from edgekit.agent.events import RefusalError, first_line
from edgekit.agent.operator_cost import operator_cost

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

WARMUP_RUNS = 5
_KERNEL = "_kernel_time"
_ASYNCHRONOUS = ("CUDAExecutionProvider", "TensorrtExecutionProvider", "NvTensorRTRTXExecutionProvider")
"""Their kernels are only launched when the profiler takes the time: what it writes down is not their cost."""


def profile_onnx(
    file: str, options: Any, providers: Sequence[Any], feeds: Mapping[str, Any], runs: int
) -> list[dict[str, Any]]:
    """Mean cost of every node that ONNX Runtime executes.

    Args:
        file: The .onnx file.
        options: `onnxruntime.SessionOptions` of the measurement; not used for another session afterwards.
        providers: Execution providers of the measurement.
        feeds: One sample: input name -> array.
        runs: Inferences that count; a few more go before them.

    Returns:
        Dictionaries with `name` (the node, after ONNX Runtime's fusions), `operator` (its type) and `mean_us`
        (microseconds per inference), in the order of execution.

    Raises:
        RefusalError: There is no profile, and why.
    """
    import onnxruntime

    for provider in providers:
        name = provider if isinstance(provider, str) else provider[0]
        if name in _ASYNCHRONOUS:
            raise RefusalError("no-profile", f"ONNX Runtime times the launch of operators on {name}, not their work")
    with tempfile.TemporaryDirectory(prefix="profile-", dir=".") as folder:
        options.enable_profiling = True
        options.profile_file_prefix = os.path.join(folder, "events")
        try:
            session = onnxruntime.InferenceSession(file, options, providers=list(providers))
            for _ in range(WARMUP_RUNS + runs):
                session.run(None, dict(feeds))
            with open(session.end_profiling(), encoding="utf-8", errors="replace") as stream:
                events = json.load(stream)
        except Exception as error:  # onnxruntime raises its own classes, none of them public
            raise RefusalError("no-profile", f"ONNX Runtime cannot profile {file}: {first_line(error)}") from error
    return node_costs(events if isinstance(events, list) else [], runs)


def node_costs(events: Iterable[Any], runs: int) -> list[dict[str, Any]]:
    """What the profiler's events say, by node; events of another make are left out.

    A node in a loop runs several times per inference; its runs add up. One in a branch, which not every inference
    takes, gets the mean over all of them.

    Args:
        events: The profile file, read.
        runs: Inferences that count; the `WARMUP_RUNS` before them do not.

    Raises:
        RefusalError: No event is a node's.
    """
    found: dict[tuple[str, str, str], list[float]] = {}
    for event in events:
        if not isinstance(event, dict) or not str(event.get("name", "")).endswith(_KERNEL):
            continue
        details, took = event.get("args"), event.get("dur")
        if isinstance(details, dict) and isinstance(took, (int, float)) and "op_name" in details:
            node = str(event["name"])[: -len(_KERNEL)]
            key = (node, str(details["op_name"]), str(details.get("node_index", "")))
            found.setdefault(key, []).append(float(took))
    if not found:
        raise RefusalError("no-profile", "ONNX Runtime's profile names no operators")
    return [operator_cost(node, operator, _by_inference(times, runs)) for (node, operator, _), times in found.items()]


def _by_inference(times: list[float], runs: int) -> list[float]:
    inferences = WARMUP_RUNS + runs
    each, rest = divmod(len(times), inferences)
    if rest:
        return [sum(times) / inferences]
    return [sum(times[each * number : each * (number + 1)]) for number in range(WARMUP_RUNS, inferences)]
