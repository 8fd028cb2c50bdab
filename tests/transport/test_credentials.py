"""Credentials go to the one host that they are for, and to nobody else."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest

from edgekit.errors import InputError, TransferError
from edgekit.transport.credentials import authorize_read, authorize_write
from edgekit.transport.http import HttpTransport
from edgekit.transport.reading import read_all
from edgekit.transport.web import Web, proxy_of
from tests.transport import hostile_server as hostile
from tests.transport.conftest import Connect, Start

BASIC = "Basic " + base64.b64encode(b"me:hunter2").decode()


def write_netrc(text: str) -> None:
    Path(os.environ["NETRC"]).write_text(text, encoding="utf-8")


def test_nothing_is_sent_where_nothing_is_known(start: Start, connect: Connect) -> None:
    server = start({"file": b"x"})
    read_all(connect(server), "file", limit_bytes=1)
    connect(server).write("new", [b"x"], size_bytes=1)
    assert not any("authorization" in seen.headers for seen in server.seen)


def test_the_token_goes_out_with_writes_only(start: Start, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEKIT_TOKEN", "abc.def-123")
    server = start({"file": b"x"})
    read_all(connect(server), "file", limit_bytes=1)
    connect(server).write("new", [b"x"], size_bytes=1)
    assert [seen.headers.get("authorization") for seen in server.seen] == [None, "Bearer abc.def-123"]


def test_netrc_counts_for_exactly_its_host(start: Start, connect: Connect) -> None:
    write_netrc("machine 127.0.0.1 login me password hunter2\nmachine other.example login you password secret\n")
    server = start({"file": b"x"})
    read_all(connect(server), "file", limit_bytes=1)
    assert server.seen[0].headers["authorization"] == BASIC
    assert authorize_read("https://127.0.0.1.example.org/") == {}
    assert authorize_read("https://other.example/") != {}


def test_an_entry_for_all_hosts_is_not_used() -> None:
    write_netrc("default login me password hunter2\n")
    assert authorize_read("https://a.example/") == {}
    assert authorize_write("https://a.example/") == {}


def test_nothing_secret_over_a_connection_that_anybody_can_read(monkeypatch: pytest.MonkeyPatch) -> None:
    write_netrc("machine a.example login me password hunter2\n")
    assert authorize_read("http://a.example/") == {}
    assert authorize_read("https://a.example/") == {"authorization": BASIC}
    with pytest.raises(InputError, match="for everybody on the way to read") as caught:
        authorize_write("http://a.example/")
    monkeypatch.setenv("EDGEKIT_TOKEN", "verysecret")
    with pytest.raises(InputError) as again:
        authorize_write("http://a.example/")
    for error in (caught.value, again.value):
        assert "hunter2" not in str(error) + error.hint
        assert "verysecret" not in str(error) + error.hint


@pytest.mark.parametrize("token", ["a b", "a\r\nX-Evil: 1", "é", "=", "\x00"])
def test_a_token_that_is_none(monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    if "\x00" in token:
        return  # no environment can hold it
    monkeypatch.setenv("EDGEKIT_TOKEN", token)
    with pytest.raises(InputError, match="no bearer token") as caught:
        authorize_write("https://a.example/")
    assert token not in str(caught.value).partition(" holds")[2]


def test_a_broken_netrc_is_told_without_its_text() -> None:
    write_netrc("machine a.example login me passwort hunter2\n")
    with pytest.raises(InputError, match="cannot be read as a netrc file") as caught:
        authorize_read("https://a.example/")
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_no_credential_is_sent_on_to_another_origin(start: Start, connect: Connect) -> None:
    write_netrc("machine 127.0.0.1 login me password hunter2\n")
    other = start({"file": b"x"})  # another port is another origin
    server = start({}, hostile.redirect_to(other.url))
    assert read_all(connect(server), "file", limit_bytes=1) == b"x"
    assert server.seen[0].headers["authorization"] == BASIC
    assert "authorization" not in other.seen[0].headers


def test_nor_does_it_come_back_after_a_detour(start: Start, connect: Connect) -> None:
    write_netrc("machine 127.0.0.1 login me password hunter2\n")
    home = start({"file": b"x"})

    def bounce(exchange: hostile.Exchange) -> None:
        if len(home.seen) == 1:
            exchange.answer(302, headers={"Location": f"{other.url}/file"})
        else:
            hostile.serve(exchange)

    home._behaviour = bounce
    other = start({}, hostile.redirect_to(home.url))
    assert read_all(connect(home), "file", limit_bytes=1) == b"x"
    assert ["authorization" in seen.headers for seen in home.seen] == [True, False]


def test_a_redirect_on_the_same_origin_keeps_it(start: Start, connect: Connect) -> None:
    write_netrc("machine 127.0.0.1 login me password hunter2\n")

    def move(exchange: hostile.Exchange) -> None:
        if exchange.name == "file":
            exchange.answer(302, headers={"Location": "/moved/file"})
        else:
            hostile.serve(exchange)

    server = start({"moved/file": b"x"}, move)
    assert read_all(connect(server), "file", limit_bytes=1) == b"x"
    assert [seen.headers.get("authorization") for seen in server.seen] == [BASIC, BASIC]


def test_a_redirect_from_outside_does_not_lead_into_a_private_network(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = start({"file": b"of the router"})
    server = start({}, hostile.redirect_to(inside.url))
    # As if the first server, and only that one, were on the public internet.
    monkeypatch.setattr("edgekit.transport.web.is_public", lambda address: True)
    transport = HttpTransport(server.url)
    try:
        with pytest.raises(TransferError, match="private network"):
            read_all(transport, "file", limit_bytes=100)
    finally:
        transport.close()
    assert inside.seen == []


def test_a_source_outside_does_not_become_one_of_a_private_network(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its owner has its name lead elsewhere (DNS rebinding)."""
    server = start({"file": b"x"})
    # As if it had been on the public internet the first time.
    monkeypatch.setattr("edgekit.transport.web.is_public", lambda address: True)
    transport = HttpTransport(server.url)
    try:
        assert read_all(transport, "file", limit_bytes=1) == b"x"
        for pool in transport._web._pools.values():  # a new connection, to what is now an address of this machine
            pool.close()
        with pytest.raises(TransferError, match="private network"):
            read_all(transport, "file", limit_bytes=1)
    finally:
        transport.close()
    assert len(server.seen) == 1


def test_proxies_of_the_environment(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    server = start({}, lambda exchange: exchange.answer(200, exchange.name.encode()))
    monkeypatch.setenv("http_proxy", f"http://me:pw@127.0.0.1:{server.port}")
    web = Web("http://models.invalid")
    try:
        with web.ask("GET", "http://models.invalid/file") as answer:
            assert b"".join(answer.body()) == b"http://models.invalid/file"
    finally:
        web.close()
    assert server.seen[0].headers["proxy-authorization"] == "Basic " + base64.b64encode(b"me:pw").decode()


@pytest.mark.parametrize(
    ("url", "proxied"),
    [("http://models.invalid/x", True), ("http://a.direct.invalid/x", False), ("http://127.0.0.1:80/x", False),
     ("http://[::1]/x", False), ("https://models.invalid/x", False)],
)  # fmt: skip
def test_what_goes_without_a_proxy(monkeypatch: pytest.MonkeyPatch, url: str, proxied: bool) -> None:
    monkeypatch.setenv("http_proxy", "http://proxy.invalid:3128")
    monkeypatch.setenv("no_proxy", "direct.invalid")
    assert bool(proxy_of(url)) is proxied


def test_a_proxy_of_another_kind_is_refused_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "socks5://me:hunter2@proxy.invalid:1080")
    with pytest.raises(InputError, match="none over HTTP") as caught:
        read_all(HttpTransport("http://models.invalid"), "file", limit_bytes=1)
    assert "hunter2" not in str(caught.value)
