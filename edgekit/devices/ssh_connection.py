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
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from edgekit.errors import DeviceError, DeviceTimeoutError, InputError, MissingExtraError

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
        trust = _Trust(self._place)
        options = _options(self._place, self.device, trust, timeout_s)
        is_pinned = bool(self._place.host_key)
        refused: Exception | None = None
        for kinds in KEY_ORDERS if is_pinned else ((), KEY_ORDERS[0]):
            try:
                connecting = asyncssh.connect(self._place.host, **options, server_host_key_algs=kinds)
                return self.run(connecting, timeout_s + 5)
            except asyncssh.HostKeyNotVerifiable as error:
                refused = error
                if not is_pinned:
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


class _Trust:
    """Decides about a host's key, and remembers what it saw for the message."""

    def __init__(self, place: SshPlace) -> None:
        self._place = place
        self._file = place.known_hosts or Path.home() / ".ssh" / "known_hosts"
        self._known: list[asyncssh.SSHKey] = []
        self._seen: list[asyncssh.SSHKey] = []
        self._entries = None if place.host_key else self._read()

    def match(self, host: str, address: str, port: int | None) -> Sequence[Any]:
        """asyncssh asks here what known_hosts says."""
        if self._entries is None:
            return ((),) * 7
        found: Sequence[Any] = self._entries.match(host, address, port)
        self._known = list(found[0])
        return found

    def accept(self, key: asyncssh.SSHKey) -> bool:
        """asyncssh asks here about a key that known_hosts does not have."""
        if key not in self._seen:
            self._seen.append(key)
        return bool(self._place.host_key) and key.get_fingerprint("sha256") == self._place.host_key

    def expects_other_key(self, error: Exception) -> bool:
        """Whether the host may have hung up because it has no key of a kind that known_hosts has."""
        hung_up = isinstance(error, (asyncssh.KeyExchangeFailed, asyncssh.ConnectionLost, ConnectionError))
        return hung_up and bool(self._known) and not self._seen

    def explain(self, error: Exception, device: str) -> DeviceError:
        """Why the host was refused."""
        seen = ", ".join(f"{_family(key)} {key.get_fingerprint('sha256')}" for key in self._seen)
        if self._place.host_key:
            return DeviceError(
                f"the host's key is not the pinned {self._place.host_key}; it showed {seen}",
                device=device,
                hint="another machine answers, or it was set up anew: do not go on before you know which",
            )
        if self._known:
            known = ", ".join(f"{_family(key)} {key.get_fingerprint('sha256')}" for key in self._known)
            return DeviceError(
                f"the host's key has changed: {self._file} has {known}, it showed {seen}",
                device=device,
                hint="another machine may be answering; if it was set up anew, remove the old line with "
                f"ssh-keygen -f {self._file} -R '{self._name()}'",
            )
        if not self._seen:
            return DeviceError(f"the host cannot be trusted: {_reason(error)}", device=device, hint=f"see {self._file}")
        key = self._seen[-1]
        return DeviceError(
            f"the host is not known: {self._file} has no line for it, and it showed {seen}",
            device=device,
            hint=f"compare it with what ssh-keygen -lf /etc/ssh/ssh_host_{_family(key)}_key.pub prints there, then "
            f"pin it with ?hostkey={key.get_fingerprint('sha256')}, or log in once with ssh",
        )

    def _read(self) -> asyncssh.SSHKnownHosts | None:
        if self._place.known_hosts is not None and not self._file.is_file():
            raise InputError(f"there is no known_hosts file {self._file}")
        if not self._file.is_file():
            return None
        try:
            return asyncssh.read_known_hosts(str(self._file))
        except (OSError, ValueError, asyncssh.KeyImportError) as error:
            raise InputError(f"{self._file} cannot be read: {error}", hint="pin the host with ?hostkey=") from error

    def _name(self) -> str:
        port = self._place.port
        return f"[{self._place.host}]:{port}" if port and port != 22 else self._place.host


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


def _options(place: SshPlace, device: str, trust: _Trust, timeout_s: float) -> dict[str, Any]:
    class Client(asyncssh.SSHClient):
        def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
            return trust.accept(key)

    if place.host_key and not re.fullmatch(r"SHA256:[A-Za-z0-9+/]{43}", place.host_key):
        raise InputError(
            f"hostkey={place.host_key} is no fingerprint", hint="ssh-keygen -lf prints it: SHA256: and 43 letters"
        )
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
        options["client_keys"] = [_read_key(place.key, device)]
        options["agent_path"] = None
    if not place.config:
        options["config"] = None
    return options


def _read_key(file: Path, device: str) -> asyncssh.SSHKey:
    """A private key; its contents are in no message."""
    try:
        return asyncssh.read_private_key(str(file))
    except OSError as error:
        raise DeviceError(
            f"the key {file} cannot be read: {error.strerror}", device=device, hint="?key= takes the private one"
        ) from error
    except asyncssh.KeyEncryptionError as error:
        raise DeviceError(f"the key {file} cannot be decrypted", device=device, hint=f"ssh-add {file}") from error
    except asyncssh.KeyImportError as error:
        if "passphrase" in str(error).lower():
            raise DeviceError(
                f"the key {file} has a passphrase, which edgekit does not ask for",
                device=device,
                hint=f"give it to the agent with ssh-add {file}, and leave ?key= out",
            ) from error
        raise DeviceError(f"{file} is no private key", device=device, hint="?key= takes the private one") from error


async def _await(work: Awaitable[T]) -> T:
    """Much of asyncssh can be awaited but is no coroutine."""
    return await work


def _family(key: asyncssh.SSHKey) -> str:
    algorithm = key.algorithm.decode()
    return next((name for name in ("ed25519", "ecdsa", "rsa") if name in algorithm), algorithm)


def _reason(error: Exception | None) -> str:
    return str(getattr(error, "reason", "") or error).strip().rstrip(".")


def _bytes(text: bytes | str | None) -> bytes:
    return text.encode() if isinstance(text, str) else text or b""
