"""Entries into a log, cosigned: what can be refused is refused before, and nothing is logged twice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from edgekit.errors import InputError, RecipeError, SignatureError, StorageError, WitnessError
from edgekit.seal.keys import generate
from edgekit.transparency.memory import CheckpointMemory
from edgekit.transparency.note import SignedNote, read_note, write_note
from edgekit.transparency.policy import Policy, read_policy
from edgekit.transparency.proof import check_proof
from edgekit.transparency.submission import adopt, gather, prove, submit, witness_places
from edgekit.transparency.tile_log import TileLog
from edgekit.transparency.witness import Reply, Witness
from edgekit.transparency.witness_server import serve
from tests.transparency.tiled_log import TiledLog, leaf


class Town:
    """A log, and two witnesses; a test decides which of them are there.

    Attributes:
        log: The log.
        witnesses: By name in the policy.
        urls: The same, where they answer.
    """

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.log = TiledLog(folder / "log")
        self.witnesses = {
            name: Witness(CheckpointMemory(folder / name), f"{name}.example", generate("ed25519"), [self.log.key])
            for name in ("ada", "bob")
        }
        self.urls: dict[str, str] = {}
        self._stack = stack

    def start(self, *names: str) -> None:
        for name in names:
            server = self._stack.enter_context(serve(self.witnesses[name], "127.0.0.1", 0))
            self.urls[name] = f"http://127.0.0.1:{server.port}"

    def policy(self, quorum: str = "all", *, urls: bool = True) -> Policy:
        lines = [f"log {self.log.key}"]
        for name, witness in self.witnesses.items():
            lines.append(f"witness {name} {witness.key} {self.urls.get(name, '') if urls else ''}")
        return read_policy("\n".join([*lines, f"group both {quorum} ada bob", "quorum both", ""]))


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    with ExitStack() as stack:
        yield Town(tmp_path, stack)


def test_an_entry_with_its_proof(town: Town) -> None:
    town.start("ada", "bob")
    policy = town.policy()
    for version in (1, 2, 3):
        done = submit(town.log.log, leaf(version=version), town.log.secret, policy=policy)
        assert (done.index, done.checkpoint.size, done.is_new) == (version - 1, version, True)
        assert (set(done.witnesses), done.faults) == ({"ada", "bob"}, {})
        proven = check_proof(done.proof, leaf(version=version), policy)
        assert proven.index == version - 1
    assert len(town.log.log.note.splitlines()) == 7


def test_without_a_policy_nobody_is_asked(town: Town) -> None:
    done = submit(town.log.log, b"entry", town.log.secret)
    assert (done.index, dict(done.witnesses)) == (0, {})
    check_proof(done.proof, b"entry", read_policy(f"log {town.log.key}\nquorum none\n"))


def test_twice_is_once(town: Town) -> None:
    town.start("ada", "bob")
    first = submit(town.log.log, leaf(), town.log.secret, policy=town.policy())
    town.log.grow(300)
    again = submit(town.log.log, leaf(), town.log.secret, policy=town.policy())
    assert (again.index, again.is_new, again.checkpoint.size) == (0, False, 301)
    assert (first.is_new, first.checkpoint.size) == (True, 1)
    check_proof(again.proof, leaf(), town.policy())


def test_a_quorum_that_is_missing_can_be_made_up_for(town: Town) -> None:
    town.start("ada")
    town.urls["bob"] = "http://127.0.0.1:9"
    with pytest.raises(WitnessError, match="ada did, bob did not") as caught:
        submit(town.log.log, leaf(), town.log.secret, policy=town.policy())
    assert "http://127.0.0.1:9: cannot be reached" in str(caught.value)
    assert "do the same again" in caught.value.hint
    assert submit(town.log.log, leaf(), town.log.secret, policy=town.policy("any")).is_new is False
    town.start("bob")
    done = submit(town.log.log, leaf(), town.log.secret, policy=town.policy())
    assert (done.is_new, town.log.log.checkpoint.size, set(done.witnesses)) == (False, 1, {"ada", "bob"})


def test_who_signed_is_not_asked_again(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    town.start("ada", "bob")
    submit(town.log.log, leaf(), town.log.secret, policy=town.policy())
    asked: list[bytes] = []
    monkeypatch.setattr(Witness, "add_checkpoint", lambda self, data: asked.append(data))
    submit(town.log.log, leaf(), town.log.secret, policy=town.policy())
    assert asked == []


def test_what_can_be_refused_is_refused_before(town: Town) -> None:
    other = read_policy(f"log {TiledLog(town.log.folder.with_name('other')).key}\nquorum none\n")
    with pytest.raises(SignatureError, match="the policy does not know the log"):
        submit(town.log.log, leaf(), town.log.secret, policy=other)
    with pytest.raises(RecipeError, match=r"nothing says whose cosignatures count at http://w\.example"):
        submit(town.log.log, leaf(), town.log.secret, witnesses=["http://w.example"])
    text = f"log {town.log.key}\nwitness ada {town.witnesses['ada'].key} ftp://w.example\nquorum none\n"
    with pytest.raises(InputError, match="is no URL"):
        submit(town.log.log, leaf(), town.log.secret, policy=read_policy(text))
    with pytest.raises(SignatureError):
        submit(town.log.log, leaf(), generate("ed25519"))
    with pytest.raises(InputError, match="65536 bytes"):
        submit(town.log.log, bytes(65536), town.log.secret)
    assert town.log.log.checkpoint.size == 0


def test_witnesses_whose_place_is_told_apart_from_the_policy(town: Town) -> None:
    town.start("ada", "bob")
    urls = [*town.urls.values(), town.urls["ada"] + "/"]
    done = submit(town.log.log, leaf(), town.log.secret, policy=town.policy(urls=False), witnesses=urls)
    assert set(done.witnesses) == {"ada", "bob"}
    places = witness_places(town.policy(), urls)
    assert [place.url for place in places] == list(town.urls.values())


def test_several_witnesses_at_one_place(town: Town) -> None:
    town.urls = dict.fromkeys(town.witnesses, "http://w.example")
    (place,) = witness_places(town.policy())
    assert place.keys == tuple(each.key for each in town.witnesses.values())


def test_an_append_that_was_cut_off_is_finished_first(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was decided and not signed: the entry is there, and must not be written a second time."""

    class PowerCutError(Exception):
        pass

    def cut(*_: object) -> None:
        raise PowerCutError

    with monkeypatch.context() as patch:
        patch.setattr("edgekit.transparency.tile_log.sign_checkpoint", cut)
        with pytest.raises(PowerCutError):
            submit(town.log.log, leaf(), town.log.secret)
    assert town.log.log.is_unfinished
    done = submit(town.log.log, leaf(), town.log.secret)
    assert (done.is_new, done.index, done.checkpoint.size) == (False, 0, 1)


def test_cosignatures_that_came_by_themselves(town: Town) -> None:
    town.log.grow(3)
    policy, log = town.policy(), town.log.log
    notes = [witness.cosign(log.note) for witness in town.witnesses.values()]
    stranger = Witness(
        CheckpointMemory(log.folder.with_name("s")), "eve.example", generate("ed25519"), [town.log.key]
    ).cosign(log.note)
    assert adopt(log, policy, [*notes, stranger]) == ["ada", "bob"]
    assert adopt(log, policy, [stranger]) == []
    assert b"eve.example" not in log.note
    check_proof(prove(log, 1), b"entry 1", policy)
    mine, theirs = read_note(notes[0]).signatures
    spoiled = replace(theirs, signature=theirs.signature[:-1] + bytes([theirs.signature[-1] ^ 1]))
    with pytest.raises(SignatureError, match="does not verify"):
        adopt(log, policy, [write_note(SignedNote(log.checkpoint.text, (mine, spoiled)))])
    town.log.grow(1)
    with pytest.raises(InputError, match="not the log's head"):
        adopt(log, policy, notes)


def test_a_fork_is_seen_by_the_witnesses(town: Town) -> None:
    """The log's owner logs other things in a copy: whoever saw the first history does not sign the second."""
    town.start("ada", "bob")
    town.log.grow(2)
    other = town.log.copy("other")
    submit(town.log.log, leaf(version=1), town.log.secret, policy=town.policy())
    with pytest.raises(WitnessError, match="ada, bob did not") as caught:
        submit(other.log, leaf(version=1, salt="another"), town.log.secret, policy=town.policy())
    assert "has cosigned another tree of 3 entries" in str(caught.value)
    for name in town.witnesses:
        assert len(CheckpointMemory(town.log.folder.with_name(name)).evidence()) == 1


def test_another_process_appends_while_witnesses_are_asked(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their cosignatures are of a head that is the newest no more: they are asked again about the one that is."""
    town.start("ada", "bob")
    others = iter([leaf(version=9), leaf(version=10)])
    answer = Witness.add_checkpoint

    def slow(self: Witness, data: bytes) -> Reply:
        if self is town.witnesses["ada"] and (other := next(others, None)):
            TileLog.open(town.log.folder).append([other], town.log.secret)
        return answer(self, data)

    monkeypatch.setattr(Witness, "add_checkpoint", slow)
    done = submit(town.log.log, leaf(), town.log.secret, policy=town.policy())
    assert (done.index, done.checkpoint.size, set(done.witnesses)) == (0, 3, {"ada", "bob"})
    check_proof(done.proof, leaf(), town.policy())


def test_a_log_that_others_append_to_all_the_time(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    town.start("ada")
    answer = Witness.add_checkpoint

    def busy(self: Witness, data: bytes) -> Reply:
        TileLog.open(town.log.folder).append([data[:9]], town.log.secret)
        return answer(self, data)

    monkeypatch.setattr(Witness, "add_checkpoint", busy)
    with pytest.raises(StorageError, match="all the time"):
        submit(town.log.log, leaf(), town.log.secret, policy=town.policy("any"))
    monkeypatch.setattr(Witness, "add_checkpoint", answer)
    assert submit(town.log.log, leaf(), town.log.secret, policy=town.policy("any")).is_new is False


def test_gathering_for_a_head_to_which_nothing_is_added(town: Town) -> None:
    town.start("ada")
    town.log.grow(3)
    faults = gather(town.log.log, town.log.key, witness_places(town.policy()))
    assert (faults, b"ada.example" in town.log.log.note) == ({}, True)
