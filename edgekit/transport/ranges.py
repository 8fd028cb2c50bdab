"""Part of a file over HTTP: how it is asked for, and how the answer is held against that (RFC 9110, section 14).

A server may ignore the range and send the whole; the part is then cut out of it. One that answers with another range
than it was asked for is lying.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from edgekit.errors import LengthError, TransferError
from edgekit.transport.web import Answer

_RANGE = re.compile(r"bytes ([0-9]{1,15})-([0-9]{1,15})/([0-9]{1,15}|\*)")


def ask_part(start: int, stop: int | None) -> dict[str, str]:
    """Headers that ask for a part; none for the whole.

    Args:
        start: First byte.
        stop: One past the last byte, more than `start`; None for all that follow.
    """
    if not start and stop is None:
        return {}
    return {"range": f"bytes={start}-{'' if stop is None else stop - 1}"}


def read_part(answer: Answer, start: int, stop: int | None) -> Iterator[bytes]:
    """The bytes that were asked for, out of an answer of status 200, 206 or 416.

    A file that ends before `stop` gives fewer bytes.

    Raises:
        LengthError: The answer holds other bytes, or more, or the file ends before `start`.
        TransferError: Another status, or the connection broke.
        StalledError: It comes too slowly.
    """
    if answer.status == 416:
        raise LengthError(f"has no bytes from {start} on", limit_bytes=start, source=answer.source)
    if answer.status == 200:
        return _cut(answer.body(), start, stop)
    if answer.status != 206:
        raise TransferError(f"answers with status {answer.status}", source=answer.source, status=answer.status)
    _check_range(answer, start, stop)
    return _bounded(answer, start, stop)


def _check_range(answer: Answer, start: int, stop: int | None) -> None:
    """Hold Content-Range against what was asked for: the same begin, and the same end or that of the file."""
    told = answer.headers.get("content-range", "")
    found = _RANGE.fullmatch(told)
    if found:
        first, end = int(found[1]), int(found[2]) + 1
        whole = found[3] != "*" and end == int(found[3])
        if first == start and first < end and (end == stop or (whole and (stop is None or end < stop))):
            return
    asked = f"{start}-{'' if stop is None else stop - 1}"
    raise LengthError(
        f"was asked for the bytes {asked} and answers with {told[:60]!r}", limit_bytes=start, source=answer.source
    )


def _bounded(answer: Answer, start: int, stop: int | None) -> Iterator[bytes]:
    received = 0
    for chunk in answer.body():
        received += len(chunk)
        if stop is not None and received > stop - start:
            raise LengthError(
                f"was asked for {stop - start} bytes and sends more", limit_bytes=stop - start, source=answer.source
            )
        yield chunk


def _cut(chunks: Iterator[bytes], start: int, stop: int | None) -> Iterator[bytes]:
    """A part of the whole. It ends with the part: what follows is not read."""
    position = 0
    for chunk in chunks:
        begin, end = start - position, len(chunk) if stop is None else stop - position
        position += len(chunk)
        part = chunk[max(begin, 0) : max(end, 0)]
        if part:
            yield part
        if stop is not None and position >= stop:
            return
