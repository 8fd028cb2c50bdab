"""One command, one artifact, every kind of device, one page: with a real sshd, a real adbd and emulated ARM."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgekit.cli.app import run
from edgekit.portable.runtime import build_runtime
from edgekit.types.bench import Kind
from tests.bench.conftest import artifacts
from tests.devices.adbd import AdbServer
from tests.devices.conftest import adbd, running_adbd, ssh_keys, sshd
from tests.devices.ssh_server import SshServer
from tests.portable.built import REQUIRED, system_emulator, user_emulator

__all__ = ["adbd", "artifacts", "running_adbd", "ssh_keys", "sshd"]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A portable runtime for this machine's own processor: for the adbd, whose system has no ONNX Runtime."""
    if not REQUIRED:
        pytest.skip("needs packages from the network: make test-devices")
    return build_runtime("x86_64", tmp_path_factory.mktemp("runtime") / "runtime-x86_64.tar.gz")


def test_local_ssh_adb_and_emulated_arm_together(
    artifacts: Path, sshd: SshServer, adbd: AdbServer, runtime: Path, tmp_path: Path
) -> None:
    user_emulator()
    system_emulator()
    uris = ["local:", sshd.uri(), adbd.uri, "qemu-user:cortex-a72", "qemu-system:cortex-a76"]
    words = [word for uri in uris for word in ("--on", uri)]
    quick = ("--duration", "0.05", "--warmup", "0.2", "--profile")
    code = run(
        ["bench", str(artifacts / "net.int8.tflite"), *words, "--runtime", str(runtime), *quick, "--out", str(tmp_path)]
    )
    report = json.loads((tmp_path / "report.json").read_text())
    assert [device["error"] for device in report["devices"]] == [""] * 5
    assert [device["left_behind"] for device in report["devices"]] == [[]] * 5
    assert code == 0
    kinds = {one["device"].partition(":")[0]: one["kind"] for one in report["measurements"]}
    wall = Kind.WALL_NS.value
    assert kinds == {"local": wall, "ssh": wall, "adb": wall, "qemu-system": Kind.INSTRUCTIONS.value}
    assert all(one["invalid"] == [] and one["complete"] for one in report["measurements"])
    assert {device["before"]["architecture"] for device in report["devices"]} == {"x86_64", "aarch64"}
    assert len(report["outputs"]) == 5
    assert len({output["digest"] for output in report["outputs"]}) == 1  # LiteRT says the same on both processors
    assert all(one["operators"] for one in report["measurements"] if one["kind"] == wall)
    page = (tmp_path / "index.html").read_text()
    assert all(uri.partition("?")[0] in page for uri in uris)
    assert str(sshd.folder) not in page  # where the user's key lies is nobody's business


def test_the_same_host_twice_by_another_user_is_two_devices(
    artifacts: Path, sshd: SshServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that lets us in and one whose key is not ours: the first is measured, the second is said to have failed."""
    other = sshd.uri(key=str(sshd.folder / "other")).replace("ssh://root", "ssh://nobody")
    words = ["bench", str(artifacts / "net.int8.tflite"), "--on", "local:", "--on", other]
    assert run([*words, "--duration", "0.05", "--warmup", "0.1", "--out", str(tmp_path)]) == 4
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["devices"][0]["error"] == ""
    assert "nobody" in report["devices"][1]["error"]
    assert report["devices"][1]["hint"]
    assert "1 of 2 devices were lost" in capsys.readouterr().err
