"""DeviceUri: where a device is and how to get in, as one word on a command line.

    local:                                this machine
    ssh://user@host:port                  any machine with an ssh server (Pi, Jetson, Termux)
    adb:SERIAL                            Android, through the adb binary; HOST:PORT is a serial too
    qemu-user:CPU, qemu-system:CPU        emulated ARM

Options follow a `?`: `ssh://pi@10.0.0.7?hostkey=SHA256:...&python=/opt/py/bin/python3`. Values are percent-decoded; a
`+` stays a `+`, since fingerprints have some.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

from edgekit.errors import InputError

SHOWN = ("python", "transport", "folder")
"""Options that a report may repeat; any other can name a file of the user, or be a secret."""
SSH = re.compile(
    r"//(?:(?P<user>[^@/:]*)(?P<password>:[^@]*)?@)?(?P<host>\[[^\]@]+\]|[^@/:\[\]]+)(?::(?P<port>\d+))?/?"
)
ADDRESSES = {
    "ssh": "ssh://user@host or ssh://user@host:port",
    "adb": "adb:SERIAL, where `adb devices` lists the serial",
    "qemu-user": "qemu-user:cortex-a72, or another CPU that `qemu-aarch64 -cpu help` lists",
    "qemu-system": "qemu-system:cortex-a76, or another CPU that `qemu-system-aarch64 -M virt -cpu help` lists",
}
"""Kinds that need an address, and how it is written."""


@dataclass(frozen=True)
class DeviceUri:
    """A device as the user named it.

    Attributes:
        kind: Row of the table of devices: "ssh".
        address: What follows the colon, up to the options: "//pi@10.0.0.7", "cortex-a72".
        options: Name -> value, decoded.
    """

    kind: str
    address: str = ""
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def display(self) -> str:
        """The URI without what concerns only the user's machine: keys, files, and options nobody knows.

        >>> parse_uri("ssh://pi@10.0.0.7?key=/home/me/.ssh/id&python=python3.12").display
        'ssh://pi@10.0.0.7?python=python3.12'
        """
        shown = [f"{name}={value}" for name, value in self.options.items() if name in SHOWN]
        return f"{self.kind}:{self.address}" + ("?" + "&".join(shown) if shown else "")

    @property
    def python(self) -> tuple[str, ...]:
        """Words of `?python=`, split as a shell would; empty when it is not given.

        Raises:
            InputError: A quote is not closed.
        """
        try:
            return tuple(shlex.split(self.options.get("python", "")))
        except ValueError as error:
            raise InputError(f"{self.display}: python={self.options['python']}: {error}") from error

    def allow(self, *names: str) -> None:
        """Refuse options that the device does not have.

        Args:
            names: Those it has.

        Raises:
            InputError: Another one was given.
        """
        for name in self.options:
            if name not in names:
                known = ", ".join(f"?{known}=" for known in names)
                raise InputError(f"'{self.display}' has no option '{name}'", hint=f"{self.kind}: has {known}")


@dataclass(frozen=True)
class SshAddress:
    """The parts of an ssh address.

    Attributes:
        user: "" for the one that ssh would take.
        host: Name or address, an IPv6 one without brackets.
        port: None for the one that ssh would take.
    """

    user: str
    host: str
    port: int | None


def parse_uri(text: str) -> DeviceUri:
    """A device from what the user wrote.

    Raises:
        InputError: Not a URI, an address that its kind cannot have, or an option without a value.

    >>> parse_uri("adb:127.0.0.1:5555").address
    '127.0.0.1:5555'
    """
    place, question, query = text.strip().partition("?")
    found = re.fullmatch(r"([a-z][a-z0-9_-]*):(.*)", place)
    if not found:
        raise InputError(
            f"'{_redact(text)}' is no device", hint="write local:, ssh://user@host, adb:SERIAL or qemu-user:CPU"
        )
    uri = DeviceUri(found[1], found[2], _parse_options(query, text) if question else {})
    if uri.kind == "local" and uri.address:
        raise InputError(f"'{uri.display}': this machine has no address", hint="write local:")
    if uri.kind in ADDRESSES and not uri.address.strip("/"):
        raise InputError(f"'{uri.display}' does not say which device", hint=f"write {ADDRESSES[uri.kind]}")
    if uri.kind == "ssh":
        parse_ssh_address(uri)
    return uri


def parse_ssh_address(uri: DeviceUri) -> SshAddress:
    """User, host and port of an ssh device.

    Raises:
        InputError: Something else stands there, or a password.
    """
    found = SSH.fullmatch(uri.address)
    if found and found["password"] is not None:
        raise InputError(
            f"'ssh:{_redact(uri.address)}' has a password, which edgekit takes from nobody",
            hint="log in with a key: ssh-copy-id puts yours there, ?key=FILE picks one",
        )
    if not found or not 0 < int(found["port"] or 22) < 65536:
        raise InputError(f"'ssh:{_redact(uri.address)}' is no address for ssh", hint=f"write {ADDRESSES['ssh']}")
    return SshAddress(
        unquote(found["user"] or ""), found["host"].strip("[]"), int(found["port"]) if found["port"] else None
    )


def _parse_options(query: str, text: str) -> dict[str, str]:
    options: dict[str, str] = {}
    for part in query.split("&"):
        name, equals, value = part.partition("=")
        if not name or not equals or not value:
            raise InputError(
                f"'{_redact(text)}': '{name}' has no value", hint="options are written ?name=value&name=value"
            )
        if name in options:
            raise InputError(f"'{_redact(text)}': '{name}' is given twice")
        options[name] = unquote(value)
    return options


def _redact(text: str) -> str:
    """Without a password and without options, for messages about what could not be parsed."""
    return re.sub(r"//([^@/:]*):[^@]*@", r"//\1:***@", text.partition("?")[0])
