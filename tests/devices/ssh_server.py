"""A real sshd of this machine on the loopback, with throwaway keys."""

from __future__ import annotations

import getpass
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.devices.parts import find_program, free_port

CONFIG = """
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host_ed25519
HostKey {folder}/host_rsa
PidFile none
AuthorizedKeysFile {folder}/authorized_keys
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
AllowTcpForwarding no
MaxStartups 100
SetEnv HOME={folder} {environment}
{more}
"""


@dataclass(frozen=True)
class SshServer:
    """A running sshd.

    Attributes:
        folder: With its keys: user, host_ed25519, host_rsa, each with its .pub.
        port: On 127.0.0.1.
        pid: Of the listening process.
    """

    folder: Path
    port: int
    pid: int

    def uri(self, **options: str) -> str:
        """A way in that works; options replace the user's key and the known_hosts file."""
        options = {"key": str(self.folder / "user"), "known_hosts": str(self.known_hosts), **options}
        given = "&".join(f"{name}={value}" for name, value in options.items() if value)
        return f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}?{given}"

    @property
    def known_hosts(self) -> Path:
        """File with its host keys."""
        return self.folder / f"known_hosts-{self.port}"

    def fingerprint(self, kind: str = "ed25519") -> str:
        """Of a host key."""
        command = ("ssh-keygen", "-lf", self.folder / f"host_{kind}.pub")
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[1]

    def sessions(self) -> list[psutil.Process]:
        """Processes that serve connections, and what they started."""
        return psutil.Process(self.pid).children(recursive=True)

    def is_quiet(self, *, within_s: float = 5.0) -> bool:
        """Whether every connection ends soon."""
        until = time.monotonic() + within_s
        while self.sessions() and time.monotonic() < until:
            time.sleep(0.05)
        return not self.sessions()

    def cut(self) -> None:
        """End every connection, as a pulled cable does: the far side says no goodbye."""
        for process in psutil.Process(self.pid).children():
            for one in (*process.children(), process):
                if one.name().startswith("sshd"):
                    one.kill()


def make_keys(folder: Path) -> None:
    """Throwaway keys for the user and the host."""
    keygen = find_program("ssh-keygen", "openssh-client")
    for name, kind in (("user", "ed25519"), ("other", "ed25519"), ("host_ed25519", "ed25519"), ("host_rsa", "rsa")):
        subprocess.run((keygen, "-q", "-t", kind, "-N", "", "-C", name, "-f", folder / name), check=True)
    (folder / "authorized_keys").write_text((folder / "user.pub").read_text())


@contextmanager
def run_sshd(folder: Path, *, more: str = "", environment: str = "") -> Iterator[SshServer]:
    """An sshd until the block is left.

    Args:
        folder: With the keys.
        more: Further lines of its configuration.
        environment: "NAME=value" of its sessions; their home is the folder, so that no ~/.bashrc has a say.
    """
    sshd = find_program("sshd", "openssh-server")
    if getpass.getuser() == "root":
        Path("/run/sshd").mkdir(exist_ok=True)  # where it locks itself in; the package's service makes it
    port = free_port()
    (folder / f"config-{port}").write_text(CONFIG.format(folder=folder, port=port, more=more, environment=environment))
    known = "".join(
        f"[127.0.0.1]:{port} {' '.join((folder / f'host_{kind}.pub').read_text().split()[:2])}\n"
        for kind in ("ed25519", "rsa")
    )
    (folder / f"known_hosts-{port}").write_text(known)
    with (folder / f"log-{port}").open("wb") as log:
        process = subprocess.Popen((sshd, "-D", "-e", "-f", folder / f"config-{port}"), stderr=log)
    try:
        wait_for_port(port, process, folder / f"log-{port}")
        yield SshServer(folder, port, process.pid)
    finally:
        children = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        process.kill()
        process.wait()
        for child in children:  # sessions outlive the listener
            if child.is_running():
                child.kill()
        psutil.wait_procs(children, timeout=5)


def wait_for_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Until somebody listens there."""
    for _ in range(100):
        assert process.poll() is None, log.read_text(errors="replace")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError(f"nothing listens at {port}")
