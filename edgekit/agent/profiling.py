"""Costs per operator of a subject, by the profiler of its runtime."""

from __future__ import annotations

from edgekit.agent import samples
from edgekit.agent.events import RefusalError
from edgekit.agent.litert_profiler import profile_tflite
from edgekit.agent.ort_profiler import profile_onnx
from edgekit.agent.sessions import OrtSession, import_runtime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping


def profile(
    subject: Mapping[str, Any], arrays: dict[str, Any] | None, runs: int, seed: int, python: list[str]
) -> list[dict[str, Any]]:
    """Operators with `name`, `operator` and `mean_us`, in the order of execution.

    Args:
        subject: Of the job.
        arrays: Golden inputs; None draws random ones.
        runs: Inferences that count.
        seed: Of the random inputs.
        python: Words that start a Python here; empty for the one that runs this.

    Raises:
        RefusalError: There is no profile, and why.
    """
    if subject["runtime"] != "onnxruntime":
        if int(subject["batch"]) > 1:
            raise RefusalError("no-profile", "LiteRT's profiler runs a file at the batch that it was written with")
        return profile_tflite(str(subject["file"]), int(subject["threads"]), runs, python=python)
    module, _ = import_runtime("onnxruntime")
    session = OrtSession(module, subject)
    feed = samples.first_feed(session, arrays, int(subject["batch"]), seed)
    options = OrtSession.options(module, subject, session.entries)
    return profile_onnx(str(subject["file"]), options, OrtSession.providers(module, subject), feed, runs)
