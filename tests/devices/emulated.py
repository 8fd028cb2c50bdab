"""What the tests of both emulators need: two small nets, and the agent's answers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgekit.bench.agent_file import NAME, agent_bytes
from edgekit.bench.jobs import Subject
from edgekit.devices.device import Device
from edgekit.emit.exporter import emit
from tests.agent.profiled import net

SUBJECTS = (Subject("net.onnx", "onnxruntime"), Subject("net.tflite", "litert"))


def write_nets(folder: Path) -> Path:
    """net.onnx and net.tflite, both int8; the folder."""
    quantized = net(side=16, channels=8)
    emit(quantized, folder / "net.onnx", format="onnx-int8", metadata={})
    emit(quantized, folder / "net.tflite", format="tflite-int8", metadata={})
    return folder


def push_all(device: Device, nets: Path) -> None:
    """The agent and the nets."""
    device.push({NAME: agent_bytes(), **{name: nets / name for name in ("net.onnx", "net.tflite")}})


def ask_agent(device: Device, job: str) -> dict[str, list[dict[str, Any]]]:
    """Events of a job that succeeds, by their name."""
    events: dict[str, list[dict[str, Any]]] = {}
    with device.start((*device.python, NAME), job) as stream:
        for line in stream.lines(300):
            event = json.loads(line)
            events.setdefault(event["event"], []).append(event)
        code, complaint = stream.finish()
    assert code == 0, f"{events.get('error')} {complaint}"
    return events


def run(device: Device, words: Sequence[str]) -> list[str]:
    """Lines of a command that succeeds."""
    with device.start(words, "") as stream:
        lines = list(stream.lines(120))
        code, complaint = stream.finish()
    assert code == 0, complaint
    return lines
