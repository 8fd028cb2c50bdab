"""The delta index as readers find it: signed with the release, from any mirror, and never in its way."""

from __future__ import annotations

from pathlib import Path

import pytest
from tuf.api.metadata import TargetFile

from edgekit.channel.client import LARGEST_INDEX_BYTES, Followed, fetch_deltas, follow
from edgekit.digest import of_bytes
from edgekit.errors import AbsentError, DigestError, LengthError, UnknownTargetError
from tests.channel.memory import MemoryTransport
from tests.channel.repository import Repository

MODEL = "vision/lite0"
INDEX = b'{"deltas":[],"schema":"edgekit.deltas/1"}'
NAME = f"targets/vision/{of_bytes(INDEX)}.lite0+deltas.json"


@pytest.fixture
def repository() -> Repository:
    made = Repository()
    made.release(MODEL)
    made.release(f"{MODEL}+deltas", index=INDEX, custom={})
    made.publish()
    return made


def find(repository: Repository, folder: Path, *mirrors: MemoryTransport) -> Followed:
    root, now = repository.first_root, repository.now
    return follow(MODEL, mirrors or [repository.mirror()], folder, root=root, clock=lambda: now)


def test_it_is_found_without_another_request(repository: Repository, tmp_path: Path) -> None:
    mirror = repository.mirror()
    found = find(repository, tmp_path, mirror)
    assert found.deltas is not None
    assert (found.deltas.sha256, found.deltas.size_bytes) == (of_bytes(INDEX), len(INDEX))
    assert not [name for name, _ in mirror.reads if "deltas" in name]
    assert fetch_deltas(found, [mirror]) == INDEX


def test_a_channel_without(tmp_path: Path) -> None:
    repository = Repository()
    repository.release(MODEL)
    repository.publish()
    found = find(repository, tmp_path)
    assert found.deltas is None
    with pytest.raises(UnknownTargetError):
        fetch_deltas(found, [repository.mirror()])


@pytest.mark.parametrize(
    "target",
    [
        TargetFile(0, {"sha256": of_bytes(INDEX)}, f"{MODEL}+deltas.json"),
        TargetFile(LARGEST_INDEX_BYTES + 1, {"sha256": of_bytes(INDEX)}, f"{MODEL}+deltas.json"),
        TargetFile(len(INDEX), {"sha512": "ab"}, f"{MODEL}+deltas.json"),
        TargetFile(len(INDEX), {"sha256": "../../x"}, f"{MODEL}+deltas.json"),
    ],
)
def test_one_that_cannot_be_is_as_good_as_none(repository: Repository, tmp_path: Path, target: TargetFile) -> None:
    repository.families["vision"].targets[target.path] = target
    repository.publish()
    assert find(repository, tmp_path).deltas is None


def test_that_of_another_family_is_not_looked_at(tmp_path: Path) -> None:
    """The family audio signs a delta index for a model of vision."""
    repository = Repository(("vision", "audio"))
    repository.release(MODEL)
    repository.release(f"{MODEL}+deltas", index=INDEX, custom={}, role="audio")
    repository.publish()
    assert find(repository, tmp_path).deltas is None


def test_a_mirror_that_lies_is_passed_over(repository: Repository, tmp_path: Path) -> None:
    liar, short, honest = (repository.mirror(f"memory:{name}", copy=True) for name in ("liar", "short", "honest"))
    liar.files[NAME] = INDEX[:-1] + b" "
    short.files[NAME] = INDEX[:-1]
    found = find(repository, tmp_path, honest)
    assert fetch_deltas(found, [liar, short, honest]) == INDEX
    with pytest.raises(DigestError):
        fetch_deltas(found, [short, liar])
    with pytest.raises(LengthError):
        fetch_deltas(found, [short])


def test_an_index_without_an_end(repository: Repository, tmp_path: Path) -> None:
    mirror = repository.mirror()
    found = find(repository, tmp_path, mirror)
    mirror.endless.add(NAME)
    with pytest.raises(LengthError):
        fetch_deltas(found, [mirror])


def test_a_mirror_that_has_none(repository: Repository, tmp_path: Path) -> None:
    mirror = repository.mirror()
    found = find(repository, tmp_path, mirror)
    mirror.faults[NAME] = AbsentError("there is none", source=mirror.url)
    with pytest.raises(AbsentError):
        fetch_deltas(found, [mirror])
