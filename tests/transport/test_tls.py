"""TLS is always checked: against the system's authorities, or a private one that the environment names."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from edgekit.errors import TransferError
from edgekit.testing.transport_check import check_transport
from edgekit.transport.http import HttpTransport
from edgekit.transport.reading import read_all
from tests.transport import hostile_server as hostile
from tests.transport.certificates import authority, server_context
from tests.transport.conftest import Connect, Start

FILES = {"file": b"contents"}


@pytest.mark.parametrize("variable", ["EDGEKIT_CA_FILE", "SSL_CERT_FILE"])
def test_a_private_authority(
    start: Start, connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    mine = authority(tmp_path)
    server = start(FILES, tls=server_context(mine, tmp_path))
    monkeypatch.setenv(variable, str(mine.file))
    assert server.url.startswith("https://")
    check_transport(lambda: connect(server))


def test_an_unknown_authority_is_refused(start: Start, connect: Connect, tmp_path: Path) -> None:
    server = start(FILES, tls=server_context(authority(tmp_path), tmp_path))
    with pytest.raises(TransferError, match="CERTIFICATE_VERIFY_FAILED") as caught:
        read_all(connect(server), "file", limit_bytes=100)
    assert "EDGEKIT_CA_FILE" in caught.value.hint
    assert server.seen == []


@pytest.mark.parametrize(("host", "days"), [("127.0.0.2", 1), ("models.example.org", 1), ("127.0.0.1", -1)])
def test_a_certificate_for_another_host_or_an_old_one_is_refused(
    start: Start, connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, days: int
) -> None:
    mine = authority(tmp_path)
    server = start(FILES, tls=server_context(mine, tmp_path, host=host, days=days))
    monkeypatch.setenv("EDGEKIT_CA_FILE", str(mine.file))
    with pytest.raises(TransferError, match="CERTIFICATE_VERIFY_FAILED"):
        read_all(connect(server), "file", limit_bytes=100)
    assert server.seen == []


def test_another_authority_of_the_same_name_is_refused(
    start: Start, connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "theirs").mkdir()
    server = start(FILES, tls=server_context(authority(tmp_path / "theirs"), tmp_path))
    monkeypatch.setenv("EDGEKIT_CA_FILE", str(authority(tmp_path).file))
    with pytest.raises(TransferError, match="CERTIFICATE_VERIFY_FAILED"):
        read_all(connect(server), "file", limit_bytes=100)


def test_no_redirect_from_https_to_http(
    start: Start, connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = authority(tmp_path)
    monkeypatch.setenv("EDGEKIT_CA_FILE", str(mine.file))
    plain = start(FILES)
    server = start({}, hostile.redirect_to(plain.url), tls=server_context(mine, tmp_path))
    with pytest.raises(TransferError, match="from https to http"):
        read_all(connect(server), "file", limit_bytes=100)
    assert plain.seen == []


def test_a_redirect_from_http_to_https_is_followed(
    start: Start, connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = authority(tmp_path)
    monkeypatch.setenv("EDGEKIT_CA_FILE", str(mine.file))
    safe = start(FILES, tls=server_context(mine, tmp_path))
    server = start({}, hostile.redirect_to(safe.url))
    assert read_all(connect(server), "file", limit_bytes=100) == b"contents"


def test_through_a_proxy_that_can_only_pass_it_on(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = authority(tmp_path)
    monkeypatch.setenv("EDGEKIT_CA_FILE", str(mine.file))
    server = start(FILES, tls=server_context(mine, tmp_path, host="models.invalid"))
    proxy = start({}, tunnel_to(server.port))
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.port}")
    transport = HttpTransport("https://models.invalid/channel")
    try:
        with pytest.raises(TransferError, match="no file file"):
            read_all(transport, "file", limit_bytes=100)
    finally:
        transport.close()
    assert [(seen.method, seen.name) for seen in proxy.seen] == [("CONNECT", "models.invalid:443")]
    assert [(seen.method, seen.name) for seen in server.seen] == [("GET", "channel/file")]


def tunnel_to(port: int) -> hostile.Behaviour:
    """A proxy whose every tunnel ends at one port."""

    def pump(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(2**16):
                target.sendall(data)
            target.shutdown(socket.SHUT_RDWR)

    def connect(exchange: hostile.Exchange) -> None:
        exchange.send(b"HTTP/1.1 200 OK\r\n\r\n")
        with socket.create_connection(("127.0.0.1", port)) as upstream:
            back = threading.Thread(target=pump, args=(upstream, exchange.connection))
            back.start()
            pump(exchange.connection, upstream)
            back.join()
        exchange.keep = False

    return connect
