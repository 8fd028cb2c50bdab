"""What a server is told about who asks: a token from the environment, or a password from the user's netrc file.

A credential belongs to one host. Sources are strangers, so EDGEKIT_TOKEN, which names no host, goes out only with
writes: whoever writes has named one destination. Reads send what netrc has under exactly that host. Neither is sent
over a connection that anybody can read.
"""

from __future__ import annotations

import base64
import netrc
import os
import re
from pathlib import Path
from urllib.parse import urlsplit

from edgekit.errors import InputError
from edgekit.transport.addresses import is_loopback

TOKEN_VARIABLE = "EDGEKIT_TOKEN"
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
"""RFC 6750, section 2.1."""


def authorize_read(url: str) -> dict[str, str]:
    """Headers for reading; none where netrc has nothing for the host, or the connection is not encrypted.

    Raises:
        InputError: The netrc file cannot be read.
    """
    return _basic(url) if is_private(url) else {}


def authorize_write(url: str) -> dict[str, str]:
    """Headers for writing: the token of the environment, else what netrc has for the host.

    Raises:
        InputError: There is a credential, but the connection is not encrypted; or one cannot be used.
    """
    token = os.environ.get(TOKEN_VARIABLE, "")
    if token and not _TOKEN.fullmatch(token):
        raise InputError(f"{TOKEN_VARIABLE} holds something that is no bearer token (RFC 6750)")
    headers = {"authorization": f"Bearer {token}"} if token else _basic(url)
    if headers and not is_private(url):
        raise InputError(
            f"{url}: a credential would be sent there for everybody on the way to read", hint="write https://"
        )
    return headers


def is_private(url: str) -> bool:
    """Whether nobody on the way can read what is sent: https, or this machine."""
    parts = urlsplit(url)
    return parts.scheme == "https" or is_loopback(parts.hostname or "")


def _basic(url: str) -> dict[str, str]:
    place = Path(os.environ.get("NETRC") or Path.home() / ".netrc")
    if not place.is_file():
        return {}
    try:
        # Not `authenticators`, which hands the entry "default" to any host.
        found = netrc.netrc(str(place)).hosts.get(urlsplit(url).hostname or "")
    except (netrc.NetrcParseError, OSError, UnicodeDecodeError) as error:
        line = f", line {error.lineno}" if isinstance(error, netrc.NetrcParseError) else ""
        raise InputError(f"{place}{line}: cannot be read as a netrc file") from None  # the text may hold a password
    if found is None:
        return {}
    login, _, password = found
    return {"authorization": "Basic " + base64.b64encode(f"{login}:{password}".encode()).decode()}
