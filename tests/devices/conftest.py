"""Real machines to talk to: an sshd and an adbd on the loopback, each started once."""

from __future__ import annotations

import getpass
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.devices.adbd import AdbServer, run_adbd
from tests.devices.parts import lack
from tests.devices.ssh_server import SshServer, make_keys, run_sshd


@pytest.fixture(scope="session")
def ssh_keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of throwaway keys."""
    folder = tmp_path_factory.mktemp("ssh")
    make_keys(folder)
    return folder


@pytest.fixture(scope="session")
def sshd(ssh_keys: Path) -> Iterator[SshServer]:
    """An sshd with sftp."""
    with run_sshd(ssh_keys, more="Subsystem sftp internal-sftp") as server:
        yield server


@pytest.fixture(scope="session")
def running_adbd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AdbServer]:
    with run_adbd(tmp_path_factory.mktemp("adb")) as server:
        yield server


@pytest.fixture
def adbd(running_adbd: AdbServer, monkeypatch: pytest.MonkeyPatch) -> AdbServer:
    """An adbd that is connected, and $ADB set to reach it."""
    monkeypatch.setenv("ADB", str(running_adbd.adb))
    return running_adbd


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of 1 MB."""
    if getpass.getuser() != "root":
        lack("root, to mount a small disk")
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place), capture_output=True, text=True)
    if mounted.returncode:
        lack(f"the right to mount a small disk ({mounted.stderr.strip()})")
    try:
        yield place
    finally:
        subprocess.run(("umount", place), check=True)
