"""From a URL to its transport."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekit.errors import InputError
from edgekit.transport.file import FileTransport
from edgekit.transport.http import HttpTransport
from edgekit.transport.opening import open_transport, opened


@pytest.mark.parametrize(
    ("url", "folder"),
    [
        ("a/folder", "a/folder"),
        ("/srv/a b", "/srv/a b"),
        ("file:a%20b", "a%20b"),
        ("file:///srv/a%20b", "/srv/a b"),
        ("file://localhost/srv", "/srv"),
        ("./https:x", "./https:x"),
    ],
)
def test_paths_and_file_urls(url: str, folder: str) -> None:
    transport = open_transport(url)
    assert isinstance(transport, FileTransport)
    assert transport.folder == Path(folder)


def test_web_urls() -> None:
    with opened(["http://127.0.0.1:1/x", "https://models.example.org"]) as transports:
        assert [type(transport) for transport in transports] == [HttpTransport, HttpTransport]
        assert [transport.url for transport in transports] == ["http://127.0.0.1:1/x", "https://models.example.org"]


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("", "empty"),
        ("ftp://host/x", "no plug of 'edgekit.transports' is called 'ftp'"),
        ("HTTPS://host/x", "capitals"),
        ("file://otherhost/srv", "names no folder of this machine"),
        ("file:", "names no folder"),
        ("https://", "is no URL"),
        ("https://host/x?token=abc", "is no URL"),
        ("https://host/x#y", "is no URL"),
        ("https://ho st/x", "is no URL"),
        ("https://hôst/x", "is no URL"),
    ],
)
def test_what_cannot_be_opened(url: str, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        open_transport(url)


def test_a_password_in_a_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(InputError, match="no URL") as caught:
        open_transport("https://me:hunter2@host/x")
    assert "hunter2" not in str(caught.value) + caught.value.hint


def test_those_already_open_are_closed_when_one_cannot_be(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []
    monkeypatch.setattr(HttpTransport, "close", lambda self: closed.append(self.url))
    with pytest.raises(InputError), opened(["https://a.example.org", "nothing://b"]):
        pass
    assert closed == ["https://a.example.org"]
