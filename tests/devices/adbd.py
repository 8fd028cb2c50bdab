"""A real adbd of Debian 13 in namespaces of its own, and an adb that reaches it and nothing else."""

from __future__ import annotations

import ctypes
import fcntl
import getpass
import hashlib
import os
import shutil
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.devices.adbd_launcher import UNFILTERED
from tests.devices.parts import find_program, lack

LAUNCHER = Path(__file__).with_name("adbd_launcher.py")
PIDFD_GETFD = 438
"""Number of the system call, the same on every machine."""
PACKAGES = "adbd,bash,coreutils,dash,grep,gzip,procps,python3,sed,tar,util-linux"
PATH = "/usr/bin:/bin"
BARE_PATH = "/opt/bare"
"""What there is on a phone: no Python."""
NAMESPACES = ("--net", "--mount", "--pid", "--fork", "--kill-child=SIGKILL")
PORT = "6000"
"""In a network of its own; not one of those where adb looks for emulators."""
SERVER_PORT = 5037
"""Of adb's server, in the same network."""


@dataclass(frozen=True)
class AdbServer:
    """A running adbd, seen from a network that has only it.

    Attributes:
        adb: A program to put in $ADB: adb in that network, with a server and a home of its own.
        serial: Of the device.
        pid: Of adbd.
    """

    adb: Path
    serial: str
    pid: int

    @property
    def uri(self) -> str:
        """How to open it."""
        return f"adb:{self.serial}"

    def run(self, *words: str) -> str:
        """Output of an adb command."""
        return subprocess.run((self.adb, *words), capture_output=True, text=True, check=True, timeout=30).stdout

    def connect(self) -> None:
        """Until adb lists it."""
        for _ in range(50):
            self.run("connect", self.serial)
            if f"{self.serial}\tdevice" in self.run("devices"):
                return
            time.sleep(0.2)
        raise AssertionError(self.run("devices", "-l"))


def cache_folder() -> Path:
    """Where built parts are kept from one run to the next."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edgekit-tests"
    root.mkdir(parents=True, exist_ok=True)
    return root


def build_root() -> Path:
    """A small Debian 13 with adbd and Python: 120 MB, from the mirror of this machine, kept in the cache."""
    root = cache_folder() / f"adbd-trixie-{hashlib.sha256(PACKAGES.encode()).hexdigest()[:8]}"
    with (cache_folder() / "adbd-trixie.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not root.is_dir():
            _build(root)
    return root


def _build(root: Path) -> None:
    if getpass.getuser() != "root":
        lack("root, to build a Debian with adbd in")
    mmdebstrap = find_program("mmdebstrap", "mmdebstrap")
    listing = subprocess.run(("apt-get", "indextargets", "--format", "$(REPO_URI)"), capture_output=True, text=True)
    mirrors = sorted({line for line in listing.stdout.splitlines() if line and "security" not in line})
    if not mirrors:
        lack("a Debian mirror in apt's configuration: apt-get update")
    architecture = subprocess.run(("dpkg", "--print-architecture"), capture_output=True, text=True, check=True)
    partial = root.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    built = subprocess.run(
        (
            mmdebstrap,
            "--quiet",
            f"--architectures={architecture.stdout.strip()}",
            "--variant=extract",
            "--mode=root",
            f"--include={PACKAGES}",
            "trixie",
            partial,
            f"deb {mirrors[0]} trixie main",
        ),
        capture_output=True,
        text=True,
    )
    if built.returncode:
        shutil.rmtree(partial, ignore_errors=True)
        lack(f"a Debian with adbd, which mmdebstrap could not build: {built.stderr[-500:]}")
    for folder in ("data", BARE_PATH.removeprefix("/")):
        (partial / folder).mkdir(parents=True)
    for tool in ("sh", "mktemp", "ls", "sed", "rm", "df"):
        (partial / BARE_PATH.removeprefix("/") / tool).symlink_to(f"/usr/bin/{tool}")
    partial.rename(root)


def vsock_listeners() -> str:
    """What listens on vsock in this machine."""
    ss = find_program("ss", "iproute2")
    return subprocess.run((ss, "-H", "-l", "--vsock"), capture_output=True, text=True, check=True).stdout


def socket_families(pid: int) -> set[int]:
    """Families of the sockets that a process has open: kernels without vsock_diag list nothing to `ss`."""
    libc = ctypes.CDLL(None, use_errno=True)
    process = os.pidfd_open(pid)
    families = set()
    try:
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            copy = libc.syscall(PIDFD_GETFD, process, int(entry.name), 0)
            if copy < 0:  # closed meanwhile
                continue
            if stat.S_ISSOCK(os.fstat(copy).st_mode):
                with socket.socket(fileno=copy) as found:
                    families.add(int(found.family))
            else:
                os.close(copy)
    finally:
        os.close(process)
    return families


@contextmanager
def run_adbd(folder: Path, *, path: str = PATH) -> Iterator[AdbServer]:
    """An adbd until the block is left; its namespaces take mounts, network and processes with them.

    Args:
        folder: For adb's home and its server's log.
        path: $PATH of its shell.
    """
    adb, nsenter = find_program("adb", "adb"), find_program("nsenter", "util-linux")
    root = build_root()
    if getpass.getuser() != "root":
        lack("root, for a network and a root folder of its own")
    listening = vsock_listeners()
    with (folder / "adbd.log").open("wb") as log:
        process = subprocess.Popen(
            (find_program("unshare", "util-linux"), *NAMESPACES, sys.executable, LAUNCHER, root, PORT, path),
            stdout=log,
            stderr=log,
        )
    started = [process]
    try:
        inside = _wait_for_adbd(process, folder / "adbd.log")
        wrapper = folder / "adb"
        wrapper.write_text(
            f"#!/bin/sh\nexport HOME={folder} TMPDIR={folder} ANDROID_ADB_SERVER_PORT={SERVER_PORT}\n"
            f'exec {nsenter} --net=/proc/{inside.pid}/ns/net -- {adb} "$@"\n'
        )
        wrapper.chmod(0o755)
        with (folder / "adb.log").open("wb") as log:
            started.append(subprocess.Popen((wrapper, "server", "nodaemon"), stdout=log, stderr=log))
        _wait_for_server(inside.pid)
        server = AdbServer(wrapper, f"127.0.0.1:{PORT}", inside.pid)
        server.connect()
        assert vsock_listeners() == listening, "adbd listens on vsock although it is filtered"
        assert socket.AF_VSOCK not in socket_families(inside.pid)
        yield server
    finally:
        for child in psutil.Process(process.pid).children() if process.poll() is None else ():
            child.kill()  # the first process in there: the kernel ends all others, and unshare ends when it is gone
        for one in reversed(started):
            with suppress(subprocess.TimeoutExpired):
                one.wait(0 if one is not process else 5)
            one.kill()
            one.wait()


def _wait_for_adbd(process: subprocess.Popen[bytes], log: Path) -> psutil.Process:
    """The process that has become adbd."""
    for _ in range(100):
        if process.poll() == UNFILTERED:
            lack(f"a kernel that takes a seccomp filter ({log.read_text().strip()}): adbd is not started without one")
        assert process.poll() is None, log.read_text(errors="replace")
        for child in psutil.Process(process.pid).children():
            if child.name() == "adbd":
                return child
        time.sleep(0.1)
    raise AssertionError(log.read_text(errors="replace"))


def _wait_for_server(pid: int) -> None:
    """Until adb's server listens: any adb that comes earlier starts another one."""
    for _ in range(100):
        tables = "".join(Path(f"/proc/{pid}/net/{name}").read_text() for name in ("tcp", "tcp6"))
        if f":{SERVER_PORT:04X} " in tables:
            return
        time.sleep(0.1)
    raise AssertionError("adb's server does not start")
