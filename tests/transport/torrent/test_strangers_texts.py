"""Trackers and web seeds say why they fail, in any bytes: nothing ends by it, nor by a bug of our own in reading it."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from edgekit.addressing.torrent import torrent_of_file
from edgekit.errors import SourcesError
from edgekit.transport.fetch import Sources
from edgekit.transport.swarm_settings import SwarmSettings
from edgekit.transport.torrent_params import ask_params, seed_params
from edgekit.transport.torrent_session import TorrentSession
from tests.transport import hostile_server as hostile
from tests.transport.conftest import Start as StartServer
from tests.transport.torrent.conftest import Connect, Made, Start
from tests.transport.torrent.made import addressed

NO_TEXT = b"\xff\xfe\x80 no"
"""Neither UTF-8 nor ASCII."""
SHOWN = "\ufffd\ufffd\ufffd no"


def refuse(exchange: hostile.Exchange) -> None:
    exchange.send(b"HTTP/1.1 500 %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % NO_TEXT)
    exchange.keep = False


def fail_as_trackers_do(exchange: hostile.Exchange) -> None:
    exchange.answer(200, b"d14:failure reason%d:%se" % (len(NO_TEXT), NO_TEXT))


@pytest.mark.parametrize("answer", [refuse, fail_as_trackers_do])
def test_a_tracker_that_fails_in_bytes_of_its_own_is_named(
    made: Made, start: StartServer, connect: Connect, tmp_path: Path, answer: hostile.Behaviour
) -> None:
    url = f"{start({}, answer).url}/announce"
    with pytest.raises(SourcesError, match=f"{url}: {SHOWN}"):
        Sources([connect(f"?tracker={url}")]).fetch(made.noise.blob, tmp_path / "fetched")


@pytest.mark.parametrize("who", ["channel", "tracker"])
def test_peers_go_on_beside_one_that_fails_in_bytes_of_its_own(
    made: Made, start: StartServer, seed: Start, connect: Connect, tmp_path: Path, who: str
) -> None:
    def give_the_torrent_alone(exchange: hostile.Exchange) -> None:
        if exchange.name.startswith("torrents/"):
            exchange.answer(200, made.torrent.read_bytes())
        else:
            refuse(exchange)

    url = start({}, give_the_torrent_alone).url
    # Slowly, so that the failure is heard while the blob still comes.
    _, port = seed("--rate", 2**20)
    asked = f"{url}?" if who == "channel" else f"?tracker={url}/announce&"
    Sources([connect(f"{asked}peer=127.0.0.1:{port}")]).fetch(made.noise.blob, tmp_path / "fetched")
    assert (tmp_path / "fetched").read_bytes() == made.noise.data


def test_a_bug_in_hearing_of_one_torrent_is_shown_and_ends_no_other(
    made: Made, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[threading.ExceptHookArgs] = []
    was_shown, was_heard = threading.Event(), threading.Event()

    def show(found: threading.ExceptHookArgs) -> None:
        shown.append(found)
        was_shown.set()

    def fail(alert: Any) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr(threading, "excepthook", show)
    session = TorrentSession(SwarmSettings((("127.0.0.1", 0),)))
    stack.callback(session.close)
    blob = made.noise.blob
    session.add(seed_params(torrent_of_file(made.file, blob), made.file), fail)
    assert was_shown.wait(10)
    assert shown[0].exc_type is KeyError
    other = addressed(100_000, seed=1).blob
    assert other.addresses
    session.add(ask_params(other.addresses, made.file.parent), lambda alert: was_heard.set())
    assert was_heard.wait(10)
