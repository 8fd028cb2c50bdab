"""Logging releases: the proof lies in the channel, and nothing is logged twice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from edgekit.bundle.opening import open_bundle
from edgekit.bundle.release import Release, read_release
from edgekit.channel.names import proof_file
from edgekit.errors import InputError, RecipeError, RollbackError, SignatureError, WitnessError
from edgekit.publish.publishing import publish
from edgekit.publish.release_log import LogSettings, log_release
from edgekit.seal.keys import generate
from edgekit.transparency.memory import CheckpointMemory
from edgekit.transparency.note import VerifierKey
from edgekit.transparency.policy import Policy, read_policy
from edgekit.transparency.proof import check_proof
from edgekit.transparency.tile_log import TileLog, found_log
from edgekit.transparency.witness import Witness
from edgekit.transparency.witness_server import serve
from edgekit.types.release_leaf import read_leaf
from tests.publish.lab import Lab

ORIGIN = "models.example.org/log"


class LogLab:
    """A lab whose releases are logged, and a witness who answers where a test wants it."""

    def __init__(self, lab: Lab, folder: Path, stack: ExitStack) -> None:
        self.lab = lab
        self.key = generate("ed25519")
        self.log = found_log(folder / "log", ORIGIN, self.key)
        vkey = VerifierKey(ORIGIN, self.key.public)
        self.witness = Witness(CheckpointMemory(folder / "ada"), "ada.example", generate("ed25519"), [vkey])
        server = stack.enter_context(serve(self.witness, "127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{server.port}"
        self._vkey = vkey

    def policy(self, *, url: str | None = None) -> Policy:
        where = self.url if url is None else url
        return read_policy(f"log {self._vkey}\nwitness ada {self.witness.key} {where}\nquorum ada\n")

    def settings(self, *, url: str | None = None) -> LogSettings:
        return LogSettings(self.log.folder, self.key, self.policy(url=url))

    def release(self, version: int) -> Release:
        with open_bundle(self.lab.bundle(version)) as opened:
            return read_release(opened.blobs, opened.index_bytes)

    @property
    def size(self) -> int:
        return TileLog.open(self.log.folder).checkpoint.size


@pytest.fixture
def town(lab: Lab, tmp_path: Path) -> Iterator[LogLab]:
    with ExitStack() as stack:
        yield LogLab(lab, tmp_path, stack)


def test_a_release_and_its_proof(town: LogLab) -> None:
    for version in (1, 2):
        release = town.release(version)
        logged = log_release(town.lab.place, release, town.settings())
        assert (logged.index, logged.size, logged.is_new) == (version - 1, version, True)
        assert logged.proof == proof_file(release.index_digest)
        proven = check_proof(town.lab.place.files[logged.proof], release.leaf.to_bytes(), town.policy())
        assert (proven.index, list(proven.witnesses)) == (version - 1, ["ada"])
        assert str(logged) == f"logged in {ORIGIN} as entry {version - 1} of {version}, cosigned by ada"


def test_what_is_logged_of_a_release(town: LogLab) -> None:
    release = town.release(3)
    log_release(town.lab.place, release, replace(town.settings(), policy=None))
    leaf = read_leaf(TileLog.open(town.log.folder).entry(0))
    assert (leaf.name, leaf.version, leaf.semver) == ("vision/lite0", 3, "3.0.0")
    assert (leaf.release, leaf.bundle) == (release.index_digest, release.image_index.sha256)


def test_again_it_is_not_logged_again(town: LogLab) -> None:
    release = town.release(1)
    first = log_release(town.lab.place, release, town.settings())
    log_release(town.lab.place, town.release(2), town.settings())
    del town.lab.place.files[first.proof]
    again = log_release(town.lab.place, release, town.settings())
    assert (again.index, again.size, again.is_new, town.size) == (0, 2, False, 2)
    assert str(again).startswith("logged before in ")
    check_proof(town.lab.place.files[first.proof], release.leaf.to_bytes(), town.policy())


def test_without_the_witness_there_is_no_proof(town: LogLab) -> None:
    before = dict(town.lab.place.files)
    with pytest.raises(WitnessError, match="nobody did, ada did not"):
        log_release(town.lab.place, town.release(1), town.settings(url="http://127.0.0.1:9"))
    assert town.lab.place.files == before
    assert log_release(town.lab.place, town.release(1), town.settings()).is_new is False


def test_where_there_is_no_log(town: LogLab, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no log"):
        log_release(town.lab.place, town.release(1), replace(town.settings(), folder=tmp_path / "nowhere"))


def test_publish_logs_before_it_makes_current(town: LogLab) -> None:
    lab = town.lab
    settings = replace(lab.settings(), log=town.settings())
    done = publish(lab.bundle(1), lab.place, settings, now=lab.now)
    assert done.is_current
    assert done.logged is not None
    assert done.logged.is_new
    order = lab.place.writes
    proof = order.index(done.logged.proof)
    assert max(place for place, name in enumerate(order) if name.startswith("blobs/")) < proof
    assert proof < order.index("metadata/2.vision.json") < len(order) - 1
    assert order[-1] == "metadata/timestamp.json"
    again = publish(lab.bundle(1), lab.place, settings, now=lab.now)
    assert again.change is None
    assert again.logged is not None
    assert (again.logged.is_new, town.size) == (False, 1)


def test_publish_tells_nobody_where_the_witness_is_missing(town: LogLab) -> None:
    lab = town.lab
    metadata = {name: data for name, data in lab.place.files.items() if name.startswith("metadata/")}
    settings = replace(lab.settings(), log=town.settings(url="http://127.0.0.1:9"))
    with pytest.raises(WitnessError):
        publish(lab.bundle(1), lab.place, settings, now=lab.now)
    assert {name: data for name, data in lab.place.files.items() if name.startswith("metadata/")} == metadata


def test_publish_moves_nothing_where_it_could_not_log(town: LogLab, tmp_path: Path) -> None:
    """No log, another key, a policy of another log: told before a bundle of any size is moved."""
    lab, right = town.lab, town.settings()
    before = dict(lab.place.files)
    for wrong, error in (
        (replace(right, folder=tmp_path / "nowhere"), InputError),
        (replace(right, key=generate("ed25519")), SignatureError),
        (replace(right, policy=None, witnesses=("http://127.0.0.1:9",)), RecipeError),
    ):
        with pytest.raises(error):
            publish(lab.bundle(1), lab.place, replace(lab.settings(), log=wrong), now=lab.now)
        assert lab.place.files == before


def test_publish_logs_nothing_that_it_would_refuse(town: LogLab) -> None:
    lab = town.lab
    settings = replace(lab.settings(), log=town.settings())
    publish(lab.bundle(2), lab.place, settings, now=lab.now)
    with pytest.raises(RollbackError):
        publish(lab.bundle(1), lab.place, settings, now=lab.now)
    with pytest.raises(SignatureError):
        publish(lab.bundle(3, signer=generate("p256")), lab.place, settings, now=lab.now)
    assert town.size == 1
