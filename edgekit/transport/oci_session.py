"""Requests to one registry: tokens and errors, so that `oci_registry` only says what it wants.

A password goes to the registry, and to the token service that the registry names, over TLS; a token goes to the
registry alone. Blobs may lie on another server, to which a redirect leads: that one is shown nothing.
Source: OCI distribution specification 1.1; the CNCF distribution project's "Token authentication".
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from urllib.parse import urlencode, urljoin, urlsplit

from edgekit.errors import AbsentError, LengthError, MalformedError, TransferError
from edgekit.transport.addresses import is_loopback
from edgekit.transport.oci_credentials import Credentials
from edgekit.transport.oci_place import OciPlace
from edgekit.transport.patience import Patience
from edgekit.transport.web import Answer, Web
from edgekit.types.strict_json import read_strict

PULL, PUSH = "pull", "pull,push"
"""What a token allows, in the words of the token specification."""
LARGEST_TOKEN_BYTES = 2**16
LARGEST_COMPLAINT_BYTES = 2**12
LARGEST_CHALLENGE = 4096
TOKEN_LIFE_S = 60.0
"""Of a token that does not say how long it holds (token specification)."""
SLACK_S = 10.0
_BEARER = re.compile(r"(?i)\bbearer +(.+)")
_PARAMETER = re.compile(r'([A-Za-z]{1,32})="([^"]{0,2048})"')
_TOKEN = re.compile(r"[\x21-\x7e]{1,32768}")
_URL = re.compile(r"[!-~]{1,4096}")
_PORTS = {"http": 80, "https": 443}


class OciSession:
    """Requests to one repository of a registry. May be used from several threads at once.

    Attributes:
        place: The repository.
    """

    def __init__(
        self, place: OciPlace, credentials: Callable[[], Credentials | None], *, patience: Patience | None = None
    ) -> None:
        """Make no request yet.

        Args:
            place: The repository.
            credentials: Asked when the registry wants to know who we are.
            patience: Bounds on waiting.
        """
        self.place = place
        self._web = Web(str(place), patience=patience)
        self._credentials = credentials
        self._authorized: dict[str, tuple[str, float]] = {}  # actions -> header, and when it ends

    def close(self) -> None:
        """Let go of connections."""
        self._web.close()

    def url(self, path: str) -> str:
        """Of something in the repository: "manifests/latest"."""
        return f"{self.place.origin}/v2/{self.place.repository}/{path}"

    @contextmanager
    def request(
        self,
        method: str,
        url: str,
        *,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        actions: str = PULL,
    ) -> Iterator[Answer]:
        """Send a request; leaving the block ends the transfer of what comes back.

        Args:
            method: GET, HEAD, POST, PUT or PATCH.
            url: Absolute, of this registry or of where it has led.
            content: Body.
            headers: Beside those of every request.
            actions: What a token has to allow: PULL or PUSH.

        Raises:
            TransferError: The connection breaks, or the registry wants what must not be done.
            StalledError: It does not answer.
        """
        with self._ask(method, url, content, headers, actions) as answer:
            if answer.status != 401 or not self._is_own(answer.url):
                yield answer
                return
            challenge = answer.headers.get("www-authenticate", "")
        self._authorize(challenge, actions)
        with self._ask(method, url, content, headers, actions) as answer:
            yield answer

    @contextmanager
    def send(
        self, method: str, url: str, content: Iterable[bytes], *, size_bytes: int, actions: str
    ) -> Iterator[Answer]:
        """As `request`, for a body that comes only once; a token must have been asked for by an earlier request."""
        headers = {"Content-Type": "application/octet-stream", **self._authorization(url, actions)}
        with self._web.ask(method, url, headers=headers, content=content, size_bytes=size_bytes) as answer:
            yield answer

    def follow(self, url: str, target: str) -> str:
        """Where the registry leads to: TLS everywhere but on this machine, and there only if it is there itself.

        Args:
            url: What was asked.
            target: What it answered, absolute or relative to `url`.

        Raises:
            TransferError: To something that is no URL, or has no TLS.
        """
        try:
            found = urljoin(url, target)
            scheme, host, _ = _server(found)
        except ValueError:
            found, scheme, host = "", "", ""
        if not host or not _URL.fullmatch(found):
            raise TransferError("leads to something that is no URL", source=str(self.place))
        if scheme == "https" or (scheme == "http" and self.place.origin.startswith("http:") and is_loopback(host)):
            return found.partition("#")[0]
        raise TransferError(
            f"leads to {scheme[:8]}://{host[:80]}, which has no TLS",
            source=str(self.place),
            hint="plain HTTP is spoken with registries on this machine alone; put TLS in front of the other",
        )

    def _ask(
        self, method: str, url: str, content: bytes | None, headers: Mapping[str, str] | None, actions: str
    ) -> AbstractContextManager[Answer]:
        sent = {**(headers or {}), **self._authorization(url, actions)}
        return self._web.ask(method, url, headers=sent, content=content)

    def _authorization(self, url: str, actions: str) -> dict[str, str]:
        header, ends = self._authorized.get(actions, ("", 0.0))
        return {"Authorization": header} if header and self._is_own(url) and time.monotonic() < ends else {}

    def _is_own(self, url: str) -> bool:
        """Whether a URL is of this very server: scheme, host and port."""
        return _server(url) == _server(self.place.origin)

    def _authorize(self, challenge: str, actions: str) -> None:
        """Answer a 401: with the password itself, or with a token that the named service gives for it."""
        mine = self._credentials()
        bearer = _BEARER.search(challenge[:LARGEST_CHALLENGE])
        named = {key.lower(): value for key, value in _PARAMETER.findall(bearer[1] if bearer else "")}
        if named.get("realm"):
            token, life_s = self._ask_token(named["realm"], named.get("service", ""), actions, mine)
            self._authorized[actions] = (f"Bearer {token}", time.monotonic() + max(life_s - SLACK_S, SLACK_S))
        elif challenge[:6].lower() == "basic " and mine is not None and mine.user:
            self._authorized[actions] = (mine.basic, float("inf"))
        else:
            raise TransferError("it wants a password", source=str(self.place), status=401, hint=self._login())

    def _ask_token(self, realm: str, service: str, actions: str, mine: Credentials | None) -> tuple[str, float]:
        """A token for this repository and no more, whatever scope the challenge asks for, and its life in seconds."""
        realm = self.follow(self.place.origin, realm)
        wanted = {"service": service, "scope": f"repository:{self.place.repository}:{actions}"}
        method, content, headers = "GET", None, {}
        if mine is not None and mine.refresh_token:
            form = {"grant_type": "refresh_token", "refresh_token": mine.refresh_token, "client_id": "edgekit"}
            method, content = "POST", urlencode({**form, **wanted}).encode()
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        else:
            realm += ("&" if "?" in realm else "?") + urlencode(wanted)
            if mine is not None:
                headers["Authorization"] = mine.basic
        with self._web.ask(method, realm, headers=headers, content=content, redirects=False) as answer:
            if answer.status != 200:
                raise TransferError(
                    f"its token service answers {answer.status}{_complaint(answer)}",
                    source=str(self.place),
                    status=answer.status,
                    hint=self._login(),
                )
            data = read_capped(answer, LARGEST_TOKEN_BYTES)
        try:
            found = read_strict(data, where="the answer of the token service", limit_bytes=LARGEST_TOKEN_BYTES)
        except MalformedError:
            found = None
        found = found if isinstance(found, dict) else {}
        token, life_s = found.get("token") or found.get("access_token"), found.get("expires_in", TOKEN_LIFE_S)
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            raise TransferError("its token service gave no token", source=str(self.place))
        return token, float(life_s) if isinstance(life_s, int | float) else TOKEN_LIFE_S

    def _login(self) -> str:
        return f"`docker login {self.place.host}`, or an entry for {self.place.host} in docker's config.json"

    def refused(self, answer: Answer, what: str) -> TransferError:
        """The error that an answer stands for, with what the registry says about it.

        Args:
            answer: The answer, not read yet.
            what: What was asked, for the message: "manifest 1.2.0".
        """
        status = answer.status
        if status == 404:
            return AbsentError(f"there is no {what}", source=str(self.place), status=404)
        said = _complaint(answer)
        return TransferError(
            f"{what}: answered {status}{said}",
            source=str(self.place),
            status=status,
            hint=self._login() if status in (401, 403) else "",
        )


def read_capped(answer: Answer, limit_bytes: int) -> bytes:
    """The body of an answer.

    Raises:
        LengthError: It is longer than `limit_bytes`.
        TransferError: The connection breaks.
        StalledError: Nothing came for too long.
    """
    found = bytearray()
    for chunk in answer.body():
        found += chunk
        if len(found) > limit_bytes:
            raise LengthError(f"sends more than {limit_bytes} bytes", limit_bytes=limit_bytes, source=answer.source)
    return bytes(found)


def _complaint(answer: Answer) -> str:
    """What a registry says of its refusal, printable and short: ": DENIED requested access is denied"."""
    with suppress(LengthError, MalformedError, TransferError, LookupError, TypeError):
        data = read_capped(answer, LARGEST_COMPLAINT_BYTES)
        first = read_strict(data, where="", limit_bytes=LARGEST_COMPLAINT_BYTES)["errors"][0]
        text = f"{first['code']} {first.get('message', '')}"
        return ": " + "".join(letter if letter.isprintable() else "?" for letter in text[:200])
    return ""


def _server(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port of a URL.

    Raises:
        ValueError: It is none.
    """
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or _PORTS.get(parts.scheme)
