"""HttpTransport: a tree of static files on a web server or in a bucket; written to with PUT.

Any web server will do for reading: nothing but GET, with or without ranges, is asked of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from edgekit.errors import AbsentError, InputError, LengthError, TransferError
from edgekit.transport.credentials import TOKEN_VARIABLE, authorize_read, authorize_write
from edgekit.transport.names import check_name
from edgekit.transport.patience import Patience
from edgekit.transport.ranges import ask_part, read_part
from edgekit.transport.web import Answer, Web

_URL = re.compile(r"https?://(?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]{1,253})(?::[0-9]{1,5})?(?:/[!-~]*)?")


def open_http(url: str) -> HttpTransport:
    """The transport of a tree below an http or https URL.

    Raises:
        InputError: The URL has no host, or has a password, a query or a fragment.
    """
    return HttpTransport(url)


class HttpTransport:
    """Reads, and writes where the server takes PUT, below one URL."""

    def __init__(self, url: str, *, patience: Patience | None = None) -> None:
        """Prepare; nothing is contacted yet.

        Args:
            url: Of the root of the tree.
            patience: Bounds on waiting.

        Raises:
            InputError: The URL has no host, or has a password, a query or a fragment.
        """
        self.url = check_url(url)
        self._web = Web(self.url, patience=patience)

    @contextmanager
    def read(self, name: str, *, start: int = 0, stop: int | None = None) -> Iterator[Iterator[bytes]]:
        """The bytes of a file; see `Transport.read`.

        Raises:
            AbsentError: There is no such file.
            TransferError: The server refuses, or the connection breaks.
            LengthError: The server answers with other bytes than those that were asked for.
            StalledError: It is too slow.
        """
        place = self._place(name)
        if stop is not None and stop <= start:
            yield iter(())
            return
        headers = authorize_read(self.url) | ask_part(start, stop)
        with self._web.ask("GET", place, headers=headers) as answer:
            self._check_status(answer, name)
            yield read_part(answer, start, stop)

    def write(self, name: str, chunks: Iterable[bytes], *, size_bytes: int) -> None:
        """Put a file there; see `Transport.write`. That it appears whole or not at all is for the server to keep.

        Raises:
            TransferError: The server refuses, or takes no writes.
            StalledError: It is too slow.
            LengthError: `chunks` held more or fewer bytes.
            InputError: A credential would go over an unencrypted connection.
        """
        place = self._place(name)
        headers = authorize_write(self.url)
        content = self._counted(chunks, size_bytes)
        with self._web.ask("PUT", place, headers=headers, content=content, size_bytes=size_bytes) as answer:
            if answer.status in (200, 201, 204):
                return
            hint = ""
            if answer.status in (401, 403):
                hint = f"the token in {TOKEN_VARIABLE}, or the entry for the host in ~/.netrc, has to allow it"
            elif answer.status in (405, 501):
                hint = "this server takes no PUT: publish into a folder, and upload that with the server's own tool"
            raise TransferError(
                f"writing {name} was refused with status {answer.status}",
                source=self.url,
                status=answer.status,
                hint=hint,
            )

    def close(self) -> None:
        """Let go of connections, and wake whoever waits on one."""
        self._web.close()

    def _place(self, name: str) -> str:
        return f"{self.url.rstrip('/')}/{check_name(name)}"

    def _check_status(self, answer: Answer, name: str) -> None:
        if answer.status in (200, 206, 416):
            return
        if answer.status in (404, 410):
            raise AbsentError(f"there is no file {name}", source=self.url, status=answer.status)
        hint = "a password for the host goes into ~/.netrc" if answer.status in (401, 403) else ""
        raise TransferError(
            f"reading {name} was refused with status {answer.status}",
            source=self.url,
            status=answer.status,
            hint=hint,
        )

    def _counted(self, chunks: Iterable[bytes], size_bytes: int) -> Iterator[bytes]:
        written = 0
        for chunk in chunks:
            written += len(chunk)
            if written > size_bytes:
                break
            yield chunk
        if written != size_bytes:
            raise LengthError(
                f"{size_bytes} bytes were announced, and {written} or more came",
                limit_bytes=size_bytes,
                source=self.url,
            )


def check_url(url: str) -> str:
    """A URL of a tree of files: scheme, host, and perhaps a port and a path.

    Raises:
        InputError: It has no host, or has a password, a query or a fragment; a password is not repeated.
    """
    found = _URL.fullmatch(url)
    if not found or "?" in url or "#" in url or "@" in urlsplit(url).netloc:
        shown = re.sub(r"//[^/]*@", "//...@", url.partition("?")[0])[:80]
        raise InputError(
            f"'{shown}' is no URL of a tree of files",
            hint="write https://host[:port]/path; a password goes into ~/.netrc, a host name into its ASCII form",
        )
    return url
