"""Earlier releases are found in what a channel keeps of its metadata, and only where its keys signed it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from edgekit import digest
from edgekit.errors import TransferError
from edgekit.publish import earlier
from edgekit.publish.earlier import releases
from edgekit.publish.key_changes import Rotation, rotate_keys
from edgekit.publish.publishing import publish
from edgekit.publish.release_changes import prolong, withdraw
from tests.publish.lab import MODEL, Lab, key


def found(lab: Lab) -> tuple[list[int], list[str]]:
    """Versions of the releases, and what was told."""
    versions = {digest.of_file(built.path / "index.json"): version for version, built in lab.bundles.items()}
    notes: list[str] = []
    return [versions[each.hashes["sha256"]] for each in releases(lab.place, lab.records(), MODEL, notes)], notes


def metadata(lab: Lab) -> str:
    """Name of the family's metadata in force."""
    return f"metadata/{lab.records().metadata['vision'].signed.version}.vision.json"


def test_the_newest_comes_first_and_each_once(lab: Lab) -> None:
    assert found(lab) == ([], [])
    for version in (1, 2, 3):
        lab.publish(version)
        lab.enforce(prolong(lab.records(), ("vision",), timedelta(days=60), lab.now), *lab.vision)
    assert found(lab) == ([3, 2, 1], [])


def test_no_more_is_read_than_is_taken(lab: Lab) -> None:
    for version in (1, 2, 3):
        lab.publish(version)
    listed = releases(lab.place, lab.records(), MODEL, [])
    before = len(lab.place.reads)
    next(listed)
    assert len(lab.place.reads) == before
    next(listed)
    assert len(lab.place.reads) == before + 1


def test_other_models_of_the_family_are_passed_over(lab: Lab) -> None:
    lab.publish(1)
    publish(lab.bundle(1, name="vision/other"), lab.place, lab.settings(), now=lab.now)
    lab.publish(2)
    assert found(lab) == ([2, 1], [])


def test_a_model_that_was_away_in_between(lab: Lab) -> None:
    lab.publish(1)
    lab.enforce(withdraw(lab.records(), MODEL, lab.now), *lab.vision)
    lab.publish(2)
    assert found(lab) == ([2, 1], [])


def test_it_ends_where_metadata_was_pruned(lab: Lab) -> None:
    for version in (1, 2, 3):
        lab.publish(version)
    name = metadata(lab)
    number = int(name.split("/")[1].split(".")[0])
    del lab.place.files[f"metadata/{number - 1}.vision.json"]
    assert found(lab) == ([3], [])


@pytest.mark.parametrize("spoil", ["forged", "moved", "unreadable"])
def test_what_is_not_signed_by_todays_keys_is_told_and_not_taken(lab: Lab, spoil: str) -> None:
    lab.publish(1)
    first = metadata(lab)
    lab.publish(2)
    second = metadata(lab)
    lab.publish(3)
    if spoil == "forged":
        lab.place.files[second] = lab.place.files[second].replace(b'"semver":"2.0.0"', b'"semver":"2.0.1"')
    elif spoil == "moved":
        lab.place.files[second] = lab.place.files[first]
    else:
        lab.place.faults[second] = TransferError("cut off", source="memory:channel")
    versions, (note,) = found(lab)
    assert versions == [3]
    assert f"no deltas from releases before those that {metadata(lab)} names" in note


def test_keys_that_no_longer_count_vouch_for_nothing(lab: Lab) -> None:
    """The family's new keys sign again what is current, and that alone."""
    lab.publish(1)
    lab.publish(2)
    new = key()
    rotation = Rotation(("vision",), add=(new.public,), remove=(lab.vision[0].public,))
    lab.enforce(rotate_keys(lab.records(), rotation, lab.now), *lab.targets, new, lab.vision[1])
    lab.vision[0] = new
    lab.publish(3)
    versions, (note,) = found(lab)
    assert versions == [3, 2]
    assert "no deltas from releases before" in note


def test_it_looks_back_so_far_and_no_farther(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(earlier, "MOST_STEPS", 3)
    lab.publish(1)
    for _ in range(2):
        lab.enforce(prolong(lab.records(), ("vision",), None, lab.now), *lab.vision)
    assert found(lab) == ([1], [])
    lab.publish(2)
    assert found(lab) == ([2, 1], [])
    lab.enforce(prolong(lab.records(), ("vision",), None, lab.now), *lab.vision)
    lab.enforce(prolong(lab.records(), ("vision",), None, lab.now), *lab.vision)
    assert found(lab) == ([2], [])
