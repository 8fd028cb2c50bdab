"""Nobody is blamed for what a limit on all that comes makes them wait; who is to blame is found all the same.

Lower bounds on times are sharp, upper ones have room for a machine that does other things too.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from edgekit.errors import EdgekitError, StalledError, TransportError
from edgekit.transport.asking import ask_all
from edgekit.transport.board import Board
from edgekit.transport.claims import Claim
from edgekit.transport.fetch import Sources
from edgekit.transport.inflow import INFLOW
from edgekit.transport.patience import Patience
from edgekit.transport.pieces import pieces_of
from edgekit.transport.reading import read_all
from edgekit.transport.sources import Source
from edgekit.transport.transport import Transport
from tests.transport import hostile_server as hostile
from tests.transport.blobs import MIB, noise
from tests.transport.conftest import Connect, Start
from tests.transport.hostile_server import Behaviour, Exchange
from tests.transport.scripted import Scripted, good
from tests.transport.together import timed, together

SMALL = noise(300_000)
OFTEN = 4.0
"""So much longer than it should a transfer may take on a machine that is busy."""


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    yield
    assert INFLOW.bytes_per_s == 0


# Nobody is blamed for it


def test_ten_good_mirrors_of_one_piece(start: Start, connect: Connect, tmp_path: Path) -> None:
    """None is named, and it is fetched once: another copy would only take from the first one what may come."""
    servers = [start(SMALL.files) for _ in range(10)]
    sources = Sources([connect(server) for server in servers])
    with INFLOW.limited(100_000):
        took_s = timed(lambda: sources.fetch(SMALL.blob, tmp_path / "x"))
    assert (tmp_path / "x").read_bytes() == SMALL.data
    assert sources.faults == {}
    assert sources.dropped == ()
    assert 0.95 * 3.0 < took_s < OFTEN * 3.0
    assert sum(server.sent_bytes for server in servers) < 1.1 * len(SMALL.data)


def test_ten_good_mirrors_of_many_pieces(start: Start, connect: Connect, tmp_path: Path) -> None:
    made = noise(10 * MIB, seed=3)
    servers = [start(made.files) for _ in range(10)]
    sources = Sources([connect(server) for server in servers])
    with INFLOW.limited(2_000_000):
        took_s = timed(lambda: sources.fetch(made.blob, tmp_path / "x"))
    assert (tmp_path / "x").read_bytes() == made.data
    assert sources.faults == {}
    assert 0.95 * len(made.data) / 2e6 < took_s < OFTEN * len(made.data) / 2e6
    assert sum(server.sent_bytes for server in servers) < 1.3 * len(made.data)


def test_the_wait_for_an_answer(start: Start, connect: Connect) -> None:
    """Ten long heads at 10 kB/s: they have to wait for two seconds together, and a server may for half of one."""
    hasty = Patience(answer_s=0.5)

    def long_head(exchange: Exchange) -> None:
        exchange.answer(200, b"x", {"X-Long": "a" * 2000})

    places = [connect(start({"file": b"x"}, long_head), patience=hasty) for _ in range(10)]
    with INFLOW.limited(10_000):
        began = time.monotonic()
        assert together([partial(read_all, place, "file", limit_bytes=1) for place in places]) == []
        assert time.monotonic() - began > 1.9


def test_the_speed_of_an_answer(start: Start, connect: Connect) -> None:
    """Five of them at once, 4 kB/s each, which is less than half of what is asked of a server."""
    strict = Patience(slowest_bytes_per_s=10_000.0, window_s=0.3)
    server = start({"file": bytes(12_000)})
    places = [connect(server, patience=strict) for _ in range(5)]
    with INFLOW.limited(20_000):
        began = time.monotonic()
        assert together([partial(read_all, place, "file", limit_bytes=20_000) for place in places]) == []
        assert time.monotonic() - began > 0.95 * 3.0


def test_places_that_are_asked_all_at_once(start: Start, connect: Connect) -> None:
    """The first has a short answer and the others long ones, for which more time is needed than patience is there."""
    servers = [start({"file": bytes(size)}) for size in (500, 8000, 8000, 8000)]
    places = [connect(server) for server in servers]

    def ask(place: Transport) -> bytes:
        return read_all(place, "file", limit_bytes=10_000)

    with INFLOW.limited(10_000):
        answers = dict(ask_all(places, ask, patience_s=0.8))
    assert [answers[place] for place in places] == [bytes(500), bytes(8000), bytes(8000), bytes(8000)]


@pytest.mark.parametrize("limit", [0, 100_000])
@pytest.mark.parametrize(
    ("received", "age_s", "silent_s", "with_limit"),
    [(150_000, 1.5, 0.0, False), (150_000, 6.0, 0.4, False), (0, 0.4, 0.4, False), (150_000, 6.0, 1.2, True),
     (0, 1.2, 1.2, True), (3000, 10.0, 0.0, True)],
    ids=["at the limit", "a short silence", "late", "a silence", "no answer", "a dribble"],
)  # fmt: skip
def test_when_a_second_copy_is_asked_for(
    limit: int, received: int, age_s: float, silent_s: float, with_limit: bool
) -> None:
    """Of a limit, at which the piece takes three seconds, it would take its share from the first."""
    holder, other = [Source(Scripted(f"memory:{name}", SMALL.files, good)) for name in "ab"]
    board = Board(SMALL.blob.sha256, pieces_of(SMALL.blob), [holder, other], done=(), hedge_s=0.2, rest_s=1.0)
    claim = board.next(holder)
    assert claim is not None
    claim.hear(received)
    claim.began, claim.heard = claim.began - age_s, claim.heard - silent_s
    found: list[Claim | None] = []
    with INFLOW.limited(limit):
        thread = threading.Thread(target=lambda: found.append(board.next(other)))
        thread.start()
        thread.join(0.15)
        board.stop()
        thread.join(10)
    assert [one is not None for one in found] == [with_limit or not limit]


# Those who are to blame are found all the same


@pytest.mark.parametrize(
    "behaviour", [hostile.stall, hostile.stall_midway, hostile.dribble, hostile.lie, hostile.truncate, hostile.bomb]
)
def test_bad_mirrors_beside_a_good_one(behaviour: Behaviour, start: Start, connect: Connect, tmp_path: Path) -> None:
    bad = [start(SMALL.files, behaviour) for _ in range(3)]
    honest = start(SMALL.files)
    sources = Sources([connect(server) for server in (*bad, honest)])
    with INFLOW.limited(200_000):
        took_s = timed(lambda: sources.fetch(SMALL.blob, tmp_path / "x"))
    assert (tmp_path / "x").read_bytes() == SMALL.data
    assert took_s < 20
    assert honest.url not in sources.faults
    if behaviour is hostile.lie:
        assert sources.dropped
        assert set(sources.dropped) <= {server.url for server in bad}


@pytest.mark.parametrize("behaviour", [hostile.inform_forever, hostile.flood_headers, hostile.dribble_chunk_size])
def test_whoever_fills_the_limit_with_rubbish_is_given_up(behaviour: Behaviour, start: Start, connect: Connect) -> None:
    """Its time is ten times that of others at most."""
    hasty = Patience(answer_s=0.3, silence_s=0.3, window_s=0.3)
    place = connect(start({"file": bytes(1000)}, behaviour), patience=hasty)
    with INFLOW.limited(10_000):
        began = time.monotonic()
        with pytest.raises(TransportError):
            read_all(place, "file", limit_bytes=2000)
        assert time.monotonic() - began < 15


def test_a_silent_place_is_not_waited_for(start: Start, connect: Connect) -> None:
    servers = [start({"file": b"x"}), start({"file": b"x"}, hostile.stall)]
    places = [connect(server, patience=Patience()) for server in servers]
    with INFLOW.limited(10_000):
        answers = dict(ask_all(places, lambda place: read_all(place, "file", limit_bytes=9), patience_s=0.5))
    assert answers[places[0]] == b"x"
    assert isinstance(answers[places[1]], StalledError)


def test_closing_ends_the_wait_for_the_limit(start: Start, connect: Connect) -> None:
    place = connect(start({"file": bytes(5000)}))
    at_once = threading.Event()
    at_once.set()
    faults: list[BaseException] = []

    def read() -> None:
        faults.extend(together([partial(read_all, place, "file", limit_bytes=5000)]))

    with INFLOW.limited(10_000):
        INFLOW.take(300_000, until=at_once)  # others have their turns for half a minute
        thread = threading.Thread(target=read)
        thread.start()
        time.sleep(0.5)
        began = time.monotonic()
        place.close()
        thread.join(20)
        assert time.monotonic() - began < 5
    assert [isinstance(fault, EdgekitError) for fault in faults] == [True]
