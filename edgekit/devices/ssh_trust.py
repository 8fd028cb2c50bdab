"""Trust: whether the machine that answers is the one that was meant; and the key that we show it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgekit.errors import DeviceError, InputError, MissingExtraError

try:
    import asyncssh
except ImportError as error:
    raise MissingExtraError("asyncssh", extra="bench") from error


class Trust:
    """Decides about a host's key, and remembers what it saw for the message."""

    def __init__(self, fingerprint: str, file: Path | None, name: str) -> None:
        """Read the known hosts, unless a fingerprint is pinned.

        Args:
            fingerprint: "SHA256:..." that the host must have, or "".
            file: Of known hosts; None for ~/.ssh/known_hosts.
            name: Of the host in that file, for messages.

        Raises:
            InputError: No fingerprint, no such file, or one that cannot be read.
        """
        if fingerprint and not re.fullmatch(r"SHA256:[A-Za-z0-9+/]{43}", fingerprint):
            raise InputError(
                f"hostkey={fingerprint} is no fingerprint", hint="ssh-keygen -lf prints it: SHA256: and 43 letters"
            )
        self._fingerprint = fingerprint
        self._file = file or Path.home() / ".ssh" / "known_hosts"
        self._name = name
        self._known: list[asyncssh.SSHKey] = []
        self._seen: list[asyncssh.SSHKey] = []
        self._entries = None if fingerprint else _read_entries(self._file, is_needed=file is not None)

    @property
    def is_pinned(self) -> bool:
        """Whether the host must have one key, whatever known_hosts says."""
        return bool(self._fingerprint)

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
        return key.get_fingerprint("sha256") == self._fingerprint

    def expects_other_key(self, error: Exception) -> bool:
        """Whether the host may have hung up because it has no key of a kind that known_hosts has."""
        hung_up = isinstance(error, (asyncssh.KeyExchangeFailed, asyncssh.ConnectionLost, ConnectionError))
        return hung_up and bool(self._known) and not self._seen

    def explain(self, error: Exception, device: str) -> DeviceError:
        """Why the host was refused."""
        seen = ", ".join(f"{_family(key)} {key.get_fingerprint('sha256')}" for key in self._seen)
        if self._fingerprint:
            return DeviceError(
                f"the host's key is not the pinned {self._fingerprint}; it showed {seen}",
                device=device,
                hint="another machine answers, or it was set up anew: do not go on before you know which",
            )
        if self._known:
            known = ", ".join(f"{_family(key)} {key.get_fingerprint('sha256')}" for key in self._known)
            return DeviceError(
                f"the host's key has changed: {self._file} has {known}, it showed {seen}",
                device=device,
                hint="another machine may be answering; if it was set up anew, remove the old line with "
                f"ssh-keygen -f {self._file} -R '{self._name}'",
            )
        if not self._seen:
            return DeviceError(f"the host cannot be trusted: {error}", device=device, hint=f"see {self._file}")
        key = self._seen[-1]
        return DeviceError(
            f"the host is not known: {self._file} has no line for it, and it showed {seen}",
            device=device,
            hint=f"compare it with what ssh-keygen -lf /etc/ssh/ssh_host_{_family(key)}_key.pub prints there, then "
            f"pin it with ?hostkey={key.get_fingerprint('sha256')}, or log in once with ssh",
        )


def read_key(file: Path, device: str) -> asyncssh.SSHKey:
    """A private key; nothing of its contents is in any message.

    Args:
        file: As OpenSSH or PEM writes it.
        device: URI for messages.

    Raises:
        DeviceError: It is not there, is none, or has a passphrase.
    """
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


def _read_entries(file: Path, *, is_needed: bool) -> asyncssh.SSHKnownHosts | None:
    if not file.is_file():
        if is_needed:
            raise InputError(f"there is no known_hosts file {file}")
        return None
    try:
        return asyncssh.read_known_hosts(str(file))
    except (OSError, ValueError) as error:
        raise InputError(f"{file} cannot be read: {error}", hint="pin the host with ?hostkey=") from error


def _family(key: asyncssh.SSHKey) -> str:
    algorithm = key.algorithm.decode()
    return next((name for name in ("ed25519", "ecdsa", "rsa") if name in algorithm), algorithm)
