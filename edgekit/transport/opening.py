"""open_transport: from a URL, or a path, to the transport that reads there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from edgekit.errors import InputError
from edgekit.plugins import Family
from edgekit.transport.transport import Transport

TRANSPORTS: Family[Callable[[str], Transport]] = Family(
    "edgekit.transports",
    {
        "file": "edgekit.transport.file:open_file",
        "http": "edgekit.transport.http:open_http",
        "https": "edgekit.transport.http:open_http",
        "oci": "edgekit.transport.oci:open_oci",
        "torrent": "edgekit.transport.torrent:open_torrent",
        "ipfs": "edgekit.transport.ipfs:open_ipfs",
    },
)
"""Scheme of a URL -> what makes a transport of the URL, without contacting anybody yet."""

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+):")
"""At least two letters: "c:" is a drive."""


def open_transport(url: str) -> Transport:
    """The transport for a URL; a text without a scheme is a path of this machine.

    Args:
        url: For example "https://models.example.org/channel", "file:channel", "/srv/channel", "oci://host/name".

    Returns:
        The transport; whoever asked closes it. Nothing has been contacted yet.

    Raises:
        InputError: No transport has that scheme, or its URL cannot be used.
    """
    if not url.strip():
        raise InputError("an empty text names no source", hint="write a path or a URL")
    found = _SCHEME.match(url)
    if found is None and (drawn := re.match(r"([A-Za-z][A-Za-z0-9+.-]+)://", url)):
        raise InputError(f"the scheme '{drawn[1]}' has capitals", hint=f"write {drawn[1].lower()}://")
    return TRANSPORTS.load(found[1] if found else "file")(url)


@contextmanager
def opened(urls: Iterable[str]) -> Iterator[tuple[Transport, ...]]:
    """Transports of several URLs, closed at the end of the block.

    Raises:
        InputError: As `open_transport`; those already open are closed.
    """
    transports: list[Transport] = []
    try:
        for url in urls:
            transports.append(open_transport(url))
        yield tuple(transports)
    finally:
        for transport in transports:
            transport.close()
