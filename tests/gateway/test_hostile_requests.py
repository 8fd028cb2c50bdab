"""Strangers who send something else than a decent request: an error, or a closed connection, and nothing else."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.gateway.finding import RefusedError, find
from edgekit.gateway.server import Gateway
from edgekit.gateway.shelf import Shelf
from tests.gateway.conftest import FILE, Open
from tests.gateway.raw import ask, parse, talk

BLOB = f"/blobs/sha256/{FILE.blob.sha256}"
SECRET = b"the contents of a file that nobody put on the shelf"

TRICKS = (
    "/", "//", "/.", "/..", "/../", "/*", "*", "/blobs", "/blobs/", "/blobs/sha256", "/blobs/sha256/", "/metadata",
    "/metadata/", "/../secret.txt", "/blobs/../secret.txt", "/blobs/sha256/../../secret.txt",
    "/metadata/../secret.txt", "/metadata/../metadata/timestamp.json", "/./metadata/timestamp.json",
    "/metadata/./timestamp.json", "//metadata/timestamp.json", "/metadata//timestamp.json",
    "/metadata/timestamp.json/", "///etc/passwd", "/etc/passwd", "/%2e%2e/secret.txt", "/..%2fsecret.txt",
    "/metadata%2ftimestamp.json", "/metadata/%74imestamp.json", "/%00", "/a%00b", "/metadata/timestamp.json%00",
    "/metadata\\timestamp.json", "/..\\secret.txt", "/metadata/..;/timestamp.json", "/metadata/timestamp.json;a=b",
    "/metadata/timestamp.json#a", "/METADATA/timestamp.json", "/metadata/TIMESTAMP.json",
    "http://elsewhere/metadata/timestamp.json", "file:///etc/passwd", "metadata/timestamp.json", "/~root", "/-rf",
    "/.git/config", "/" + "a/" * 300, "/" + "a" * 5000, "/metadata/" + "../" * 200 + "etc/passwd", "/caf\xe9",
    "/metadata/timestamp.json\x7f", BLOB + "/", BLOB[:-1], BLOB + "0", BLOB.upper(), BLOB.replace("sha256", "sha512"),
    "/blobs/" + FILE.blob.sha256, "/ipfs/../metadata/timestamp.json", "/ipfs/..", "/ipfs/%2e%2e/x?format=raw",
    "/ipfs//?format=raw",
)  # fmt: skip


@pytest.fixture
def gateway(open_gateway: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gateway:
    """One whose working folder has files that are nobody's business."""
    for place in (tmp_path, tmp_path / "slot"):
        (place / "secret.txt").write_bytes(SECRET)
    os.mkdir(tmp_path / "metadata")
    (tmp_path / "metadata" / "secret.txt").write_bytes(SECRET)
    monkeypatch.chdir(tmp_path)
    return open_gateway(request_s=2.0)


@pytest.mark.parametrize("target", TRICKS)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_path_that_is_no_name(gateway: Gateway, target: str, method: str) -> None:
    found = ask(gateway.port, target, method=method)
    assert found.status in (400, 404, 414)
    assert len(found.body) < 200
    assert SECRET not in found.body
    assert target not in found.body.decode("latin-1") or len(target) < 3  # nothing that came in goes out


def test_a_query_changes_nothing_of_a_name(gateway: Gateway) -> None:
    assert ask(gateway.port, f"{BLOB}?x=../../y").body == FILE.data
    assert ask(gateway.port, "/metadata/secret.txt").status == 404


GARBAGE: dict[str, bytes] = {
    "nothing": b"\r\n\r\n",
    "zeros": bytes(5000),
    "TLS": bytes.fromhex("160301020001000001fc0303") + bytes(600),
    "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/0.9": f"GET {BLOB}\r\n\r\n".encode(),
    "HTTP/9": f"GET {BLOB} HTTP/9.9\r\nHost: a\r\n\r\n".encode(),
    "no version": f"GET {BLOB} HTTP\r\nHost: a\r\n\r\n".encode(),
    "no target": b"GET  HTTP/1.1\r\nHost: a\r\n\r\n",
    "spaces": f"GET {BLOB} x HTTP/1.1\r\nHost: a\r\n\r\n".encode(),
    "tabs": f"GET\t{BLOB}\tHTTP/1.1\r\nHost: a\r\n\r\n".encode(),
    "other blanks": f"GET\x0b{BLOB}\xa0HTTP/1.1\r\nHost: a\r\n\r\n".encode("latin-1"),
    "no host": f"GET {BLOB} HTTP/1.1\r\n\r\n".encode(),
    "two hosts": f"GET {BLOB} HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".encode(),
    "a content": f"GET {BLOB} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello".encode(),
    "two lengths": f"GET {BLOB} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\nhello".encode(),
    "a length that is none": f"GET {BLOB} HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n".encode(),
    "chunks": f"GET {BLOB} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".encode(),
    "a long line": b"GET /" + b"a" * 2**20 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    "a long header": f"GET {BLOB} HTTP/1.1\r\nHost: a\r\nX: {'a' * 2**20}\r\n\r\n".encode(),
    "many headers": f"GET {BLOB} HTTP/1.1\r\nHost: a\r\n".encode() + b"X: a\r\n" * 100_000 + b"\r\n",
    "headers without an end": f"GET {BLOB} HTTP/1.1\r\nHost: a\r\n".encode() + b"X-More: b\r\n" * 200_000,
}  # fmt: skip


@pytest.mark.parametrize("request_bytes", GARBAGE.values(), ids=GARBAGE)
def test_what_is_no_request_gets_nothing_of_the_shelf(gateway: Gateway, request_bytes: bytes) -> None:
    answer = talk(gateway.port, request_bytes)
    assert FILE.data[:64] not in answer
    assert len(answer) < 1000
    if answer:
        assert parse(answer).status in (400, 404, 413, 414, 431, 501, 505)
        assert parse(answer).headers.get("connection") == "close" or parse(answer).status == 404
    assert ask(gateway.port, BLOB).body == FILE.data


@pytest.mark.parametrize(
    "method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get", "G" * 900]
)
def test_nothing_but_get_and_head(gateway: Gateway, shelf: Shelf, method: str) -> None:
    found = ask(gateway.port, BLOB, method=method)
    assert found.status in (400, 405, 501)
    assert FILE.data[:64] not in found.body
    assert shelf.blob(FILE.blob.sha256) is not None


def test_a_request_behind_a_content_is_not_answered(gateway: Gateway) -> None:
    """Smuggling: whoever stands before us may think that the second request belongs to somebody else."""
    request = (
        f"POST {BLOB} HTTP/1.1\r\nHost: a\r\nContent-Length: 60\r\n\r\n".encode()
        + f"GET {BLOB} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
    )
    answer = talk(gateway.port, request)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert FILE.data[:64] not in answer


def test_requests_that_come_all_at_once_are_answered_in_their_order(gateway: Gateway) -> None:
    one = b"GET /metadata/timestamp.json HTTP/1.1\r\nHost: a\r\n"
    answer = talk(gateway.port, (one + b"\r\n") * 20 + one + b"Connection: close\r\n\r\n")
    assert answer.count(b'{"signed":{}}') == 21


def test_http_1_0_ends_the_connection(gateway: Gateway) -> None:
    found = parse(talk(gateway.port, f"GET {BLOB} HTTP/1.0\r\n\r\n".encode()))
    assert (found.status, found.body) == (200, FILE.data)


def test_expect_is_no_way_to_hold_a_connection(gateway: Gateway) -> None:
    request = f"GET {BLOB} HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n"
    answer = talk(gateway.port, request.encode())
    assert FILE.data[:64] not in answer


def test_a_hundred_strangers_at_once(open_gateway: Open) -> None:
    """Some are turned away; nobody gets a wrong byte, and the gateway is there afterwards."""
    gateway = open_gateway(most_connections=16)
    wrong: list[int] = []

    def visit(number: int) -> None:
        if number % 3 == 0:
            talk(gateway.port, os.urandom(3000) + b"\r\n\r\n")
            return
        found = ask(gateway.port, BLOB, range=f"bytes={number * 1000}-{number * 1000 + 99_999}", timeout_s=30)
        if found.status not in (0, 503) and found.body != FILE.data[number * 1000 : number * 1000 + 100_000]:
            wrong.append(number)

    threads = [threading.Thread(target=visit, args=(number,)) for number in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert ask(gateway.port, BLOB).body == FILE.data


@settings(max_examples=150, deadline=None)
@given(target=st.text(st.characters(codec="latin-1"), max_size=80))
def test_law_no_target_but_a_name_finds_anything(target: str) -> None:
    shelf = Shelf()
    shelf.put_bytes("metadata/timestamp.json", b"{}")
    for text in (target, f"/{target}", f"/metadata/{target}", f"/ipfs/{target}", f"/blobs/sha256/{target}"):
        try:
            find(shelf, text, {"accept": target})
        except RefusedError:
            continue
        raise AssertionError(text)
