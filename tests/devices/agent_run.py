"""Runs the stand-in for the agent on a device."""

from __future__ import annotations

import json
import time
from pathlib import Path

import psutil

from edgekit.devices.device import Device, LineStream

AGENT = Path(__file__).with_name("agent_stand_in.py")


def start_agent(device: Device, *, runs: int, pause_s: float) -> LineStream:
    """The agent on the device, with a job of so many runs."""
    device.push({"agent.py": AGENT})
    job = json.dumps({"runs": runs, "pause_s": pause_s})
    return device.start((*device.python, "agent.py"), job + "\n")


def is_gone(pid: int, *, within_s: float = 10.0) -> bool:
    """Whether a process of this machine ends soon; one that nobody has asked for its exit code yet has ended."""
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.05)
    return False
