"""One job on one device: the agent is started, its lines are read as they come, and what came before a loss is kept."""

from __future__ import annotations

import threading
import time

from edgekit.bench.agent_file import NAME
from edgekit.bench.answers import Answers
from edgekit.devices.device import Device, LineStream
from edgekit.errors import DeviceError, DeviceRefusalError, DeviceTimeoutError

SILENCE_S = 180.0
EMULATED_SILENCE_S = 1800.0
"""Longest silence: one inference, or a warm-up. An emulator takes minutes to import a runtime."""
_LISTEN_S = 1.0
"""How often a silent device is given up on when the user has interrupted."""


class StoppedError(Exception):
    """The user has asked for the end; caught by whoever waits for the devices."""


def converse(device: Device, job: str, answers: Answers, *, stop: threading.Event) -> None:
    """Run one job.

    Args:
        device: Holds the agent and the files of the job in its folder.
        job: One line; see `edgekit.bench.jobs`.
        answers: Filled as lines come, so that it holds what was measured when an error ends the job.
        stop: Ends the job when set.

    Raises:
        DeviceRefusalError: The device cannot do this job; others may still be done.
        DeviceTimeoutError: It was silent for too long.
        DeviceError: It was lost, or the agent broke down.
        StoppedError: `stop` was set.
    """
    with device.start([*device.python, NAME], job) as stream:
        try:
            _listen(stream, answers, stop, EMULATED_SILENCE_S if device.emulated else SILENCE_S)
        except DeviceRefusalError as refusal:
            raise DeviceRefusalError(str(refusal), kind=refusal.kind, device=device.uri, hint=refusal.hint) from None
        if not answers.done:
            raise _breakdown(device, *stream.finish())


def _listen(stream: LineStream, answers: Answers, stop: threading.Event, silence_s: float) -> None:
    last = time.monotonic()
    while True:
        try:
            for line in stream.lines(_LISTEN_S):
                if line.strip():
                    answers.take(line)
                last = time.monotonic()
                if answers.done:
                    return
                if stop.is_set():
                    raise StoppedError
            return
        except DeviceTimeoutError:
            if stop.is_set():
                raise StoppedError from None
            if time.monotonic() - last > silence_s:
                raise


def _breakdown(device: Device, code: int, stderr: str) -> DeviceError:
    lines = [line for line in stderr.strip().splitlines() if line.strip()]
    said = f": {lines[-1][:300]}" if lines else ""
    if code < 0 or code >= 128:
        number = -code if code < 0 else code - 128
        return DeviceError(
            f"the agent was ended by signal {number}{said}",
            device=device.uri,
            hint="out of memory there (signal 9), or a runtime built for another processor (signals 4 and 11)",
        )
    return DeviceError(f"the agent ended early, with exit code {code}{said}", device=device.uri)
