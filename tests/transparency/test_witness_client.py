"""Asking witnesses: honest ones over HTTP, and every bad one that was thought of."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from edgekit.errors import InputError, SignatureError
from edgekit.seal.keys import MemoryKey, generate
from edgekit.transparency.cosignature import check_cosignature, cosign
from edgekit.transparency.memory import CheckpointMemory
from edgekit.transparency.note import COSIGNATURE, VerifierKey, read_note, sign
from edgekit.transparency.witness import Witness
from edgekit.transparency.witness_client import Asked, WitnessPlace, ask_witnesses
from edgekit.transparency.witness_server import serve
from tests.transparency.growing_log import GrowingLog
from tests.transport.hostile_server import Exchange, HostileServer

Join = Callable[[str], tuple[WitnessPlace, Witness]]
Answer = Callable[[Exchange], None]


@pytest.fixture
def started() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def log() -> GrowingLog:
    return GrowingLog().grow(5)


@pytest.fixture
def join(started: ExitStack, tmp_path: Path, log: GrowingLog) -> Join:
    """Starts an honest witness."""

    def join(name: str) -> tuple[WitnessPlace, Witness]:
        witness = Witness(CheckpointMemory(tmp_path / name), f"{name}.example", generate("ed25519"), [log.key])
        server = started.enter_context(serve(witness, "127.0.0.1", 0))
        return WitnessPlace(f"http://127.0.0.1:{server.port}", (witness.key,)), witness

    return join


def ask(log: GrowingLog, *places: WitnessPlace, old_size: int = 0, deadline_s: float = 10.0) -> Asked:
    return ask_witnesses(log.note(), log.key, places, log.proof, old_size=old_size, deadline_s=deadline_s)


def test_all_witnesses_are_asked(log: GrowingLog, join: Join) -> None:
    places = [join(name)[0] for name in ("ada", "bob")]
    for _ in range(2):
        log.grow(20)
        asked = ask(log, *places)
        assert asked.faults == {}
        note = read_note(asked.note)
        for place in places:
            assert abs(check_cosignature(note, place.keys[0]) - time.time()) < 60
        assert set(asked.times) == {"ada.example", "bob.example"}
        assert len(note.signatures) == 3


def test_a_guess_spares_a_question(log: GrowingLog, join: Join) -> None:
    place, _ = join("ada")
    ask(log, place)
    log.grow(3)
    asked: list[int] = []

    def prove(old: int) -> list[bytes]:
        asked.append(old)
        return log.proof(old)

    assert ask_witnesses(log.note(), log.key, [place], prove, old_size=5).faults == {}
    assert asked == [5]
    log.grow(3)
    assert ask_witnesses(log.note(), log.key, [place], prove, old_size=3).faults == {}
    assert asked == [5, 3, 8]


def test_a_witness_that_is_ahead_or_knows_another_history(log: GrowingLog, join: Join) -> None:
    place, _ = join("ada")
    ask(log, place)
    forked = log.fork(2)
    assert "has seen this log with 5 entries; this head has 2" in ask(forked, place).faults[place.url]
    forked.grow(3, "another")
    assert "has cosigned another tree of 5 entries" in ask(forked, place).faults[place.url]
    forked.grow(3, "another")
    assert "refused with status 422" in ask(forked, place).faults[place.url]


def test_a_witness_of_other_logs(log: GrowingLog, join: Join) -> None:
    place, _ = join("ada")
    other = GrowingLog(origin="example.org/other").grow(2)
    assert "status 404: this witness does not know that log" in ask(other, place).faults[place.url]


def test_proofs_are_asked_for_one_at_a_time(log: GrowingLog, join: Join) -> None:
    """A log on a disk is not made for several threads."""
    places = [join(name)[0] for name in ("ada", "bob", "cyd", "dan")]
    ask(log, *places)
    log.grow(9)
    inside: list[int] = []

    def prove(old: int) -> list[bytes]:
        inside.append(old)
        time.sleep(0.1)
        assert inside == [old]
        inside.clear()
        return log.proof(old)

    assert ask_witnesses(log.note(), log.key, places, prove).faults == {}


def test_only_the_log_itself_can_ask(log: GrowingLog, join: Join) -> None:
    place, _ = join("ada")
    with pytest.raises(SignatureError):
        ask_witnesses(GrowingLog(log.entries).note(), log.key, [place], log.proof)


def test_no_urls_and_the_same_twice(log: GrowingLog, join: Join) -> None:
    place, _ = join("ada")
    with pytest.raises(InputError, match="twice"):
        ask(log, place, place)
    with pytest.raises(InputError, match="no URL"):
        ask(log, WitnessPlace("file:/etc", place.keys))


def answering(body: Callable[[GrowingLog, MemoryKey], bytes], log: GrowingLog, secret: MemoryKey) -> Answer:
    return lambda exchange: exchange.answer(200, body(log, secret))


def signed(text: str, secret: MemoryKey, *, when: int | None = None) -> bytes:
    return str(cosign(text, "evil.example", secret, int(time.time()) if when is None else when)).encode()


BAD_ANSWERS: dict[str, tuple[Callable[[GrowingLog, MemoryKey], bytes], str]] = {
    "another head of the log": (lambda log, key: signed(log.head(3).text, key), "does not verify"),
    "another key": (lambda log, key: signed(log.head().text, generate("ed25519")), "no cosignature by a key"),
    "a plain signature": (
        lambda log, key: str(sign(log.head().text, "evil.example", key)).encode(),
        "no cosignature by a key",
    ),
    "one from the future": (
        lambda log, key: signed(log.head().text, key, when=int(time.time()) + 4000),
        "s in the future",
    ),
    "nothing": (lambda log, key: b"", "no signatures"),
    "a page": (lambda log, key: b"<html>hello</html>\n", "no signatures"),
    "no UTF-8": (lambda log, key: b"\xff\xfe\n", "no signatures"),
    "a text of its own": (
        lambda log, key: b"another line\n\n" + signed(log.head().text, key),
        "holds more than signatures",
    ),
    "too much": (lambda log, key: b"x" * 2**20, "answers with more than"),
}


@pytest.mark.parametrize("name", BAD_ANSWERS)
def test_a_witness_that_lies(name: str, log: GrowingLog, join: Join, started: ExitStack) -> None:
    """It is named, adds nothing to the checkpoint, and the honest one counts."""
    make, told = BAD_ANSWERS[name]
    good, _ = join("ada")
    secret = generate("ed25519")
    server = started.enter_context(HostileServer({}, answering(make, log, secret)))
    evil = WitnessPlace(server.url, (VerifierKey("evil.example", secret.public, COSIGNATURE),))
    asked = ask(log, evil, good)
    assert told in asked.faults[evil.url]
    assert list(asked.faults) == [evil.url]
    assert {each.name for each in read_note(asked.note).signatures} == {log.key.name, "ada.example"}


def test_a_replayed_cosignature_counts_for_its_own_head_only(log: GrowingLog, started: ExitStack) -> None:
    secret = generate("ed25519")
    replayed = signed(log.head().text, secret, when=1_700_000_000)
    server = started.enter_context(HostileServer({}, lambda exchange: exchange.answer(200, replayed)))
    place = WitnessPlace(server.url, (VerifierKey("evil.example", secret.public, COSIGNATURE),))
    assert ask(log, place).times == {"evil.example": 1_700_000_000}  # it says when it was made
    log.grow(1)
    assert "does not verify" in ask(log, place).faults[place.url]


@pytest.mark.parametrize(
    ("behaviour", "told"),
    [
        (lambda exchange: exchange.answer(409, b"many\n"), "no decimal"),
        (lambda exchange: exchange.answer(409, b"9" * 40 + b"\n"), "no decimal"),
        (lambda exchange: exchange.answer(409, b"4\n"), "refused with status 409"),
        (lambda exchange: exchange.answer(500, b"oh\x1b[2J no"), "refused with status 500"),
        (lambda exchange: exchange.answer(302, b"", {"Location": "http://127.0.0.1:9/"}), "refused with status 302"),
    ],
    ids=["409 with a word", "409 with a large number", "409 again and again", "500", "a redirect"],
)
def test_a_witness_that_talks_nonsense(behaviour: Answer, told: str, log: GrowingLog, started: ExitStack) -> None:
    server = started.enter_context(HostileServer({}, behaviour))
    place = WitnessPlace(server.url, (VerifierKey("evil.example", generate("ed25519").public, COSIGNATURE),))
    asked = ask(log, place)
    assert told in asked.faults[place.url]
    assert asked.faults[place.url].isprintable()
    assert asked.note == log.note()
    assert len(server.seen) <= 2


def test_a_witness_that_never_answers_is_passed_over(log: GrowingLog, join: Join, started: ExitStack) -> None:
    good, _ = join("ada")
    silent = started.enter_context(HostileServer({}, lambda exchange: exchange.wait()))
    dripping = started.enter_context(HostileServer({}, drip))
    gone = started.enter_context(HostileServer({}))
    gone.close()
    keys = good.keys
    began = time.monotonic()
    places = [WitnessPlace(server.url, keys) for server in (silent, dripping, gone)]
    asked = ask(log, *places, good, deadline_s=1.5)
    assert time.monotonic() - began < 4
    assert set(asked.faults) == {silent.url, dripping.url, gone.url}
    assert "did not answer within 1.5 s" in asked.faults[silent.url]
    assert "cannot be reached" in asked.faults[gone.url]
    assert list(asked.times) == ["ada.example"]


def drip(exchange: Exchange) -> None:
    """A byte now and then, for ever."""
    exchange.head(200, {"Content-Length": "4000"})
    while not exchange.server.closing.wait(0.05):
        exchange.send(b"x")


def test_a_witness_that_came_back_is_asked_from_where_it_was(log: GrowingLog, join: Join) -> None:
    place, witness = join("ada")
    ask(log, place)
    log.grow(40)
    log.grow(40)
    assert ask(log, place).faults == {}
    assert witness.logs == (log.key,)
