"""Web servers as transports: good ones, odd ones, hostile ones."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import httpcore2
import pytest

from edgekit.errors import (
    AbsentError,
    EdgekitError,
    InputError,
    LengthError,
    MalformedError,
    StalledError,
    TransferError,
    TransportError,
)
from edgekit.testing.transport_check import check_transport
from edgekit.transport.deadline import Backend, Clock
from edgekit.transport.http import HttpTransport
from edgekit.transport.patience import Patience
from edgekit.transport.reading import read_all
from tests.transport import hostile_server as hostile
from tests.transport.conftest import Connect, Start
from tests.transport.hostile_server import Behaviour, Exchange

FILES = {"a/file": bytes(range(256)) * 40}
SIZE = len(FILES["a/file"])


def read(transport: HttpTransport, start: int = 0, stop: int | None = None) -> bytes:
    with transport.read("a/file", start=start, stop=stop) as chunks:
        return b"".join(chunks)


def test_promises_are_kept(start: Start, connect: Connect) -> None:
    server = start({})
    check_transport(lambda: connect(server))


@pytest.mark.parametrize("behaviour", [hostile.serve_whole, hostile.serve_chunked])
def test_promises_are_kept_by_servers_without_ranges_and_without_lengths(
    start: Start, connect: Connect, behaviour: Behaviour
) -> None:
    server = start(FILES, behaviour)
    check_transport(lambda: connect(server), files=FILES)


def test_a_connection_is_used_again(start: Start, connect: Connect) -> None:
    server, addresses = start(FILES), []
    transport = connect(server)
    original = server._converse
    server._converse = lambda raw: (addresses.append(raw.getpeername()), original(raw))
    for begin in range(0, SIZE, 1000):
        assert read(transport, begin, min(begin + 1000, SIZE)) == FILES["a/file"][begin : begin + 1000]
    assert len(addresses) == 1
    assert len(server.seen) == 11


def test_a_kept_connection_that_the_server_closed_is_opened_anew(start: Start, connect: Connect) -> None:
    def serve_once(exchange: Exchange) -> None:
        hostile.serve(exchange)
        exchange.keep = False

    transport = connect(start(FILES, serve_once))
    for _ in range(5):
        assert read(transport) == FILES["a/file"]


@pytest.mark.parametrize(
    ("behaviour", "kind", "words"),
    [
        (hostile.refuse(404), AbsentError, "there is no file a/file"),
        (hostile.refuse(410), AbsentError, "there is no file"),
        (hostile.refuse(401), TransferError, "refused with status 401"),
        (hostile.refuse(403), TransferError, "refused with status 403"),
        (hostile.refuse(500), TransferError, "refused with status 500"),
        (hostile.refuse(204), TransferError, "refused with status 204"),
        (hostile.refuse(304), TransferError, "refused with status 304"),
        (hostile.truncate, TransferError, "the connection broke"),
        (hostile.hang_up, TransferError, "the connection broke"),
        (hostile.talk_nonsense, TransferError, "the connection broke"),
        (hostile.flood_headers, TransferError, "the connection broke"),
        (hostile.bomb, TransferError, "in the encoding 'gzip', although none was asked for"),
        (hostile.redirect_in_circles, TransferError, "redirects more than 5 times"),
        (hostile.stall, StalledError, "did not answer in time"),
        (hostile.stall_midway, StalledError, "did not answer in time"),
        (hostile.inform_forever, StalledError, "did not answer in time"),
        (hostile.dribble, StalledError, "less than the 1024 that are waited for"),
        (hostile.dribble_headers, StalledError, "did not answer in time"),
        (hostile.dribble_chunk_size, StalledError, "did not answer in time"),
        (hostile.claim_wrong_range, LengthError, "was asked for the bytes 5-8 and answers with 'bytes 7-"),
        (hostile.serve_other_range, LengthError, "was asked for the bytes 5-8 and answers with 'bytes 5120-"),
        (hostile.send_endlessly, LengthError, "was asked for 4 bytes and sends more"),
    ],
)  # fmt: skip
def test_what_a_bad_server_does_has_a_name(
    start: Start, connect: Connect, behaviour: Behaviour, kind: type[TransportError], words: str
) -> None:
    transport = connect(start(FILES, behaviour))
    began = time.monotonic()
    part = () if behaviour in (hostile.truncate, hostile.stall_midway, hostile.dribble) else (5, 9)
    with pytest.raises(kind, match=words) as caught:
        read(transport, *part)
    assert type(caught.value) is kind
    assert caught.value.source == transport.url
    assert time.monotonic() - began < 10


def test_slow_retrieval_ends(start: Start, connect: Connect) -> None:
    """The attack of the TUF specification: an update that never fails and never arrives."""
    transport = connect(start({"metadata/timestamp.json": b"{}" * 500}, hostile.dribble))
    began = time.monotonic()
    with pytest.raises(StalledError, match="less than the 1024"):
        read_all(transport, "metadata/timestamp.json", limit_bytes=5000)
    assert time.monotonic() - began < 10


def test_a_slow_reader_is_not_held_against_the_server(start: Start, connect: Connect) -> None:
    transport = connect(start({"a/file": bytes(2**20)}), patience=Patience(window_s=0.2))
    with transport.read("a/file") as chunks:
        assert len(next(chunks)) > 0
        time.sleep(1)
        assert sum(len(chunk) for chunk in chunks) > 0


def test_endless_data_is_cut_off(start: Start, connect: Connect) -> None:
    server = start({"a/file": b"x" * 1000}, hostile.send_endlessly)
    with pytest.raises(LengthError, match="longer than the 1500 bytes"):
        read_all(connect(server), "a/file", limit_bytes=1500)
    assert server.sent_bytes < 64 * 2**20


def test_a_server_without_ranges_is_left_after_the_part(start: Start, connect: Connect) -> None:
    server = start({"a/file": bytes(64 * 2**20)}, hostile.serve_whole)
    assert read(connect(server), 10, 20) == bytes(10)
    assert server.sent_bytes < 32 * 2**20


def test_redirects_are_followed_to_other_servers(start: Start, connect: Connect) -> None:
    store = start(FILES)
    middle = start({}, hostile.redirect_to(store.url, status=307))
    front = start({}, hostile.redirect_to(middle.url, status=308))
    assert read(connect(front), 5, 9) == FILES["a/file"][5:9]
    assert store.seen[0].headers["range"] == "bytes=5-8"
    assert store.seen[0].headers["host"] == f"127.0.0.1:{store.port}"


@pytest.mark.parametrize(
    "place",
    ["ftp://127.0.0.1/x", "file:///etc/passwd", "http://me:pw@127.0.0.1/", "http://[::1", "http://h:99999/",
     "/" + "a" * 5000, "http://ho st/", "http://h\x7f/"],
)  # fmt: skip
def test_redirects_to_anything_odd_are_refused(start: Start, connect: Connect, place: str) -> None:
    transport = connect(start({}, lambda exchange: exchange.answer(302, headers={"Location": place})))
    with pytest.raises(TransferError, match="redirects to"):
        read(transport)


def test_a_redirect_without_a_place_is_an_answer(start: Start, connect: Connect) -> None:
    with pytest.raises(TransferError, match="status 302"):
        read(connect(start({}, hostile.refuse(302))))


def test_nobody_listens(start: Start, connect: Connect) -> None:
    server = start({})
    server.close()
    with pytest.raises(TransferError, match="cannot be reached"):
        read(connect(server))


@pytest.mark.parametrize("host", ["a..example", "x" * 64 + ".example"])
def test_a_host_that_is_no_name(host: str) -> None:
    transport = HttpTransport(f"http://{host}/")
    with pytest.raises(TransferError, match="cannot be reached"):
        read(transport)


def test_identity_is_asked_for(start: Start, connect: Connect) -> None:
    server = start(FILES)
    read(connect(server))
    assert server.seen[0].headers["accept-encoding"] == "identity"
    assert server.seen[0].headers["user-agent"].startswith("edgekit/")


def test_closing_wakes_a_reader(start: Start, connect: Connect) -> None:
    transport = connect(start(FILES, hostile.stall), patience=Patience())
    caught: list[EdgekitError] = []

    def work() -> None:
        try:
            read(transport)
        except EdgekitError as error:
            caught.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    time.sleep(0.3)
    transport.close()
    thread.join(5)
    assert not thread.is_alive()
    assert isinstance(caught[0], TransferError)


def test_a_closed_transport_asks_nobody(start: Start, connect: Connect) -> None:
    """As a thread may try that had just begun when it was closed."""
    server = start(FILES)
    transport = connect(server)
    transport.close()
    with pytest.raises(TransferError, match="not asked any more"):
        read(transport)
    assert not server.seen


def test_a_connection_that_is_being_made_is_closed_too(start: Start) -> None:
    backend = Backend(Clock())
    connecting, made = backend._inner.connect_tcp, []

    def connect(*arguments: Any, **options: Any) -> httpcore2.NetworkStream:
        made.append(connecting(*arguments, **options))
        backend.close()
        return made[0]

    backend._inner.connect_tcp = connect  # type: ignore[method-assign]
    with pytest.raises(httpcore2.ConnectError):
        backend.connect_tcp("127.0.0.1", start({}).port)
    assert made[0].get_extra_info("socket").fileno() == -1


def test_writing(start: Start, connect: Connect) -> None:
    server = start({})
    connect(server).write("a/new", iter([b"12", b"345"]), size_bytes=5)
    assert server.written == {"a/new": b"12345"}
    assert server.seen[0].headers["content-length"] == "5"


@pytest.mark.parametrize(
    ("status", "hint"),
    [(401, "EDGEKIT_TOKEN"), (403, "netrc"), (405, "takes no PUT"), (501, "takes no PUT"), (302, "")],
)
def test_refused_writes_say_what_to_do(start: Start, connect: Connect, status: int, hint: str) -> None:
    server = start({}, hostile.refuse(status))
    with pytest.raises(TransferError, match=f"status {status}") as caught:
        connect(server).write("a/new", [b"12345"], size_bytes=5)
    assert hint in caught.value.hint


def test_a_write_is_not_redirected(start: Start, connect: Connect) -> None:
    other = start({})
    server = start({}, hostile.redirect_to(other.url, status=307))
    with pytest.raises(TransferError, match="status 307"):
        connect(server).write("a/new", [b"1"], size_bytes=1)
    assert other.seen == []


def test_a_server_that_does_not_take_the_content_ends_the_write(start: Start, connect: Connect) -> None:
    server = start({}, hostile.stall)
    with pytest.raises(StalledError):
        connect(server).write("a/new", [b"1"], size_bytes=1)


def test_a_write_may_take_longer_than_an_answer(start: Start, connect: Connect) -> None:
    def chunks() -> object:
        for _ in range(5):
            time.sleep(0.7)  # 3.5 s in all; an answer has 2.5 s
            yield b"x" * 1000

    server = start({})
    connect(server).write("a/new", chunks(), size_bytes=5000)  # type: ignore[arg-type]
    assert server.written["a/new"] == b"x" * 5000


def test_hostile_names_never_reach_the_server(start: Start, connect: Connect) -> None:
    server = start({})
    with pytest.raises(MalformedError):
        read_all(connect(server), "../x", limit_bytes=1)
    assert server.seen == []


def test_no_decompressor_sees_a_bomb(start: Start, connect: Connect, tmp_path: Path) -> None:
    """Not even where the encoding is hidden behind a second, harmless one."""

    def sly(exchange: Exchange) -> None:
        exchange.head(200, {"Content-Length": "3", "Content-Encoding": "identity\r\nContent-Encoding: gzip"})
        exchange.send(b"abc")

    with pytest.raises(TransferError, match="encoding 'identity, gzip'"):
        read(connect(start({}, sly)))


def test_a_ca_file_that_holds_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EDGEKIT_CA_FILE", str(tmp_path / "absent.pem"))
    with pytest.raises(InputError, match="EDGEKIT_CA_FILE"):
        read(HttpTransport("https://127.0.0.1:1/"))
