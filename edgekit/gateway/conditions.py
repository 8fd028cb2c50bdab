"""Which part of a content a request wants, and whether it wants it at all (RFC 9110, sections 13 and 14)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_RANGE = re.compile(r"bytes=(?:([0-9]{1,18})-([0-9]{0,18})|-([0-9]{1,18}))")
_TAG = re.compile(r'(W/)?("[!#-~]*")')


@dataclass(frozen=True)
class Wanted:
    """What is to be answered.

    Attributes:
        status: 200, 206, 304, 412 or 416.
        start: First byte that is to be sent.
        stop: One past the last one.
    """

    status: int
    start: int = 0
    stop: int = 0


def wanted(headers: Mapping[str, str], *, etag: str, size_bytes: int, ranges: bool) -> Wanted:
    """What a GET with these headers is answered with. Dates are ignored: nothing here has one.

    One range is given. A request for several, or for something that is no range, gets the whole, as RFC 9110 allows.

    Args:
        headers: Lower-case name -> value.
        etag: Of the content, strong, with its quotes.
        size_bytes: Of the content.
        ranges: Whether parts of it are given at all.
    """
    if "if-match" in headers and not _names(headers["if-match"], etag, weak=False):
        return Wanted(412)
    if "if-none-match" in headers and _names(headers["if-none-match"], etag, weak=True):
        return Wanted(304)
    found = _RANGE.fullmatch(headers.get("range", ""))
    if not ranges or not found or headers.get("if-range", etag) != etag:
        return Wanted(200, 0, size_bytes)
    if found[3] is not None:
        start, stop = max(size_bytes - int(found[3]), 0), size_bytes
    else:
        start = int(found[1])
        stop = min(int(found[2]) + 1, size_bytes) if found[2] else size_bytes
    return Wanted(206, start, stop) if start < stop else Wanted(416)


def _names(header: str, etag: str, *, weak: bool) -> bool:
    """Whether a list of entity tags has one; "*" has every one."""
    return header.strip() == "*" or any(tag == etag and (weak or not is_weak) for is_weak, tag in _TAG.findall(header))
