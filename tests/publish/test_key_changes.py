"""Rotation: who counts afterwards, for readers that knew the channel before and for new ones."""

from __future__ import annotations

import json

import pytest

from edgekit.channel.client import follow
from edgekit.errors import InputError, KeyFileError, SignatureError
from edgekit.publish.change import Change, lacks_of, sign_change
from edgekit.publish.enforcing import put_in_force
from edgekit.publish.founding import ChannelPlan, Signers, plan_channel
from edgekit.publish.key_changes import Rotation, add_family, rotate_keys
from edgekit.publish.publishing import publish
from edgekit.publish.release_changes import prolong
from edgekit.seal.keys import MemoryKey
from tests.channel.memory import MemoryTransport
from tests.publish.lab import NOW, Lab, key, publics


def rotate(lab: Lab, *roles: str, add: list[MemoryKey] | None = None, **others: object) -> Change:
    added = publics(add or [])
    return rotate_keys(lab.records(), Rotation(roles, added, **others), lab.now)  # type: ignore[arg-type]


def test_a_root_key_is_replaced_by_the_threshold_of_both_roots(lab: Lab) -> None:
    lab.publish(1)
    lab.follow()
    new = key()
    change = rotate(lab, "root", add=[new], remove=(lab.root[0].public,))
    assert set(change.files) == {"root"}
    sign_change(change, [lab.root[1]])
    with pytest.raises(SignatureError, match="root has 1 of 2 signatures by the root before; 1 more of"):
        put_in_force(lab.place, lab.records(), change, lab.online, lab.now)
    sign_change(change, [new])  # the new root's threshold is met, the old one's is not
    assert [need.by for need in lacks_of(change)] == ["the root before"]
    with pytest.raises(SignatureError):
        lab.enforce(change)
    sign_change(change, [lab.root[2]])
    assert lab.enforce(change)[0] == "metadata/2.root.json"
    assert lab.follow().versions["root"] == 2
    assert lab.follow("fresh").versions["root"] == 2


def test_a_removed_root_key_counts_no_more(lab: Lab) -> None:
    new = key()
    lab.enforce(rotate(lab, "root", add=[new], remove=(lab.root[0].public,)), *lab.root[:2], new)
    change = prolong(lab.records(), ("root",), None, lab.now)
    with pytest.raises(KeyFileError, match="may sign none of root"):
        sign_change(change, [lab.root[0]])
    lab.enforce(change, lab.root[1], new)
    assert lab.records().root.version == 3


def test_a_family_key_is_replaced(lab: Lab) -> None:
    """What the old keys signed is signed again by the new ones; the old ones publish no more."""
    lab.publish(1)
    lab.follow()
    new = key()
    change = rotate(lab, "vision", add=[new], remove=(lab.vision[0].public,))
    assert set(change.files) == {"targets", "vision"}
    assert {need.role for need in lacks_of(change)} == {"targets", "vision"}
    lab.enforce(change, *lab.targets, lab.vision[1], new)
    assert lab.follow().notice.version == 1
    with pytest.raises(KeyFileError, match="may sign none of vision"):
        publish(lab.bundle(2), lab.place, lab.settings(keys=lab.vision[:1]), now=lab.now)
    publish(lab.bundle(2), lab.place, lab.settings(keys=[lab.vision[1], new]), now=lab.now)
    assert lab.follow().notice.version == 2


def test_a_key_that_had_not_signed_goes_without_the_family(lab: Lab) -> None:
    third = key()
    lab.enforce(rotate(lab, "vision", add=[third]), *lab.targets)
    change = rotate(lab, "vision", remove=(third.public.fingerprint[:12],))
    assert set(change.files) == {"targets"}
    lab.enforce(change, *lab.targets)
    assert lab.records().targets.delegations is not None
    assert len(lab.records().targets.delegations.keys) == 2  # type: ignore[union-attr]


def test_the_targets_key_is_replaced(lab: Lab) -> None:
    lab.publish(1)
    new = key()
    change = rotate(lab, "targets", add=[new], remove=(str(lab.targets[0].public),))
    assert set(change.files) == {"root", "targets"}
    lab.enforce(change, *lab.root[:2], new)
    assert lab.follow().versions == {"root": 2, "targets": 2, "vision": 2, "snapshot": 3, "timestamp": 3}


def test_online_keys_are_replaced(lab: Lab) -> None:
    lab.publish(1)
    lab.follow()
    old, new = lab.online, [key()]
    change = rotate(lab, "snapshot", "timestamp", add=new, remove=(old[0].public,))
    sign_change(change, lab.root[:2])
    with pytest.raises(KeyFileError, match="snapshot is signed by"):
        put_in_force(lab.place, lab.records(), change, old, lab.now)
    lab.online = new
    lab.enforce(change)
    assert lab.follow().versions["timestamp"] == 3
    with pytest.raises(KeyFileError):
        put_in_force(lab.place, lab.records(), Change("", {}), old, lab.now)


def test_recovery_from_versions_that_were_pushed_too_far(lab: Lab) -> None:
    """Who stole the online key signs a timestamp of version 2**40; new keys begin at 1 again, and readers follow."""
    lab.publish(1)
    records = lab.records()
    for role in ("snapshot", "timestamp"):
        records.metadata[role].signed.version = 2**40
    put_in_force(lab.place, records, Change("", {}), lab.online, lab.now)
    lab.follow("struck")
    assert lab.records().metadata["timestamp"].signed.version == 2**40 + 1
    with pytest.raises(InputError, match="cannot begin again while snapshot keeps a key"):
        rotate(lab, "timestamp", add=[key()], remove=(lab.online[0].public,), restart=True)
    new = [key()]
    change = rotate(lab, "snapshot", "timestamp", add=new, remove=(lab.online[0].public,), restart=True)
    lab.online = new
    written = lab.enforce(change, *lab.root[:2])
    assert "metadata/1.snapshot.json" in written
    for reader in ("struck", "fresh"):
        versions = lab.follow(reader).versions
        assert (versions["snapshot"], versions["timestamp"]) == (1, 1)
    lab.publish(2)
    assert lab.follow("struck").notice.version == 2


@pytest.mark.parametrize("moment", range(4))
def test_a_rotation_that_was_interrupted_can_be_applied_again(lab: Lab, moment: int) -> None:
    lab.publish(1)
    new = [key()]
    change = rotate(lab, "snapshot", "timestamp", add=new, remove=(lab.online[0].public,))
    sign_change(change, lab.root[:2])

    class Killed(MemoryTransport):
        def write(self, name: str, chunks: object, *, size_bytes: int) -> None:
            if len(self.writes) == moment:
                raise KeyboardInterrupt
            super().write(name, chunks, size_bytes=size_bytes)  # type: ignore[arg-type]

    try:
        put_in_force(Killed(lab.place.files), lab.records(), change, new, lab.now)
    except KeyboardInterrupt:
        lab.online = new
        lab.enforce(change)
    assert lab.follow().versions["root"] == 2
    assert lab.records().root.version == 2


def test_a_new_family(lab: Lab) -> None:
    audio = key()
    change = add_family(lab.records(), "audio", Signers((audio.public,)), lab.now)
    lab.enforce(change, *lab.targets, audio)
    publish(lab.bundle(1, name="audio/kws"), lab.place, lab.settings(keys=[audio]), now=lab.now)
    assert lab.follow(model="audio/kws").notice.version == 1
    with pytest.raises(InputError, match="has a family 'audio' already"):
        add_family(lab.records(), "audio", Signers((audio.public,)), lab.now)


@pytest.mark.parametrize("name", ["root", "timestamp", "../x", "A", "", "a" * 70, "a b"])
def test_names_that_no_family_can_have(lab: Lab, name: str) -> None:
    with pytest.raises(InputError):
        add_family(lab.records(), name, Signers((key().public,)), lab.now)


def test_changes_that_cannot_be(lab: Lab) -> None:
    some = lab.vision[0].public
    with pytest.raises(InputError, match="nothing is to change"):
        rotate(lab, "vision")
    with pytest.raises(InputError, match="would need 2 signatures of 1 keys"):
        rotate(lab, "vision", remove=(some,))
    with pytest.raises(InputError, match=r"has ed25519:.* already"):
        rotate(lab, "vision", add=[lab.vision[0]])
    with pytest.raises(InputError, match="no family 'audio'"):
        rotate(lab, "audio", threshold=1)
    for unknown in (key().public, "ed25519:00000000", "no fingerprint", ""):
        with pytest.raises(InputError, match="vision has no key"):
            rotate(lab, "vision", remove=(unknown,), threshold=1)


def test_plans_that_cannot_be(lab: Lab) -> None:
    one, two = key().public, key().public
    good = Signers((one,))
    for wrong, what in (
        (Signers((one, one)), "a key twice"),
        (Signers(()), "0 keys"),
        (Signers((one, two), 3), "3 signatures of 2 keys"),
        (Signers((one,), 0), "0 signatures"),
    ):
        with pytest.raises(InputError, match=what):
            plan_channel(ChannelPlan(wrong, good, good, {}), NOW)
        with pytest.raises(InputError, match=what):
            plan_channel(ChannelPlan(good, good, good, {"vision": wrong}), NOW)
    with pytest.raises(InputError, match="'other', which is no role"):
        plan_channel(ChannelPlan(good, good, good, {}, {"other": NOW - NOW}), NOW)


def test_a_channel_is_not_founded_over_another(lab: Lab) -> None:
    change = plan_channel(lab.plan(), lab.now)
    sign_change(change, [*lab.root, *lab.targets, *lab.vision])
    with pytest.raises(InputError, match="already"):
        put_in_force(lab.place, None, change, lab.online, lab.now)
    with pytest.raises(InputError, match="already"):
        put_in_force(lab.place, lab.records(), change, lab.online, lab.now)


def test_a_p256_key_may_sign_for_a_role_too(lab: Lab) -> None:
    """Tokens that have no ed25519 are of use as well."""
    change = add_family(lab.records(), "audio", Signers((lab.publisher.public,)), lab.now)
    lab.enforce(change, *lab.targets, lab.publisher)
    publish(lab.bundle(1, name="audio/kws"), lab.place, lab.settings(keys=[lab.publisher]), now=lab.now)
    assert lab.follow(model="audio/kws").notice.version == 1


def test_every_file_is_canonical_json_and_no_private_key_is_in_it(lab: Lab) -> None:
    lab.publish(1)
    for name, data in lab.place.files.items():
        if name.startswith("metadata/"):
            assert json.dumps(json.loads(data), sort_keys=True, separators=(",", ":")).encode() == data
        assert b"PRIVATE" not in data


def test_a_reader_of_another_channel_is_not_taken_in(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = Lab(tmp_path_factory.mktemp("other") / "bundles")
    other.found()
    other.publish(1)
    with pytest.raises(SignatureError):
        follow(
            "vision/lite0",
            [other.place],
            tmp_path_factory.mktemp("reader"),
            root=lab.place.files["metadata/1.root.json"],
            clock=lambda: lab.now,
        )
