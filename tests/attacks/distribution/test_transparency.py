"""Logs and witnesses: a release that nobody else was shown, and a log that shows one thing here and another there, T18.

The channel is good and every key of it is stolen: the releases here are well signed. What keeps them out is the log.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from edgekit.bundle.opening import open_bundle
from edgekit.bundle.release import read_release
from edgekit.errors import (
    DigestError,
    EdgekitError,
    InputError,
    MalformedError,
    NodeStateError,
    ProofError,
    RollbackError,
    SignatureError,
    SourcesError,
    SplitViewError,
    WitnessError,
)
from edgekit.node.update import Outcome
from edgekit.seal.keys import generate
from edgekit.transparency.splitview import read_evidence
from tests.attacks.distribution.realm import Realm
from tests.node.notary import Notary, leaf_of
from tests.node.scene import flip
from tests.transport import hostile_server
from tests.transport.hostile_server import HostileServer


@pytest.fixture
def notary(realm: Realm) -> Notary:
    """A log with the two releases that the node ran, 300 entries of others before them; the node's policy wants both
    witnesses, and the node has looked."""
    notary = Notary(realm.channel)
    notary.append(*(b"entry %d" % number for number in range(300)))
    for version in (1, 2):
        notary.record(bundle(realm, version))
    notary.watch(realm.node)
    assert realm.update().outcome is Outcome.UNCHANGED
    return notary


def bundle(realm: Realm, version: int) -> Path:
    """A release that was published before."""
    for path in sorted(realm.folder.glob("draft-*/net.edgekit")):
        with open_bundle(path) as found:
            if read_release(found.blobs, found.index_bytes).manifest.version == version:
                return path
    raise AssertionError(f"there is no version {version}")


def test_a_release_that_the_log_shows_is_installed(realm: Realm, notary: Notary) -> None:
    """What is refused below is refused for its own reason."""
    notary.record(realm.publish(3).path)
    assert realm.update().running.version == realm.answer() == 3
    assert realm.update().outcome is Outcome.UNCHANGED


def test_a_release_that_no_log_shows(realm: Realm, notary: Notary) -> None:
    realm.publish(3)
    with realm.refuses(ProofError, match="no mirror has a proof", learns=True):
        realm.update()
    assert not (realm.node / "slots" / "next").exists(), "nothing was even fetched"


def test_a_release_that_is_in_the_log_and_has_no_proof(realm: Realm, notary: Notary) -> None:
    notary.append(leaf_of(realm.publish(3).path))
    notary.cosign()
    with realm.refuses(ProofError, learns=True):
        realm.update()


def test_what_runs_already_is_asked_for_its_proof_too(realm: Realm) -> None:
    """A policy that comes later: what runs runs on, and every update says that nobody has shown it."""
    notary = Notary(realm.channel)
    notary.watch(realm.node)
    with realm.refuses(ProofError, match="version 2", learns=True):
        realm.update()
    notary.record(bundle(realm, 2))
    assert realm.update().outcome is Outcome.UNCHANGED


def test_the_proof_of_another_release(realm: Realm, notary: Notary) -> None:
    third = realm.publish(3).path
    notary.prove(third, notary.proof(bundle(realm, 2)))
    with realm.refuses(ProofError, match="does not lead", learns=True):
        realm.update()


def other_line(number: int) -> Callable[[bytes], bytes]:
    """Another first character in a line; of base64, so that it stays one."""

    def change(data: bytes) -> bytes:
        lines = data.split(b"\n")
        lines[number] = (b"B" if lines[number][:1] == b"A" else b"A") + lines[number][1:]
        return b"\n".join(lines)

    return change


FORGERIES: dict[str, tuple[Callable[[bytes], bytes], type[EdgekitError]]] = {
    "nothing": (lambda data: b"", MalformedError),
    "half of it": (lambda data: data[: len(data) // 2], MalformedError),
    "another index": (lambda data: data.replace(b"index 302", b"index 301"), ProofError),
    "an index beyond": (lambda data: data.replace(b"index 302", b"index 303"), ProofError),
    "another hash": (other_line(2), ProofError),
    "a hash less": (lambda data: b"\n".join([*data.split(b"\n")[:2], *data.split(b"\n")[3:]]), ProofError),
    "another size": (lambda data: data.replace(b"\n303\n", b"\n304\n"), SignatureError),
    "another root": (lambda data: other_line(data.split(b"\n").index(b"303") + 1)(data), SignatureError),
    "another log": (lambda data: data.replace(b"log.example/models", b"log.example/thief"), SignatureError),
    "endless": (lambda data: data + b"\n" * 2**20, EdgekitError),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_proof_that_was_forged(realm: Realm, notary: Notary, name: str) -> None:
    forge, error = FORGERIES[name]
    third = realm.publish(3).path
    notary.record(third)
    place = notary.prove(third)
    forged = forge(place.read_bytes())
    assert forged != place.read_bytes()
    place.write_bytes(forged)
    if error is EdgekitError:
        with realm.refuses(SourcesError, match="longer than", learns=True):
            realm.update()
    else:
        with realm.refuses(error, learns=True):
            realm.update()
    notary.prove(third)
    assert realm.update().running.version == 3


def test_a_log_of_the_same_name_by_another_key(realm: Realm, notary: Notary) -> None:
    """Whoever serves the channel makes a log of their own; the name says nothing."""
    third = realm.publish(3).path
    shutil.rmtree(realm.channel / "log")
    thief = Notary(realm.channel, generate("ed25519"))
    thief.witnesses = notary.witnesses
    thief.record(third)
    with realm.refuses(SignatureError, learns=True):
        realm.update()


@pytest.mark.parametrize("signed", [[], ["w0"], ["w1"]])
def test_too_few_witnesses(realm: Realm, notary: Notary, signed: list[str]) -> None:
    """The log's key is stolen as well, and some of the witnesses' are."""
    third = notary.record(realm.publish(3).path, witnesses=signed)
    with realm.refuses(WitnessError, match="did not", learns=True) as caught:
        realm.update()
    assert all(name in str(caught[0]) for name in ("w0", "w1"))
    notary.cosign()
    notary.prove(third)
    assert realm.update().running.version == 3


def test_witnesses_that_nobody_named(realm: Realm, notary: Notary) -> None:
    named = dict(notary.witnesses)
    notary.witnesses = {name: generate("ed25519") for name in named}
    notary.record(realm.publish(3).path)
    with realm.refuses(WitnessError, learns=True):
        realm.update()


@pytest.mark.parametrize("quorum", ["none", "all"])
@pytest.mark.parametrize("at", [0, 100, 301])
def test_a_log_that_forks(realm: Realm, notary: Notary, quorum: str, at: int) -> None:
    """Every key is in one hand, the witnesses' too: the node remembers what it was shown, and can show both heads.

    It does not forget either: the log is believed no more, also when it shows the honest history again.
    """
    notary.watch(realm.node, quorum)
    third = realm.publish(3).path
    shutil.move(realm.channel / "log", realm.folder / "before")
    forked = Notary.fork(notary_at(realm, notary), realm.channel, at=at)
    forked.append(*(b"other %d" % number for number in range(302 - at)))
    forked.record(third)
    with realm.refuses(SplitViewError, learns=True) as caught:
        realm.update()
    error = caught[0]
    assert isinstance(error, SplitViewError)
    assert [head.splitlines()[1] for head in error.heads] == ["302", "303"]
    (evidence,) = (realm.node / "trust" / "log" / "evidence").iterdir()
    assert str(evidence) in str(error)
    assert read_evidence(evidence.read_bytes()).heads == tuple(head.encode() for head in error.heads)
    shutil.rmtree(realm.channel / "log")
    shutil.copytree(realm.folder / "before", realm.channel / "log")
    with realm.refuses(SplitViewError, learns=True):
        realm.update()


def notary_at(realm: Realm, notary: Notary) -> Notary:
    """The log where it was moved to."""
    from edgekit.transparency.tile_log import TileLog

    notary.log = TileLog.open(realm.folder / "before")
    return notary


def test_a_fork_of_the_same_size(realm: Realm, notary: Notary) -> None:
    """Beside an honest copy of the log it is no less of a fork."""
    third = notary.record(realm.publish(3).path)
    honest = realm.mirror("honest")
    assert realm.update(honest.folder).running.version == 3
    shutil.move(realm.channel / "log", realm.folder / "before")
    other = Notary.fork(notary_at(realm, notary), realm.channel, at=302)
    other.append(leaf_of(third) + b" ")
    other.cosign()
    with realm.refuses(SplitViewError, learns=True):
        realm.update(realm.channel)
    with realm.refuses(SplitViewError, learns=True):
        realm.update(honest.folder, realm.channel)


def test_a_fork_that_shows_in_the_proof_alone(realm: Realm, notary: Notary) -> None:
    """The log itself is shown honestly; the proof is from another one that its key and all witnesses signed too."""
    third = realm.publish(3).path
    other = Notary.fork(notary, realm.folder / "elsewhere", at=100)
    other.append(*(b"other %d" % number for number in range(202)))
    other.record(third)
    notary.prove(third, other.proof(third))
    with realm.refuses(ProofError, match="nobody shows", learns=True):
        realm.update()
    notary.append(b"another")
    notary.cosign()
    with realm.refuses(SplitViewError, learns=True):
        realm.update()


def test_a_fork_that_was_let_pass_shows_as_soon_as_the_log_does(realm: Realm, notary: Notary) -> None:
    """Witnesses vouched for it, who were in the same hand, while no copy of the log was in reach."""
    third = realm.publish(3).path
    other = Notary.fork(notary, realm.folder / "elsewhere", at=100)
    other.append(*(b"other %d" % number for number in range(202)))
    other.record(third)
    notary.prove(third, other.proof(third))
    notary.append(b"another")
    shutil.move(realm.channel / "log", realm.folder / "before")
    assert realm.update().running.version == 3
    assert any("vouch" in line for line in realm.told)
    shutil.move(realm.folder / "before", realm.channel / "log")
    with realm.refuses(SplitViewError, learns=True):
        realm.update()


def test_a_log_that_goes_backwards(realm: Realm, notary: Notary) -> None:
    older = realm.folder / "older"
    shutil.copytree(realm.channel / "log", older)
    notary.record(realm.publish(3).path)
    assert realm.update().running.version == 3
    realm.publish(4)
    shutil.rmtree(realm.channel / "log")
    shutil.copytree(older, realm.channel / "log")
    with realm.refuses(RollbackError, match="302 entries", learns=True):
        realm.update()
    assert realm.answer() == 3


def test_a_stale_copy_of_the_log_is_named_beside_a_current_one(realm: Realm, notary: Notary) -> None:
    stale = realm.mirror("stale")
    notary.record(realm.publish(3).path)
    shutil.copytree(realm.channel / "metadata", stale.folder / "metadata", dirs_exist_ok=True)
    updated = realm.update(realm.channel, stale.folder)
    assert updated.running.version == realm.answer() == 3
    assert "its log is stale" in updated.faults[str(stale.folder)]


def test_a_copy_of_the_log_whose_tiles_are_others(realm: Realm, notary: Notary) -> None:
    """The head is right, and what it is made of is not: that is the mirror's fault, and no fork."""
    notary.record(realm.publish(3).path)
    mirror = realm.mirror("mirror")
    for tile in (mirror.folder / "log" / "tile").rglob("*"):
        if tile.is_file():
            flip(tile)
    with realm.refuses(ProofError, match="nobody shows", learns=True):
        realm.update(mirror.folder)
    assert not (realm.node / "trust" / "log" / "evidence").exists()
    updated = realm.update(mirror.folder, realm.channel)
    assert updated.running.version == realm.answer() == 3


def test_a_bad_proof_beside_a_good_one(realm: Realm, notary: Notary) -> None:
    notary.record(realm.publish(3).path)
    mirror = realm.mirror("mirror")
    for place in (mirror.folder / "proofs").iterdir():
        place.write_bytes(b"not a proof")
    assert realm.update(mirror.folder, realm.channel).running.version == realm.answer() == 3


@pytest.mark.parametrize("quorum", ["none", "all"])
def test_a_log_that_is_out_of_reach(realm: Realm, notary: Notary, quorum: str) -> None:
    """The word of witnesses will do, which the proof brings along; where none is asked for, nothing will."""
    notary.watch(realm.node, quorum)
    notary.record(realm.publish(3).path)
    shutil.rmtree(realm.channel / "log")
    if quorum == "none":
        with realm.refuses(SourcesError, match="whether the log shows", learns=True):
            realm.update()
        return
    updated = realm.update()
    assert updated.running.version == realm.answer() == 3
    assert "its log" in updated.faults[str(realm.channel)]
    assert any("witnesses vouch" in line for line in realm.told)


@pytest.mark.usefixtures("hasty")
def test_a_log_that_never_answers(realm: Realm, notary: Notary) -> None:
    """It costs its patience, and keeps no release from those who have a proof."""
    notary.record(realm.publish(3).path)

    def silent(exchange: hostile_server.Exchange) -> None:
        (hostile_server.stall if exchange.name.startswith("log/") else hostile_server.serve)(exchange)

    with HostileServer(realm.channel, silent) as server:
        assert realm.update(server.url).running.version == realm.answer() == 3


@pytest.mark.parametrize("file", ["policy.txt", "memory"])
def test_a_policy_or_a_memory_that_was_damaged(realm: Realm, notary: Notary, file: str) -> None:
    """Neither is taken for a milder one: no update, until somebody has looked."""
    notary.record(realm.publish(3).path)
    (memory,) = (realm.node / "trust" / "log").glob("*.checkpoint")
    path = realm.node / file if file == "policy.txt" else memory
    whole = path.read_bytes()
    error = DigestError if file == "policy.txt" else MalformedError
    for data in (whole[:-1], b"", whole.replace(b"all", b"any") if b"all" in whole else b"x" + whole):
        path.write_bytes(data)
        with realm.refuses(error, learns=True):
            realm.update()
    if file == "policy.txt":
        path.unlink()
        with realm.refuses(NodeStateError, learns=True):
            realm.update()
    path.write_bytes(whole)
    assert realm.update().running.version == realm.answer() == 3


def test_a_policy_that_is_none(realm: Realm, notary: Notary) -> None:
    """Of a node whose owner changes the file at will, and made a mistake."""
    settings = realm.node / "node.toml"
    lines = settings.read_text().splitlines(keepends=True)
    settings.write_text("".join(line for line in lines if "policy_sha256" not in line))
    notary.record(realm.publish(3).path)
    for text in ("quorum none\n", "log x\nquorum none\n", "quorum all\n", ""):
        (realm.node / "policy.txt").write_text(text)
        with realm.refuses(InputError, learns=True):
            realm.update()
    (realm.node / "policy.txt").write_bytes(notary.policy("1"))
    assert realm.update().running.version == 3


def test_a_stricter_policy_counts_from_the_next_update_on(realm: Realm, notary: Notary) -> None:
    """What was proven enough is proven again by what counts now."""
    notary.watch(realm.node, "1")
    third = notary.record(realm.publish(3).path, witnesses=["w1"])
    assert realm.update().running.version == 3
    notary.watch(realm.node, "all")
    with realm.refuses(WitnessError, learns=True):
        realm.update()
    notary.cosign()
    notary.prove(third)
    assert realm.update().outcome is Outcome.UNCHANGED


def test_a_revoked_version_stops_without_a_proof(realm: Realm, notary: Notary) -> None:
    """Who may revoke needs no log for it: that stops a model, and runs none."""
    realm.publish(3, oldest=3)
    with pytest.raises(ProofError):
        realm.update()
    with pytest.raises(NodeStateError, match="revoked"):
        realm.answer()
