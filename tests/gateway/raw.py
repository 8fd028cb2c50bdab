"""A client that sends whatever it is told to, byte by byte, and reads what comes back."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

LARGEST_ANSWER_BYTES = 2**26


@dataclass(frozen=True)
class Raw:
    """An answer.

    Attributes:
        status: HTTP status; 0 where the connection ended without an answer.
        headers: Lower-case name -> value.
        body: What came behind them, until the connection ended or the content was whole.
    """

    status: int
    headers: dict[str, str]
    body: bytes


def talk(port: int, request: bytes, *, timeout_s: float = 10.0) -> bytes:
    """Everything that comes back until the other side closes; what it does not close ends in TimeoutError."""
    found = b""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout_s) as connection:
        try:
            connection.sendall(request)
            while (more := connection.recv(2**16)) and len(found) < LARGEST_ANSWER_BYTES:
                found += more
        except (ConnectionResetError, BrokenPipeError):
            pass
    return found


def ask(port: int, target: str, *, method: str = "GET", timeout_s: float = 10.0, **headers: str) -> Raw:
    """One request with a connection of its own; `if_none_match` is the header If-None-Match."""
    lines = [f"{method} {target} HTTP/1.1", "Host: test", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return parse(talk(port, "\r\n".join([*lines, "", ""]).encode("latin-1"), timeout_s=timeout_s))


def parse(data: bytes) -> Raw:
    """An answer out of what came back."""
    head, _, body = data.partition(b"\r\n\r\n")
    if not head:
        return Raw(0, {}, b"")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Raw(int(first.split(" ")[1]), headers, body)


def until(done: Callable[[], bool], *, seconds: float = 10.0) -> None:
    """Wait for something to be so."""
    end = time.monotonic() + seconds
    while not done() and time.monotonic() < end:
        time.sleep(0.01)
    assert done()
