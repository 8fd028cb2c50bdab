"""Who we are to a registry: what `docker login` has left in docker's config.json.

Read are `auths` and the credential helpers of `credHelpers` and `credsStore`, as docker, skopeo and oras do. The file
is the user's own; nothing of it is ever shown.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgekit.errors import InputError, MalformedError
from edgekit.types.strict_json import read_strict

LARGEST_CONFIG_BYTES = 2**20
HELPER_TIMEOUT_S = 30.0
_HELPER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_BY_TOKEN = "<token>"
"""The user name by which a credential helper says that its secret is a refresh token."""


@dataclass(frozen=True)
class Credentials:
    """What to show to one registry.

    Attributes:
        user: Name of the account; "" with a refresh token.
        password: Its password, or a token that is used as one.
        refresh_token: An OAuth 2 refresh token, which docker calls identity token; "" where there is none.
    """

    user: str
    password: str = field(repr=False)
    refresh_token: str = field(default="", repr=False)

    @property
    def basic(self) -> str:
        """The value of an Authorization header, RFC 7617."""
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode("ascii")


def config_path(environment: Mapping[str, str] = os.environ) -> Path:
    """Where docker's config.json is: below DOCKER_CONFIG, else below ~/.docker."""
    folder = environment.get("DOCKER_CONFIG")
    return (Path(folder) if folder else Path.home() / ".docker") / "config.json"


def find_credentials(host: str, path: Path | None = None) -> Credentials | None:
    """What the user's configuration has for a registry.

    Args:
        host: With ":PORT" where the URL has one.
        path: The config.json; None for docker's own.

    Returns:
        None where there is no file, or nothing in it for that host.

    Raises:
        InputError: The file cannot be read, or a credential helper fails.
    """
    place = path or config_path()
    try:
        with place.open("rb") as file:
            data = file.read(LARGEST_CONFIG_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise InputError(f"{place} cannot be read: {error.strerror}") from error
    try:
        config = _object(read_strict(data, where=str(place), limit_bytes=LARGEST_CONFIG_BYTES))
    except MalformedError as error:
        raise InputError(str(error), hint="`docker login` writes it anew") from error
    helper = _by_host(_object(config.get("credHelpers")), host) or config.get("credsStore")
    if isinstance(helper, str) and helper:
        return _ask_helper(helper, host)
    return _from_entry(_object(_by_host(_object(config.get("auths")), host)), place)


def _from_entry(entry: Mapping[str, Any], place: Path) -> Credentials | None:
    user, password = entry.get("username"), entry.get("password")
    if isinstance(entry.get("auth"), str) and entry["auth"]:
        try:
            user, colon, password = base64.b64decode(entry["auth"], validate=True).decode("utf-8").partition(":")
        except (binascii.Error, UnicodeDecodeError):
            colon = ""
        if not colon:
            raise InputError(f"{place} has an entry that is no user and password", hint="`docker login` writes it anew")
    token = entry.get("identitytoken")
    if not isinstance(token, str):
        token = ""
    if not token and not (isinstance(user, str) and isinstance(password, str) and user):
        return None
    return Credentials(str(user or ""), str(password or ""), token)


def _ask_helper(helper: str, host: str) -> Credentials | None:
    """By docker's protocol: the host on standard input, JSON on standard output; exit code 1 for "have none"."""
    if not _HELPER.fullmatch(helper):
        raise InputError(f"docker's config.json names a credential helper that is no name: {helper[:80]!r}")
    program = f"docker-credential-{helper}"
    try:
        done = subprocess.run(
            [program, "get"], input=host.encode(), capture_output=True, timeout=HELPER_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InputError(
            f"the credential helper {program} did not answer ({type(error).__name__})",
            hint="docker's config.json names it, under credsStore or credHelpers",
        ) from error
    if done.returncode != 0:
        return None  # helpers say "credentials not found" this way; the registry says whether that matters
    try:
        answer = _object(read_strict(done.stdout, where=program, limit_bytes=LARGEST_CONFIG_BYTES))
    except MalformedError:
        raise InputError(
            f"the credential helper {program} did not answer with JSON"
        ) from None  # its text may hold the secret
    user, secret = answer.get("Username"), answer.get("Secret")
    if not isinstance(user, str) or not isinstance(secret, str):
        return None
    return Credentials("", "", secret) if user == _BY_TOKEN else Credentials(user, secret)


def _by_host(entries: Mapping[str, Any], host: str) -> Any:
    """The entry of a host; older versions of docker wrote URLs instead of hosts."""
    if host in entries:
        return entries[host]
    for key, entry in entries.items():
        if key.partition("://")[2].partition("/")[0] == host:
            return entry
    return None


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
