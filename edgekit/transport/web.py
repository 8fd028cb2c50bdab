"""Web: requests to servers that nobody trusts.

One client for everything over HTTP. TLS certificates are always checked. Redirects are followed by hand: a few, never
from https to http, never with a credential to another origin, never from outside into a private network. Encodings are
refused, since no decompressor is to see what a stranger sends. Every wait has an end (`Patience`).

Built on httpcore, the engine of httpx, for its seam at the sockets.
"""

from __future__ import annotations

import os
import re
import ssl
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import unquote, urljoin, urlsplit
from urllib.request import getproxies_environment, proxy_bypass

import httpcore2

from edgekit.errors import InputError, StalledError, TransferError
from edgekit.transport.addresses import is_loopback, is_public
from edgekit.transport.deadline import Backend, Clock
from edgekit.transport.inflow import own_time
from edgekit.transport.patience import Pace, Patience
from edgekit.version import __version__

MOST_REDIRECTS = 5
LONGEST_URL = 4096
SLICE_BYTES = 2**16
_REDIRECTS = (301, 302, 303, 307, 308)
_SECRET = ("authorization", "cookie")
_USER_AGENT = f"edgekit/{__version__}"
CA_VARIABLE = "EDGEKIT_CA_FILE"


class Answer:
    """What a server answered; good inside the block of `Web.ask` only.

    Attributes:
        status: HTTP status.
        headers: Lower-case name -> value; one that came twice is joined by ", ".
        url: Where it came from, redirects followed.
        source: Whom errors name.
        peer: Address of the other end.
    """

    def __init__(self, response: httpcore2.Response, url: str, source: str, clock: Clock, patience: Patience) -> None:
        self.source = source
        self.status = response.status
        self.headers = _join_headers(response.headers)
        self.url = url
        self.peer = response.extensions["network_stream"].get_extra_info("peer")
        self._response = response
        self._clock = clock
        self._pace = Pace(patience, source=source)
        self._silence_s = patience.silence_s

    def close(self) -> None:
        """End the transfer; the connection is kept only where the whole content was read."""
        self._response.close()

    def body(self) -> Iterator[bytes]:
        """The content as it comes, as it is.

        Raises:
            TransferError: The connection broke before the end, or the content is encoded.
            StalledError: It comes too slowly.
        """
        encoding = self.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in ("identity", ""):
            raise TransferError(
                f"answers in the encoding {encoding[:40]!r}, although none was asked for",
                source=self.source,
                status=self.status,
            )
        chunks = iter(self._response.iter_stream())
        while True:
            began = own_time()
            with _translated(self.source), self._clock.within(self._silence_s):
                chunk = next(chunks, None)
            if chunk is None:
                return
            self._pace.count(len(chunk), own_time() - began)
            yield chunk


class Web:
    """Connections to one source and to wherever it redirects; may be used from several threads at once."""

    def __init__(self, source: str, *, home: str = "", patience: Patience | None = None) -> None:
        """Prepare; nothing is contacted yet.

        Args:
            source: URL that errors name.
            home: URL of the source over HTTP, where `source` is none.
            patience: Bounds on waiting.
        """
        self._source = source
        self._home = urlsplit(home or source).netloc
        self._is_outside = False  # the source is on the public internet, as far as is known
        self._patience = patience or Patience()
        self._clock = Clock()
        self._backend = Backend(self._clock)
        self._pools: dict[tuple[str, str], httpcore2.ConnectionPool] = {}
        self._lock = threading.Lock()
        self._closed = False

    @contextmanager
    def ask(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes | Iterable[bytes] | None = None,
        size_bytes: int | None = None,
        redirects: bool = True,
    ) -> Iterator[Answer]:
        """Send a request; the answer, whatever its status, for as long as the block lasts.

        Once the source has answered from a public address, nothing in a private network is asked any more: a URL that
        it named (a token service, the next page), or its own name with another address, leads there as little as a
        redirect.

        Args:
            method: "GET".
            url: Absolute, http or https.
            headers: To send with it.
            content: To send after them.
            size_bytes: Length of `content` where it is no bytes.
            redirects: Follow them, for GET and HEAD; otherwise an answer of status 3xx is the answer.

        Raises:
            TransferError: No connection, a broken one, or redirects without an end.
            StalledError: No answer in time.
        """
        sent = {"user-agent": _USER_AGENT, "accept": "*/*", "accept-encoding": "identity"}
        sent |= {name.lower(): value for name, value in (headers or {}).items()}
        if content is not None:
            sent["content-length"] = str(len(content) if isinstance(content, bytes) else size_bytes)
        answer = self._send(method, url, sent, content, public_only=self._is_outside)
        try:
            outside = is_public(answer.peer)
            if urlsplit(url).netloc == self._home:
                self._is_outside = self._is_outside or outside
            for hop in range(MOST_REDIRECTS + 1):
                place = answer.headers.get("location")
                if not redirects or method not in ("GET", "HEAD") or answer.status not in _REDIRECTS or not place:
                    break
                if hop == MOST_REDIRECTS:
                    raise TransferError(f"redirects more than {MOST_REDIRECTS} times", source=self._source)
                target = self._check_redirect(answer.url, place)
                if _origin(target) != _origin(answer.url):
                    sent = {name: value for name, value in sent.items() if name not in _SECRET}
                answer.close()
                answer = self._send(method, target, sent, None, public_only=outside)
            yield answer
        finally:
            answer.close()

    def close(self) -> None:
        """Let go of all connections, and wake whoever waits on one; nobody is contacted any more."""
        with self._lock:
            self._closed = True
            pools, self._pools = list(self._pools.values()), {}
        self._backend.close()
        for pool in pools:
            pool.close()

    def _send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        content: bytes | Iterable[bytes] | None,
        *,
        public_only: bool,
    ) -> Answer:
        """One request and its answer, without redirects; asked again once where a kept connection had gone stale."""
        patience = self._patience
        proxy = proxy_of(url)
        pool = self._pool(urlsplit(url).scheme, proxy)
        slices = self._paced(content) if content is not None else None
        timeout = {"connect": patience.connect_s, "read": patience.answer_s, "write": patience.answer_s}
        request = httpcore2.Request(
            method,
            url,
            headers=[("host", urlsplit(url).netloc), *headers.items()],
            content=slices,
            extensions={"timeout": timeout},
        )
        self._clock.public_only = public_only and not proxy
        with _translated(self._source), self._clock.within(patience.answer_s):
            try:
                response = pool.handle_request(request)
            except (httpcore2.ReadError, httpcore2.RemoteProtocolError):
                if content is not None or self._closed:
                    raise
                response = pool.handle_request(request)
        return Answer(response, url, self._source, self._clock, patience)

    def _paced(self, content: bytes | Iterable[bytes]) -> Iterator[bytes]:
        """Content in slices; each has the time of an answer to get away, and then the answer has it."""
        for chunk in (content,) if isinstance(content, bytes) else content:
            for begin in range(0, len(chunk), SLICE_BYTES):
                self._clock.extend(self._patience.answer_s)
                yield chunk[begin : begin + SLICE_BYTES]
        self._clock.extend(self._patience.answer_s)

    def _pool(self, scheme: str, proxy: str) -> httpcore2.ConnectionPool:
        """Connections of a kind, made when they are needed first: reading the system's certificates takes its time."""
        with self._lock:
            if (scheme, proxy) not in self._pools:
                context = _tls_context() if scheme == "https" else None
                self._pools[scheme, proxy] = httpcore2.ConnectionPool(
                    ssl_context=context,
                    proxy=_split_proxy(proxy) if proxy else None,
                    max_connections=None,
                    max_keepalive_connections=8,
                    keepalive_expiry=30.0,
                    network_backend=self._backend,
                )
            return self._pools[scheme, proxy]

    def _check_redirect(self, url: str, place: str) -> str:
        """Where a redirect leads.

        Raises:
            TransferError: To no place that is gone to.
        """
        try:
            target = urljoin(url, place).partition("#")[0]
            parts = urlsplit(target)
            good = parts.scheme in ("http", "https") and parts.hostname and "@" not in parts.netloc
            parts.port  # noqa: B018 (raises where it is no number)
        except ValueError:
            good, target = False, place
        if len(target) > LONGEST_URL or not re.fullmatch(r"[!-~]+", target):
            good = False
        if not good:
            raise TransferError(f"redirects to {target[:80]!r}, which is not gone to", source=self._source)
        if urlsplit(url).scheme == "https" and parts.scheme != "https":
            raise TransferError("redirects from https to http, where anybody could listen", source=self._source)
        return target


@contextmanager
def _translated(source: str) -> Iterator[None]:
    """Errors of httpcore as ours."""
    try:
        yield
    except httpcore2.ConnectTimeout as error:
        raise StalledError("no connection in time", source=source) from error
    except httpcore2.TimeoutException as error:
        raise StalledError("did not answer in time", source=source) from error
    except httpcore2.ConnectError as error:
        hint = ""
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            hint = f"a private certificate authority is named by {CA_VARIABLE}=FILE.pem"
        raise TransferError(f"cannot be reached: {error}", source=source, hint=hint) from error
    except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.ProxyError) as error:
        raise TransferError(f"the connection broke: {error}", source=source) from error


def _join_headers(pairs: Iterable[tuple[bytes, bytes]]) -> Mapping[str, str]:
    joined: dict[str, str] = {}
    for raw_name, raw_value in pairs:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        joined[name] = f"{joined[name]}, {value}" if name in joined else value
    return joined


def _origin(url: str) -> tuple[str, str, int]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def _tls_context() -> ssl.SSLContext:
    """The system's certificates, or those that SSL_CERT_FILE or SSL_CERT_DIR name, and EDGEKIT_CA_FILE's beside them.

    Raises:
        InputError: EDGEKIT_CA_FILE holds no certificates.
    """
    context = httpcore2.default_ssl_context()
    file = os.environ.get(CA_VARIABLE)
    if file:
        try:
            context.load_verify_locations(cafile=file)
        except OSError as error:  # ssl.SSLError is one
            raise InputError(
                f"{CA_VARIABLE}={file}: {error.strerror or error}", hint="it names a file of certificates in PEM"
            ) from error
    return context


def proxy_of(url: str) -> str:
    """URL of the proxy that the environment names for a URL: `https_proxy`, `http_proxy`, `no_proxy`; or ""."""
    parts = urlsplit(url)
    proxies = getproxies_environment()
    proxy = proxies.get(parts.scheme) or proxies.get("all") or ""
    if not proxy or is_loopback(parts.hostname or "") or proxy_bypass(parts.netloc):
        return ""
    return proxy


def _split_proxy(proxy: str) -> httpcore2.Proxy:
    """A proxy, and the name and password in its URL.

    Raises:
        InputError: It is no proxy over HTTP; its URL may hold a password and is not repeated.
    """
    parts = urlsplit(proxy)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InputError("the proxy that the environment names is none over HTTP", hint="write http://host:port")
    auth = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return httpcore2.Proxy(f"{parts.scheme}://{host}:{parts.port or 80}", auth=auth)
