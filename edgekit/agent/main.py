"""One job: a line of JSON in, lines of JSON out; see `docs/devices.md` for both."""

from __future__ import annotations

import json
import os
import sys
import threading
import time

from edgekit.agent import probing, samples, steady
from edgekit.agent.counters import open_counter
from edgekit.agent.events import RefusalError, end_with_input, first_line, tell
from edgekit.agent.sensing import Sensors
from edgekit.agent.sessions import import_runtime, open_session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from edgekit.agent.sessions import Session

SCHEMA = "edgekit.job/1"


def main() -> int:
    """Do the job that stands on the first line of standard input; the exit code."""
    try:
        job = json.loads(sys.stdin.readline())
        if not isinstance(job, dict) or job.get("schema") != SCHEMA:
            raise RefusalError("bad-job", "this agent understands " + SCHEMA)
        threading.Thread(target=end_with_input, daemon=True).start()
        do(job)
    except RefusalError as refusal:
        tell("error", kind=refusal.kind, message=str(refusal))
        return 1
    except MemoryError:
        tell("error", kind="refused", message="out of memory")
        return 1
    except (KeyError, TypeError, ValueError) as error:
        tell("error", kind="bad-job", message=type(error).__name__ + ": " + first_line(error))
        return 1
    tell("done")
    sys.stdout.flush()
    return 0


def do(job: Mapping[str, Any]) -> None:
    """Look around, load the subjects, and take what is asked for.

    Raises:
        RefusalError: The device cannot do it.
    """
    probes = job["probes"]
    tell("environment", **probing.environment("before", probes["files"], probes["commands"]))
    plan = job.get("steady")
    counting = open_counter(plan["kind"]) if plan else None
    sessions = _open(job)
    arrays = samples.read_inputs(job["inputs"]) if job.get("inputs") else None
    for number, session in list(sessions.items()):
        try:
            _first(number, session, arrays, job)
            if job.get("golden"):
                given = arrays or samples.draw_inputs(session.inputs, int(job["samples"]), int(job["seed"]))
                found = samples.run_golden(session, given, job["golden"]["outputs"][number])
                tell("golden", subject=number, **found)
        except RefusalError as refusal:
            _pass_over(number, refusal, job)
            del sessions[number]
    if plan and counting:
        counter, check = counting
        steady.measure([session.run for session in sessions.values()], counter, plan, Sensors(job.get("sensors")))
        check()
    tell("memory", peak_rss_bytes=probing.peak_rss_bytes())
    tell("environment", **probing.environment("after", probes["files"], probes["commands"]))
    if job.get("profile"):
        _profile(job, arrays)


def _open(job: Mapping[str, Any]) -> dict[int, Session]:
    """Subject -> session, without those that are passed over."""
    sessions: dict[int, Session] = {}
    seen = set()
    for number, subject in enumerate(job["subjects"]):
        try:
            module, took = import_runtime(subject["runtime"])
            if subject["runtime"] not in seen:
                seen.add(subject["runtime"])
                tell("import", runtime=subject["runtime"], ns=took)
            session = open_session(module, subject)
        except RefusalError as refusal:
            _pass_over(number, refusal, job)
            continue
        tell(
            "load",
            subject=number,
            ns=session.load_ns,
            inputs=[vars(tensor) for tensor in session.inputs],
            outputs=[vars(tensor) for tensor in session.outputs],
        )
        sessions[number] = session
    return sessions


def _pass_over(number: int, refusal: RefusalError, job: Mapping[str, Any]) -> None:
    """Where nothing is measured, one subject that is refused does not keep the others from running.

    Raises:
        RefusalError: It does where something is.
    """
    if job.get("steady"):
        raise refusal
    tell("refused", subject=number, kind=refusal.kind, message=str(refusal))


def _first(number: int, session: Session, arrays: dict[str, Any] | None, job: Mapping[str, Any]) -> None:
    """The first inference, on the first sample, which then stays in place for the measurement."""
    batch = int(job["subjects"][number]["batch"])
    session.feed(samples.first_feed(session, arrays, batch, int(job["seed"])))
    start = time.perf_counter_ns()
    try:
        session.run()
    except Exception as error:  # see open_session
        raise RefusalError("refused", "the runtime cannot run the file: " + first_line(error)) from error
    tell("first", subject=number, ns=time.perf_counter_ns() - start)


def _profile(job: Mapping[str, Any], arrays: dict[str, Any] | None) -> None:
    """Costs per operator; last, since a profiler may take the process down."""
    from edgekit.agent.profiling import profile

    for number, subject in enumerate(job["subjects"]):
        try:
            wanted = job["profile"]
            operators = profile(subject, arrays, int(wanted["runs"]), int(job["seed"]), list(wanted["python"]))
            tell("profile", subject=number, operators=operators, reason="")
        except RefusalError as refusal:
            tell("profile", subject=number, operators=[], reason=str(refusal))


def run() -> None:
    """Entry point of the packed agent."""
    code = main()
    sys.stdout.flush()
    os._exit(code)  # runtimes with a pool of threads may not come to an end by themselves
