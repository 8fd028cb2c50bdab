"""Attacks on a channel's metadata, T1 to T12: TUF's specification, 1.5.2, against a node that runs version 2.

Each attack gives the mirror that the node is led to. It must end in its error, alone; and beside an honest mirror it
must not keep the node from anything.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from edgekit.channel.tuf_objects import MetaFile
from edgekit.errors import (
    ClockError,
    DigestError,
    EdgekitError,
    ExpiredError,
    MalformedError,
    RollbackError,
    SignatureError,
    UnknownTargetError,
)
from edgekit.node.update import Outcome
from edgekit.seal.tuf_signer import tuf_key
from tests.attacks.distribution.forger import Forger
from tests.attacks.distribution.realm import Keys, Realm, ed25519, installed
from tests.attacks.distribution.releases import MODEL


def replayed_channel(realm: Realm) -> Path:
    """A man in the middle shows the channel as it was: the timestamp is older."""
    return realm.old


def rolled_back_snapshot(realm: Realm) -> Path:
    """Stolen: the online key. An older snapshot under a new timestamp."""
    mirror = realm.mirror("mirror", *realm.keys.online)
    old = realm.mirror("before", of=realm.old).newest("snapshot")
    stamp = mirror.read("timestamp")
    stamp.version += 1
    stamp.snapshot_meta = MetaFile(old)
    mirror.write("timestamp", stamp)
    return mirror.folder


def rolled_back_family(realm: Realm) -> Path:
    """Stolen: the online key. A new snapshot that names the family's older metadata, with the older release."""
    mirror = realm.mirror("mirror", *realm.keys.online)
    mirror.lead_to(vision=mirror.newest("vision") - 1)
    return mirror.folder


def rolled_back_targets(realm: Realm) -> Path:
    """Stolen: the online key. Older targets, in which a key still counts that was replaced since."""
    old = realm.keys.vision[0]
    realm.rotate("vision", old=[old], new=[ed25519()])
    realm.update()
    mirror = realm.mirror("mirror", *realm.keys.online)
    mirror.lead_to(targets=mirror.newest("targets") - 1)
    return mirror.folder


def mixed_states(realm: Realm) -> Path:
    """No key. Timestamp and snapshot of a new release, and the family's metadata of the one before under its name."""
    realm.publish(3)
    mirror = realm.mirror("mirror")
    newest = mirror.newest("vision")
    mirror.path("vision", newest).write_bytes(mirror.path("vision", newest - 1).read_bytes())
    return mirror.folder


def mixed_timestamp(realm: Realm) -> Path:
    """No key. The new timestamp, and the snapshot of before under the new one's name."""
    realm.publish(3)
    mirror = realm.mirror("mirror")
    newest = mirror.newest("snapshot")
    mirror.path("snapshot", newest).write_bytes(mirror.path("snapshot", newest - 1).read_bytes())
    return mirror.folder


def unlisted_metadata(realm: Realm) -> Path:
    """Stolen: the online key. The newest snapshot forgets the family."""
    mirror = realm.mirror("mirror", *realm.keys.online)
    snapshot = mirror.read("snapshot")
    del snapshot.meta["vision.json"]
    snapshot.version += 1
    mirror.write("snapshot", snapshot)
    stamp = mirror.read("timestamp")
    stamp.version += 1
    stamp.snapshot_meta = MetaFile(snapshot.version)
    mirror.write("timestamp", stamp)
    return mirror.folder


def altered_index(realm: Realm) -> Path:
    """No key. The release index has other content of the same length."""
    built = realm.publish(3)
    mirror = realm.mirror("mirror")
    index = (built.path / "index.json").read_bytes()
    place = next(path for path in (mirror.folder / "targets").rglob("*.json") if path.read_bytes() == index)
    place.write_bytes(index.replace(b"3.0.0", b"2.0.0"))
    return mirror.folder


def index_of_before(realm: Realm) -> Path:
    """No key. The release index is the old one, padded: it was signed once, and is not what is signed now."""
    built = realm.publish(3)
    mirror = realm.mirror("mirror")
    index = (built.path / "index.json").read_bytes()
    places = {path.read_bytes(): path for path in (mirror.folder / "targets").rglob("*.json")}
    older = next(data for data in places if data != index)
    places[index].write_bytes(older.ljust(len(index))[: len(index)])
    return mirror.folder


def foreign_keys(realm: Realm) -> Path:
    """An attacker's own key signs everything below the root."""
    mirror = realm.mirror("mirror", ed25519())
    for role in ("targets", "vision"):
        signed = mirror.read(role)
        signed.version += 1
        mirror.write(role, signed)
    mirror.lead_to(targets=mirror.newest("targets"), vision=mirror.newest("vision"))
    return mirror.folder


def one_of_two_family_keys(realm: Realm) -> Path:
    """Stolen: the online key and one of the two that the family needs. A release of the thief's."""
    mirror = realm.mirror("mirror", *realm.keys.online, realm.keys.vision[0])
    mirror.offer(realm.bundle(3, key=realm.keys.publisher), signers=[realm.keys.publisher.public])
    return mirror.folder


def one_family_key_twice(realm: Realm) -> Path:
    """The same, and its signature stands there twice."""
    mirror = realm.mirror("mirror", *realm.keys.online, realm.keys.vision[0])
    mirror.offer(realm.bundle(3), signers=[realm.keys.publisher.public])
    place = mirror.path("vision", mirror.newest("vision"))
    data = json.loads(place.read_bytes())
    data["signatures"] *= 2
    place.write_bytes(json.dumps(data).encode())
    return mirror.folder


def one_of_two_targets_keys(realm: Realm) -> Path:
    """Stolen: the online key and one of the two of targets. The family is handed over to the thief."""
    thief = ed25519()
    mirror = realm.mirror("mirror", *realm.keys.online, realm.keys.targets[0], thief)
    targets = mirror.read("targets")
    key = tuf_key(thief.public)
    targets.delegations.keys[key.keyid] = key
    targets.delegations.roles["vision"].keyids = [key.keyid]
    targets.delegations.roles["vision"].threshold = 1
    targets.version += 1
    mirror.write("targets", targets)
    mirror.offer(realm.bundle(3), signers=[realm.keys.publisher.public])
    mirror.lead_to(targets=targets.version, vision=mirror.newest("vision"))
    return mirror.folder


def one_of_three_root_keys(realm: Realm) -> Path:
    """Stolen: one root key of three. The next root gives every role to the thief."""
    thief = ed25519()
    mirror = realm.mirror("mirror", realm.keys.root[0], thief)
    root = mirror.read("root")
    key = tuf_key(thief.public)
    root.keys[key.keyid] = key
    for role in root.roles.values():
        role.keyids, role.threshold = [key.keyid], 1
    root.version += 1
    mirror.write("root", root)
    mirror.lead_to()
    return mirror.folder


def root_by_new_keys_alone(realm: Realm) -> Path:
    """The next root is signed by its own keys, as it must be, and by none of the old ones."""
    thief = [ed25519(), ed25519()]
    mirror = realm.mirror("mirror", *thief)
    root = mirror.read("root")
    keys = {tuf_key(each.public).keyid: tuf_key(each.public) for each in thief}
    root.keys.update(keys)
    root.roles["root"].keyids = list(keys)
    root.version += 1
    mirror.write("root", root)
    return mirror.folder


def skipped_root(realm: Realm) -> Path:
    """Stolen: two root keys. Under the next root's name stands one of a later version."""
    mirror = realm.mirror("mirror", *realm.keys.root[:2])
    root = mirror.read("root")
    root.version += 2
    mirror.path("root", root.version - 1).write_bytes(mirror.sign(root))
    return mirror.folder


def other_role(realm: Realm) -> Path:
    """Stolen: the online key. A snapshot in the place of the timestamp: signed by a key that may sign both."""
    mirror = realm.mirror("mirror", *realm.keys.online)
    mirror.path("timestamp").write_bytes(mirror.path("snapshot", mirror.newest("snapshot")).read_bytes())
    return mirror.folder


def other_channel(realm: Realm) -> Path:
    """A whole channel that is well made, and is not this one."""
    folder = realm.folder / "elsewhere"
    stranger = Realm(folder, Keys())
    stranger.found()
    stranger.publish(9)
    stranger.refresh()
    stranger.refresh()
    return stranger.channel


ATTACKS: list[tuple[Callable[[Realm], Path], type[EdgekitError]]] = [
    (replayed_channel, RollbackError),
    (rolled_back_snapshot, RollbackError),
    (rolled_back_family, RollbackError),
    (rolled_back_targets, RollbackError),
    (mixed_states, DigestError),
    (mixed_timestamp, DigestError),
    (unlisted_metadata, MalformedError),
    (altered_index, DigestError),
    (index_of_before, DigestError),
    (foreign_keys, SignatureError),
    (one_of_two_family_keys, SignatureError),
    (one_family_key_twice, MalformedError),
    (one_of_two_targets_keys, SignatureError),
    (one_of_three_root_keys, SignatureError),
    (root_by_new_keys_alone, SignatureError),
    (skipped_root, RollbackError),
    (other_role, MalformedError),
    (other_channel, SignatureError),
]
NAMES = [attack.__name__ for attack, _ in ATTACKS]
ON_FILES = (altered_index, index_of_before)
"""The metadata is right; it may be remembered."""


@pytest.mark.parametrize(("attack", "error"), ATTACKS, ids=NAMES)
def test_an_attack_on_metadata_installs_nothing(
    realm: Realm, attack: Callable[[Realm], Path], error: type[EdgekitError]
) -> None:
    mirror = attack(realm)
    with realm.refuses(error, match=str(mirror), learns=attack in ON_FILES):
        realm.update(mirror)


@pytest.mark.parametrize(("attack", "error"), ATTACKS, ids=NAMES)
def test_an_attack_on_metadata_is_passed_over_beside_an_honest_mirror(
    realm: Realm, attack: Callable[[Realm], Path], error: type[EdgekitError]
) -> None:
    mirror = attack(realm)
    realm.publish(4)
    updated = realm.update(mirror, realm.channel)
    assert updated.running.version == realm.answer() == 4
    assert str(mirror) in updated.faults


def test_a_freeze_ends_with_the_timestamp(realm: Realm) -> None:
    """No key: the channel is shown as it is now, for ever."""
    frozen = realm.mirror("mirror")
    realm.publish(3)
    assert realm.update(frozen.folder).outcome is Outcome.UNCHANGED
    realm.now = frozen.read("timestamp").expires + timedelta(minutes=1)
    with realm.refuses(ExpiredError, match="timestamp is expired"):
        realm.update(frozen.folder)
    realm.refresh("timestamp")
    assert realm.update(realm.channel).running.version == realm.answer() == 3


def test_a_freeze_with_the_online_key_ends_with_the_family(realm: Realm) -> None:
    """Stolen: the online key. It can keep a node back as long as the family's own metadata is valid, and no longer."""
    frozen = realm.mirror("mirror", *realm.keys.online)
    expires = frozen.read("vision").expires
    frozen.lead_to(days=10_000)
    realm.now = expires - timedelta(minutes=1)
    assert realm.update(frozen.folder).outcome is Outcome.UNCHANGED
    realm.now = expires + timedelta(minutes=1)
    with realm.refuses(ExpiredError, match="is expired"):
        realm.update(frozen.folder)


def test_a_clock_set_back_is_no_way_around_expiry(realm: Realm) -> None:
    """Who can set the clock shows what has expired as fresh: the node remembers that it was later once."""
    frozen = realm.mirror("mirror")
    realm.refresh("timestamp", "snapshot", days=3)
    realm.update()
    realm.now -= timedelta(days=3)
    with realm.refuses(ClockError, match="this machine's clock"):
        realm.update(frozen.folder)
    with realm.refuses(ClockError):
        realm.update(realm.channel)


def test_a_clock_set_forward_stops_updates_and_not_the_model(realm: Realm) -> None:
    realm.publish(3)
    right = realm.now
    realm.now += timedelta(days=4000)
    with realm.refuses(ExpiredError):
        realm.update()
    realm.now = right
    assert realm.update().running.version == realm.answer() == 3


def test_a_family_signs_nothing_for_another(realm: Realm) -> None:
    """Stolen: the online key and every key of the family `audio`. It offers a model of `vision`: nobody looks there."""
    keys = realm.keys
    mirror = realm.mirror("mirror", *keys.online, *keys.audio)
    mirror.offer(realm.bundle(3, key=keys.narrator), signers=[keys.narrator.public], family="audio")
    updated = realm.update(mirror.folder)
    assert (updated.outcome, updated.offered) == (Outcome.UNCHANGED, 2)
    assert realm.answer() == 2


def test_a_path_outside_of_a_delegation_is_no_target(realm: Realm) -> None:
    """The same, of a family that the channel does not have: the model is unknown."""
    keys = realm.keys
    mirror = realm.mirror("mirror", *keys.online, *keys.audio)
    name = "firmware/boot"
    built = realm.bundle(3, name=name, key=keys.narrator)
    mirror.offer(built, signers=[keys.narrator.public], family="audio", name=name)
    settings = realm.node / "node.toml"
    realm.point(mirror.folder)
    settings.write_text(settings.read_text().replace(MODEL, name))
    with pytest.raises(UnknownTargetError, match=name):
        realm.update()
    assert not (realm.node / "slots" / "next").exists()


@pytest.mark.parametrize("name", ["../../evil", "..", "/etc/x", "a b", "x" * 300, "\u00e9", "-x", "x\0"])
def test_a_role_whose_name_is_a_path_is_no_file(realm: Realm, name: str) -> None:
    """Stolen: the online key and both of targets. A delegated role's name becomes the name of a file."""
    keys = realm.keys
    mirror = realm.mirror("mirror", *keys.online, *keys.targets)
    targets = mirror.read("targets")
    role = targets.delegations.roles.pop("vision")
    role.name = name
    targets.delegations.roles[name] = role
    targets.version += 1
    mirror.write("targets", targets)
    snapshot = mirror.read("snapshot")
    snapshot.meta[f"{name}.json"] = MetaFile(1)
    mirror.write("snapshot", snapshot)
    mirror.lead_to(targets=targets.version)
    outside = realm.outside()
    with realm.refuses(MalformedError, match="a role has a name"):
        realm.update(mirror.folder)
    assert realm.outside() == outside


def write_roots(realm: Realm, count: int) -> Forger:
    """A channel whose root was replaced that many times, by the threshold of its keys."""
    mirror = realm.mirror("mirror", *realm.keys.root[:2])
    root = mirror.read("root")
    for _ in range(count):
        root.version += 1
        mirror.write("root", root)
    return mirror


def known_root(realm: Realm) -> int:
    """Version of the root that the node trusts."""
    found = json.loads((realm.node / "trust" / "metadata" / "root.json").read_bytes())
    return int(found["signed"]["version"])


def test_256_rotations_of_the_root_are_followed_at_once(realm: Realm) -> None:
    mirror = write_roots(realm, 256)
    assert realm.update(mirror.folder).outcome is Outcome.UNCHANGED
    assert known_root(realm) == 257


def test_the_257th_rotation_is_left_for_the_next_time(realm: Realm) -> None:
    """No more than 256 are read in one go; what only the next root vouches for is refused until then."""
    mirror = write_roots(realm, 256)
    online = ed25519()
    root = mirror.read("root")
    for role in ("snapshot", "timestamp"):
        root.revoke_key(tuf_key(realm.keys.online[0].public).keyid, role)
        root.add_key(tuf_key(online.public), role)
    root.version += 1
    mirror.write("root", root)
    mirror.keys.append(online)
    mirror.lead_to()
    before = installed(realm.memory())
    with pytest.raises(SignatureError):
        realm.update(mirror.folder)
    assert (known_root(realm), installed(realm.memory()), realm.answer()) == (257, before, 2)
    assert realm.update(mirror.folder).outcome is Outcome.UNCHANGED
    assert known_root(realm) == 258
