"""Files that benchmarks run on: one small net, float and int8, for both runtimes."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekit.bench.agent_file import NAME, agent_bytes
from edgekit.devices.local import LocalDevice
from edgekit.emit.exporter import emit, float_artifact
from tests.agent.profiled import net


@pytest.fixture(scope="session")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with net.fp32.onnx, net.int8.onnx and net.int8.tflite; input x0 of 1x3x16x16."""
    folder = tmp_path_factory.mktemp("artifacts")
    quantized = net(side=16, channels=8)
    float_artifact(quantized.graph, folder / "net.fp32.onnx", metadata={})
    emit(quantized, folder / "net.int8.onnx", format="onnx-int8", metadata={})
    emit(quantized, folder / "net.int8.tflite", format="tflite-int8", metadata={})
    return folder


@pytest.fixture
def device() -> object:
    """This machine, with the agent in its folder; nothing is left afterwards."""
    opened = LocalDevice()
    opened.push({NAME: agent_bytes()})
    yield opened
    assert opened.close() == ()
