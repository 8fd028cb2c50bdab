"""SshConnection: asyncssh behind plain calls, with the host's key checked and every failure told apart.

asyncssh lives in an event loop in a thread of its own; callers block. A host is trusted by a fingerprint in the URI or
by a known_hosts file, never by having answered first.
"""

from __future__ import annotations

import asyncio
import errno
import re
import socket
import threading
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from edgekit.devices.ssh_trust import Trust, read_key
from edgekit.errors import DeviceError, DeviceTimeoutError, MissingExtraError

try:
    import asyncssh
except ImportError as error:
    raise MissingExtraError("asyncssh", extra="bench") from error

T = TypeVar("T")

FAILURES = (asyncssh.Error, OSError)
"""What asyncssh raises when a connection, or what was asked of it, fails."""

CONNECT_S = 20.0
"""For the whole way in: name, connection, keys, login."""
KEEPALIVE_S = 4.0
KEEPALIVE_COUNT = 3
"""Unanswered ones until the host counts as gone: with `KEEPALIVE_S`, 16 seconds."""
COMMAND_S = 60.0
"""For the short commands: making a folder, asking for space, removing."""
KEY_KINDS = (
    ("ssh-ed25519",),
    ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"),
    ("rsa-sha2-512", "rsa-sha2-256"),
)
KEY_ORDERS = tuple(
    tuple(name for kind in (*KEY_KINDS[first:], *KEY_KINDS[:first]) for name in kind) for first in range(len(KEY_KINDS))
)
"""Kinds of host keys, each once the first: a host has several, and shows the one that is asked for first."""


@dataclass(frozen=True)
class SshPlace:
    """Where to connect to, and how.

    Attributes:
        host: Name, address, or alias of ~/.ssh/config.
        port: None for 22, or what ~/.ssh/config says.
        user: "" for this machine's user, or what ~/.ssh/config says.
        key: File of a private key; None for the agent's and the usual ones in ~/.ssh.
        host_key: Fingerprint "SHA256:..." that the host must have; "" to look it up in `known_hosts`.
        known_hosts: None for ~/.ssh/known_hosts.
        config: Whether ~/.ssh/config is read.
    """

    host: str
    port: int | None = None
    user: str = ""
    key: Path | None = None
    host_key: str = ""
    known_hosts: Path | None = None
    config: bool = True

    @property
    def known_name(self) -> str:
        """How known_hosts files call it."""
        return f"[{self.host}]:{self.port}" if self.port not in (None, 22) else self.host


class SshConnection:
    """A connection that is up, until it is lost or closed."""

    def __init__(self, place: SshPlace, device: str, *, timeout_s: float = CONNECT_S) -> None:
        """Connect and log in.

        Args:
            place: Where to.
            device: URI for error messages.
            timeout_s: For the whole way in.

        Raises:
            InputError: A file that `place` names is not there, or the fingerprint is none.
            DeviceError: Any reason why it does not come about.
        """
        self.device = device
        self._place = place
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True, name=f"ssh {place.host}")
        self._thread.start()
        try:
            self.client = self._connect(timeout_s)
        except BaseException:
            self._stop()
            raise

    @property
    def is_lost(self) -> bool:
        """Whether it is down."""
        return bool(self.client.is_closed())

    def run(self, work: Awaitable[T], timeout_s: float | None = None) -> T:
        """What something of asyncssh comes to; cancelled when the caller is interrupted.

        Raises:
            TimeoutError: It took longer.
        """
        future = asyncio.run_coroutine_threadsafe(_await(work), self._loop)
        try:
            return future.result(timeout_s)
        except BaseException:
            future.cancel()
            raise

    def ask(self, command: str, *, stdin: bytes = b"", timeout_s: float | None = COMMAND_S) -> tuple[int, bytes, str]:
        """Exit code, output and standard error of a short command.

        Args:
            command: For the shell there.
            stdin: Its whole standard input.
            timeout_s: None when it may take as long as the connection lives.

        Raises:
            DeviceError: The connection was lost.
            DeviceTimeoutError: It takes too long.
        """
        source = {"input": stdin} if stdin else {"stdin": asyncssh.DEVNULL}
        try:
            done = self.run(self.client.run(command, encoding=None, **source), timeout_s)
        except TimeoutError as error:
            raise DeviceTimeoutError(f"no answer for {timeout_s:g} s", device=self.device) from error
        except FAILURES as error:
            raise self.explain_loss(error) from error
        out, complaint = (_bytes(text) for text in (done.stdout, done.stderr))
        return (-1 if done.returncode is None else done.returncode), out, complaint.decode(errors="replace")

    def explain_loss(self, error: Exception | None) -> DeviceError:
        """The error for a connection that went away under a running command."""
        reason = f" ({_reason(error)})" if error is not None and str(error) else ""
        if isinstance(error, asyncssh.ChannelOpenError) and not self.is_lost:
            return DeviceError(
                f"the host runs no command{reason}", device=self.device, hint="may this user run commands over ssh?"
            )
        return DeviceError(
            f"the connection was lost{reason}",
            device=self.device,
            hint="see that it has power and network, and run again; results so far are kept",
        )

    def close(self) -> None:
        """Disconnect; never raises."""
        with suppress(*FAILURES):
            self._loop.call_soon_threadsafe(self.client.close)
            self.run(self.client.wait_closed(), 2.0)
        self._stop()

    def _connect(self, timeout_s: float) -> asyncssh.SSHClientConnection:
        """Ask for the kinds of keys that are known, or in turn for each when a fingerprint does not tell the kind."""
        trust = Trust(self._place.host_key, self._place.known_hosts, self._place.known_name)
        options = _options(self._place, self.device, trust, timeout_s)
        refused: Exception | None = None
        for kinds in KEY_ORDERS if trust.is_pinned else ((), KEY_ORDERS[0]):
            try:
                connecting = asyncssh.connect(self._place.host, **options, server_host_key_algs=kinds)
                return self.run(connecting, timeout_s + 5)
            except asyncssh.HostKeyNotVerifiable as error:
                refused = error
                if not trust.is_pinned:
                    break
            except asyncssh.PermissionDenied as error:
                raise self._explain_login() from error
            except (asyncssh.KeyImportError, asyncssh.ConfigParseError) as error:
                raise DeviceError(
                    f"a file in ~/.ssh cannot be used ({type(error).__name__})",
                    device=self.device,
                    hint="name a key with ?key=FILE, and see that ~/.ssh/config is one for ssh",
                ) from error
            except (*FAILURES, UnicodeError) as error:  # UnicodeError: a name that none can have
                if kinds or not trust.expects_other_key(error):
                    raise explain_unreachable(error, self._place, self.device, timeout_s=timeout_s) from error
        assert refused is not None
        raise trust.explain(refused, self.device) from refused

    def _explain_login(self) -> DeviceError:
        user = f"'{self._place.user}'" if self._place.user else "this user"
        key = f"the key {self._place.key}" if self._place.key else "any key of the ssh agent and of ~/.ssh"
        login = f"{self._place.user}@{self._place.host}" if self._place.user else self._place.host
        port = f" -p {self._place.port}" if self._place.port else ""
        return DeviceError(
            f"the host does not let {user} in with {key}",
            device=self.device,
            hint=f"put yours there once with ssh-copy-id{port} {login}, or name another with ?key=FILE",
        )

    def _stop(self) -> None:
        async def cancel_all() -> None:
            tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        with suppress(TimeoutError):
            self.run(cancel_all(), 2.0)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5.0)
        if not self._thread.is_alive():
            self._loop.close()


def explain_unreachable(error: Exception, place: SshPlace, device: str, *, timeout_s: float) -> DeviceError:
    """Why no connection came about, from what the network said.

    Args:
        error: From asyncssh or the socket.
        place: Where to.
        device: URI for the message.
        timeout_s: That was given.
    """
    if isinstance(error, TimeoutError):
        return DeviceTimeoutError(
            f"no answer within {timeout_s:g} s", device=device, hint="is it on, and is this its address?"
        )
    if isinstance(error, (socket.gaierror, UnicodeError)):
        return DeviceError(
            f"there is no host '{place.host}'", device=device, hint="check the name, or give its address"
        )
    codes = {getattr(error, "errno", None)} | {int(code) for code in re.findall(r"\[Errno (\d+)\]", str(error))}
    if errno.ECONNREFUSED in codes:
        return DeviceError(
            f"the host is up, but no ssh server answers at port {place.port or '22, or that of ~/.ssh/config'}",
            device=device,
            hint="start its ssh server: sudo systemctl enable --now ssh, or raspi-config; or give another port",
        )
    if codes & {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ETIMEDOUT}:
        return DeviceError(
            "the host is down or in another network", device=device, hint="is it on, and is this its address?"
        )
    return DeviceError(f"no connection: {_reason(error)}", device=device, hint="does `ssh` get in?")


def _options(place: SshPlace, device: str, trust: Trust, timeout_s: float) -> dict[str, Any]:
    class Client(asyncssh.SSHClient):
        def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
            return trust.accept(key)

    options: dict[str, Any] = {
        "client_factory": Client,
        "known_hosts": trust.match,
        "keepalive_interval": KEEPALIVE_S,
        "keepalive_count_max": KEEPALIVE_COUNT,
        "connect_timeout": timeout_s,
        "login_timeout": timeout_s,
        "preferred_auth": ("publickey",),
    }
    if place.port:
        options["port"] = place.port
    if place.user:
        options["username"] = place.user
    if place.key is not None:
        options["client_keys"] = [read_key(place.key, device)]
        options["agent_path"] = None
    if not place.config:
        options["config"] = None
    return options


async def _await(work: Awaitable[T]) -> T:
    """Much of asyncssh can be awaited but is no coroutine."""
    return await work


def _reason(error: Exception | None) -> str:
    return str(getattr(error, "reason", "") or error).strip().rstrip(".")


def _bytes(text: bytes | str | None) -> bytes:
    return text.encode() if isinstance(text, str) else text or b""
