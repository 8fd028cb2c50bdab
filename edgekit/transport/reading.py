"""read_all: a small file of a transport as bytes, bounded before it is read."""

from __future__ import annotations

from edgekit.errors import LengthError
from edgekit.transport.transport import Transport


def read_all(transport: Transport, name: str, *, limit_bytes: int) -> bytes:
    """The whole of a file that is known to be small; nothing says yet that its bytes are the right ones.

    Args:
        transport: Where.
        name: Path below its URL.
        limit_bytes: More than this is refused, and the transfer ended, whatever the source would go on to send.

    Raises:
        LengthError: The file is longer.
        AbsentError: There is no such file.
        TransferError: The source refuses, or the connection breaks.
        StalledError: It is too slow.
    """
    parts: list[bytes] = []
    received = 0
    with transport.read(name) as chunks:
        for chunk in chunks:
            received += len(chunk)
            if received > limit_bytes:
                raise LengthError(
                    f"{name} is longer than the {limit_bytes} bytes that it may have",
                    limit_bytes=limit_bytes,
                    source=transport.url,
                )
            parts.append(chunk)
    return b"".join(parts)
