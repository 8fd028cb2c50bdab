"""Stolen keys: what each allows, where it ends, and that the steps of docs/security.md bring the nodes back."""

from __future__ import annotations

import pytest

from edgekit.channel.names import LARGEST_VERSION
from edgekit.errors import DigestError, MalformedError, NodeStateError, RollbackError, SignatureError, SourcesError
from edgekit.node.update import Outcome
from edgekit.seal.keys import generate
from edgekit.seal.tuf_signer import tuf_key
from tests.attacks.distribution.forger import Forger
from tests.attacks.distribution.realm import Realm, ed25519


def test_the_publishers_key_alone_reaches_no_node(realm: Realm) -> None:
    """Stolen: the key that signs models. Its bundle is well signed, and no family key says that it is current."""
    thief = realm.mirror("mirror", realm.keys.publisher)
    thief.offer(realm.bundle(3, key=realm.keys.publisher), signers=[realm.keys.publisher.public])
    with realm.refuses(SignatureError):
        realm.update(thief.folder)


def test_a_bundle_of_the_publishers_in_the_place_of_the_current_one(realm: Realm) -> None:
    """The same, with the thief's release index under the name of the signed one."""
    realm.publish(3)
    thief = realm.mirror("mirror")
    forged = realm.bundle(3, contents={"model.onnx": b"something else"})
    for place in (thief.folder / "targets" / "vision").iterdir():
        place.write_bytes((forged.path / "index.json").read_bytes())
    with realm.refuses(DigestError, learns=True):
        realm.update(thief.folder)


def test_a_replaced_publishers_key_signs_nothing_any_more(realm: Realm) -> None:
    """Stolen: the old key of the publisher, after the channel named another; the family is made to offer its work."""
    old, keys = realm.keys.publisher, realm.keys
    keys.publisher = generate("p256")
    realm.publish(3, oldest=3)
    assert realm.update().running.version == 3
    thief = realm.mirror("mirror", *keys.online, *keys.vision, old)
    thief.offer(realm.bundle(4, key=old), signers=[keys.publisher.public])
    with realm.refuses(SignatureError, match="no signature by a trusted key", learns=True):
        realm.update(thief.folder)


def test_the_family_keys_alone_reach_no_node(realm: Realm) -> None:
    """Stolen: every key of the family and of the publisher, but not the online key."""
    thief = realm.mirror("mirror", *realm.keys.vision, realm.keys.publisher)
    thief.offer(realm.bundle(3), signers=[realm.keys.publisher.public])
    with realm.refuses(SignatureError):
        realm.update(thief.folder)


def test_the_family_and_the_online_key_together_publish_for_that_family(realm: Realm) -> None:
    """What is left: such a thief is the publisher, until the family's keys are replaced. Other families stand."""
    keys, own = realm.keys, generate("p256")
    thief = realm.mirror("mirror", *keys.vision, *keys.online)
    thief.offer(realm.bundle(7, key=own), signers=[own.public])
    assert realm.update(thief.folder).running.version == 7
    stolen = [*keys.vision, *keys.online]
    realm.rotate("snapshot", "timestamp", old=keys.online, new=[ed25519()], restart=True)
    realm.rotate("vision", old=keys.vision, new=[ed25519(), ed25519()])
    realm.publish(8, oldest=8)
    assert realm.update(realm.channel).running.version == realm.answer() == 8
    late = Forger(thief.folder, stolen, realm.now)
    late.offer(realm.bundle(9, key=own), signers=[own.public])
    with realm.refuses(SignatureError):
        realm.update(late.folder)
    again = realm.mirror("again", *stolen)
    again.offer(realm.bundle(9, key=own), signers=[own.public])
    with realm.refuses(SignatureError):
        realm.update(again.folder)


def test_the_online_key_publishes_nothing(realm: Realm) -> None:
    """Stolen: the online key. It may say what is fresh, and not what is current."""
    thief = realm.mirror("mirror", *realm.keys.online)
    own = generate("p256")
    thief.offer(realm.bundle(3, key=own), signers=[own.public])
    with realm.refuses(SignatureError):
        realm.update(thief.folder)


def test_a_replaced_online_key_counts_no_more(realm: Realm) -> None:
    """Also on a mirror that hides the new root, once the node has seen it."""
    stolen = list(realm.keys.online)
    hiding = realm.mirror("hiding", *stolen)
    realm.rotate("snapshot", "timestamp", old=stolen, new=[ed25519()])
    assert realm.update().outcome is Outcome.UNCHANGED
    hiding.lead_to(timestamp=1000)
    with realm.refuses(SignatureError):
        realm.update(hiding.folder)
    showing = realm.mirror("showing", *stolen)
    showing.lead_to(timestamp=1000)
    with realm.refuses(SignatureError):
        realm.update(showing.folder)


def test_versions_pushed_too_far_are_recovered_from(realm: Realm) -> None:
    """Fast-forward (TUF's specification, 5.3.11). Stolen: the online key, which names the last versions there are."""
    thief = realm.mirror("mirror", *realm.keys.online)
    thief.lead_to(timestamp=2**53 - 1, snapshot=2**53 - 1)
    assert realm.update(thief.folder).outcome is Outcome.UNCHANGED
    realm.publish(3)
    with realm.refuses(RollbackError):
        realm.update(realm.channel)
    realm.rotate("snapshot", "timestamp", old=realm.keys.online, new=[ed25519()], restart=True)
    assert realm.update(realm.channel).running.version == realm.answer() == 3


def test_family_metadata_pushed_too_far_is_recovered_from(realm: Realm) -> None:
    """Stolen: the family's keys and the online one; the family's own version is the last there is."""
    keys = realm.keys
    thief = realm.mirror("mirror", *keys.vision, *keys.online)
    signed = thief.read("vision")
    signed.version = 2**53 - 1
    thief.write("vision", signed)
    thief.lead_to(vision=signed.version)
    assert realm.update(thief.folder).outcome is Outcome.UNCHANGED
    realm.publish(3)
    realm.refresh("snapshot", "timestamp")
    with realm.refuses(RollbackError):
        realm.update(realm.channel)
    realm.rotate("snapshot", "timestamp", old=keys.online, new=[ed25519()], restart=True)
    realm.rotate("vision", old=keys.vision, new=[ed25519(), ed25519()])
    realm.publish(4)
    assert realm.update(realm.channel).running.version == realm.answer() == 4


@pytest.mark.parametrize("oldest", [1, LARGEST_VERSION])
def test_a_release_pushed_too_far_is_recovered_from(realm: Realm, oldest: int) -> None:
    """Stolen: the family's keys and the online one. A release of the highest version there is, which nobody can top."""
    keys, own = realm.keys, generate("p256")
    thief = realm.mirror("mirror", *keys.vision, *keys.online)
    thief.offer(realm.bundle(3), version=LARGEST_VERSION, oldest=oldest, signers=[own.public])
    with pytest.raises(MalformedError):
        realm.update(thief.folder)
    realm.rotate("snapshot", "timestamp", old=keys.online, new=[ed25519()], restart=True)
    realm.rotate("vision", old=keys.vision, new=[ed25519(), ed25519()])
    realm.publish(4)
    assert realm.update(realm.channel).running.version == realm.answer() == 4


def test_what_a_thief_published_runs_no_more_once_the_keys_are_replaced(realm: Realm) -> None:
    """Though its version is higher than anything that the owner publishes afterwards."""
    keys, own = realm.keys, generate("p256")
    thief = realm.mirror("mirror", *keys.vision, *keys.online)
    thief.offer(realm.bundle(1_000_000, key=own), signers=[own.public])
    assert realm.update(thief.folder).running.version == realm.answer() == 1_000_000
    realm.rotate("snapshot", "timestamp", old=keys.online, new=[ed25519()], restart=True)
    realm.rotate("vision", old=keys.vision, new=[ed25519(), ed25519()])
    realm.publish(3)
    assert realm.update(realm.channel).running.version == realm.answer() == 3
    assert realm.events()[-1] == "installed 3"


def test_replaced_keys_are_no_way_back(realm: Realm) -> None:
    """With the old keys their version numbers are forgotten; those of the new ones count as ever."""
    keys = realm.keys
    realm.rotate("vision", old=keys.vision, new=[ed25519(), ed25519()])
    realm.publish(4)
    assert realm.update().running.version == 4
    careless = realm.mirror("mirror", *keys.vision, *keys.online)
    careless.offer(realm.bundle(3), signers=[keys.publisher.public])
    with realm.refuses(RollbackError, match="version 3, after version 4", learns=True):
        realm.update(careless.folder)
    with realm.refuses(RollbackError):
        realm.update(realm.old)


def test_all_targets_keys_and_the_online_one_are_recovered_from(realm: Realm) -> None:
    """Stolen: both keys of targets, and the online key: every family is theirs, until the root names other keys."""
    keys, own = realm.keys, generate("p256")
    held, stolen = ed25519(), [*keys.targets, *keys.online]
    thief = realm.mirror("mirror", *stolen, held)
    targets = thief.read("targets")
    key = tuf_key(held.public)
    targets.delegations.keys[key.keyid] = key
    targets.delegations.roles["vision"].keyids, targets.delegations.roles["vision"].threshold = [key.keyid], 1
    targets.version += 1
    thief.write("targets", targets)
    thief.offer(realm.bundle(7, key=own), signers=[own.public])
    thief.lead_to(targets=targets.version, vision=thief.newest("vision"))
    assert realm.update(thief.folder).running.version == 7
    realm.rotate("targets", old=keys.targets, new=[ed25519(), ed25519()])
    realm.rotate("snapshot", "timestamp", old=keys.online, new=[ed25519()], restart=True)
    realm.publish(8, oldest=8)
    assert realm.update(realm.channel).running.version == realm.answer() == 8
    late = realm.mirror("late", *stolen, held)
    signed = late.read("targets")
    signed.version += 1
    late.write("targets", signed)
    late.lead_to(targets=signed.version)
    with realm.refuses(SignatureError):
        realm.update(late.folder)


def test_one_root_key_less_is_replaced(realm: Realm) -> None:
    """Stolen: one root key of three. It is replaced, and counts no more beside one that is stolen later."""
    first, second, _ = realm.keys.root
    realm.rotate("root", old=[first], new=[ed25519()])
    assert realm.update().outcome is Outcome.UNCHANGED
    thief = realm.mirror("mirror", first, second)
    root = thief.read("root")
    root.version += 1
    thief.write("root", root)
    with realm.refuses(SignatureError):
        realm.update(thief.folder)


def test_a_revoked_version_stops_though_its_successor_is_kept_back(realm: Realm) -> None:
    """A mirror that has lost the new release's bytes: what is revoked does not run on; `nothing` is safer."""
    realm.publish(3, oldest=3)
    lossy = realm.mirror("mirror")
    for blob in (lossy.folder / "blobs" / "sha256").iterdir():
        blob.unlink()
    with pytest.raises(SourcesError):
        realm.update(lossy.folder)
    with pytest.raises(NodeStateError, match="revoked"):
        realm.answer()
    assert realm.update(realm.channel).running.version == realm.answer() == 3
