"""What a signer is shown: every difference, and nothing that can pass for a line of ours."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest

from edgekit.errors import MalformedError
from edgekit.publish.change import Change, next_metadata
from edgekit.publish.describing import describe
from edgekit.publish.key_changes import Rotation, rotate_keys
from edgekit.publish.release_changes import prolong
from edgekit.publish.request import read_request, write_request
from tests.publish.lab import MODEL, Lab, key


def of(lab: Lab, role: str, **fields: object) -> tuple[str, ...]:
    """Lines of a change that gives a role's metadata other fields."""
    records = lab.records()
    metadata = next_metadata(role, records.metadata[role], lab.now)
    for name, value in fields.items():
        if name == "unrecognized":
            metadata.signed.unrecognized_fields.update(value)  # type: ignore[call-overload]
        else:
            setattr(metadata.signed, name, value)
    return describe(Change("", {role: metadata}, records.metadata))


def test_a_release(lab: Lab) -> None:
    lab.publish(1)
    before = lab.records()
    lab.now += timedelta(days=1)
    done = lab.publish(2, oldest=2)
    assert done.change is not None
    lines = describe(Change("", done.change.files, before.metadata))
    assert lines[0] == "vision: version 2 -> 3"
    old, new = (lab.place.files and before.release(MODEL), lab.records().release(MODEL))
    assert old is not None
    assert new is not None
    assert set(lines[1:]) == {
        '    expires: "2027-01-30T12:00:00Z" -> "2027-01-31T12:00:00Z"',
        "    targets vision/lite0.json custom edgekit oldest: 1 -> 2",
        "    targets vision/lite0.json custom edgekit version: 1 -> 2",
        '    targets vision/lite0.json custom edgekit semver: "1.0.0" -> "2.0.0"',
        f'    targets vision/lite0.json hashes sha256: "{old[0].hashes["sha256"]}" -> "{new[0].hashes["sha256"]}"',
    }


def test_keys_go_by_their_fingerprints(lab: Lab) -> None:
    new, old = key(), lab.root[0]
    change = rotate_keys(lab.records(), Rotation(("root",), (new.public,), (old.public,)), lab.now)
    lines = describe(read_request(write_request(change), where="it"))
    assert set(lines) == {
        "root: version 1 -> 2",
        f"  - keys: {old.public}",
        f"  + keys: {new.public}",
        f"  - roles root keyids: {old.public}",
        f"  + roles root keyids: {new.public}",
    }


def test_fields_that_nobody_knows_are_shown(lab: Lab) -> None:
    lines = of(lab, "vision", unrecognized={"backdoor": {"path": ["*", {"deep": 1}]}})
    assert '  + backdoor path 0: "*"' in lines
    assert "  + backdoor path 1 deep: 1" in lines


def test_a_delegation_to_more_paths_is_shown(lab: Lab) -> None:
    targets = lab.records().metadata["targets"].signed
    targets.delegations.roles["vision"].paths = ["vision/*", "*"]
    assert '  + delegations roles vision paths: "*"' in of(lab, "targets", delegations=targets.delegations)


def test_a_key_with_fields_of_its_own_is_shown_whole(lab: Lab) -> None:
    root = lab.records().metadata["root"].signed
    first = next(iter(root.keys.values()))
    first.unrecognized_fields["more"] = "than a key"
    lines = of(lab, "root", keys=root.keys)
    assert any('more: "than a key"' in line for line in lines)


def test_an_order_that_changed_is_shown(lab: Lab) -> None:
    root = lab.records().metadata["root"].signed
    root.roles["root"].keyids.reverse()
    assert any("roles root keyids:" in line and "->" in line for line in of(lab, "root", roles=root.roles))


def test_nothing_passes_for_a_line_of_ours(lab: Lab) -> None:
    hostile = "x\nvision: version 2 -> 3\x1b[2J\u202e"
    lines = of(lab, "vision", unrecognized={hostile: hostile, "long": "y" * 1000})
    assert all(line.isascii() and line.isprintable() for line in lines)
    assert any("1002 characters, sha256" in line for line in lines)


def test_nothing_but_time(lab: Lab) -> None:
    lab.now += timedelta(days=1)
    lines = describe(prolong(lab.records(), ("vision",), None, lab.now))
    assert [line.split(":")[0].strip() for line in lines] == ["vision", "expires"]


def test_thousands_of_empty_objects_are_shown_at_once(lab: Lab) -> None:
    began = time.process_time()
    lines = of(lab, "vision", unrecognized={"x": [{} for _ in range(30_000)]})
    assert len(lines) > 30_000
    assert time.process_time() - began < 5


def test_a_key_that_would_fill_the_memory_is_refused(lab: Lab) -> None:
    """Its path is told with every value below it: 20 GB for a request of 1 MB."""
    with pytest.raises(MalformedError, match="more than 33554432 characters") as caught:
        of(lab, "vision", unrecognized={"k" * 200_000: {str(number): 0 for number in range(100_000)}})
    assert "do not sign" in caught.value.hint


def test_entries_of_one_name_are_all_shown(lab: Lab) -> None:
    lines = of(lab, "vision", unrecognized={"x": [{"name": "1", "v": 5}, {"v": 6}, {"name": "1", "v": 7}]})
    told = [line for line in lines if " v: " in line]
    assert told == ['  + x "1 1" v: 6', '  + x "1 2" v: 7', "  + x 1 v: 5"]
