from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from securesystemslib.signer import CryptoSigner

from edgekit.errors import (
    KeyFileError,
    MalformedError,
    NodeStateError,
    NoVariantError,
    RollbackError,
    SelfTestError,
    SignatureError,
    SourcesError,
    UnknownTargetError,
)
from edgekit.node.update import Outcome
from edgekit.seal.keys import generate
from edgekit.seal.oms import sign_files
from tests.node.scene import MODEL, Scene, flip


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    scene = Scene(tmp_path)
    scene.publisher.release(1)
    scene.set_up()
    return scene


def test_first_install_then_nothing_then_upgrade(scene: Scene) -> None:
    assert scene.update().outcome is Outcome.INSTALLED
    assert scene.version() == 1
    assert scene.update().outcome is Outcome.UNCHANGED
    scene.publisher.release(2)
    updated = scene.update()
    assert (updated.outcome, updated.running.version, updated.faults) == (Outcome.INSTALLED, 2, {})
    assert scene.version() == 2
    assert scene.trials.run == ["v0/1", "v0/2"]
    assert scene.receipts() == [("installed", 1), ("installed", 2)]
    assert sorted(path.name for path in scene.folder.slots.iterdir()) == ["a", "b"]


def test_files_that_the_running_slot_has_are_not_fetched(scene: Scene) -> None:
    scene.update()
    same = {
        file.path: file.sha256 for file in scene.publisher.built[1].draft.manifest.files if file.path != "model.v0.onnx"
    }
    second = scene.publisher.release(2)
    for path, sha256 in same.items():
        assert second.draft.manifest.file(path).sha256 == sha256
        scene.publisher.remove_blob(sha256)
    assert scene.update().running.version == 2
    assert [line for line in scene.told if "fetching" in line][-1].startswith("fetching model.v0.onnx")


def test_a_copy_of_a_decayed_file_is_not_taken(scene: Scene) -> None:
    scene.update()
    flip(scene.serving().files / "card.md")
    scene.publisher.release(2)
    assert scene.update().running.version == 2
    assert scene.version() == 2


def test_slots_share_no_inodes(scene: Scene) -> None:
    scene.update()
    scene.publisher.release(2)
    scene.update()
    numbers = [path.stat().st_ino for path in scene.folder.slots.rglob("*") if path.is_file()]
    assert len(numbers) == len(set(numbers))


@pytest.mark.parametrize("what", ["model.v0.onnx", "golden/outputs.npz"])
def test_a_lost_blob_leaves_what_ran(scene: Scene, what: str) -> None:
    scene.update()
    second = scene.publisher.release(2, seed=2)
    scene.publisher.remove_blob(second.draft.manifest.file(what).sha256)
    with pytest.raises(SourcesError):
        scene.update()
    assert scene.version() == 1
    scene.publisher.offer(2)
    assert scene.update().running.version == 2


def test_a_release_that_fails_its_self_test_is_quarantined(scene: Scene) -> None:
    scene.update()
    scene.publisher.release(2)
    scene.trials.failing = {2}
    with pytest.raises(SelfTestError, match="answers something else"):
        scene.update()
    assert scene.version() == 1
    assert scene.receipts() == [("installed", 1), ("refused", 2)]
    tried = len(scene.trials.run)
    scene.trials.failing = set()
    for _ in range(2):
        updated = scene.update()
        assert (updated.outcome, updated.running.version, updated.offered) == (Outcome.QUARANTINED, 1, 2)
    assert len(scene.trials.run) == tried
    assert scene.receipts() == [("installed", 1), ("refused", 2)]
    assert not scene.folder.staging.exists()


@pytest.mark.parametrize("change", ["runtime", "release", "retry"])
def test_quarantine_ends_when_something_changes(scene: Scene, change: str) -> None:
    scene.update()
    scene.publisher.release(2)
    scene.trials.failing = {2}
    with pytest.raises(SelfTestError):
        scene.update()
    scene.trials.failing = set()
    if change == "runtime":
        scene.machine = replace(scene.machine, runtimes={"onnxruntime": "1.31.0"})
    elif change == "release":
        scene.publisher.release(3)
    assert scene.update(retry=change == "retry").running.version == (3 if change == "release" else 2)


def test_another_variant_that_fits_is_tried(scene: Scene) -> None:
    scene.update()
    scene.publisher.release(2, variants=2)
    scene.trials.failing = {"v0/2"}
    updated = scene.update()
    assert (updated.running.version, updated.running.variant) == (2, "v3")
    assert scene.receipts() == [("installed", 1), ("refused", 2), ("installed", 2)]
    assert scene.version() == 2


def test_the_first_release_that_fails_leaves_nothing(scene: Scene) -> None:
    scene.trials.failing = {1}
    with pytest.raises(SelfTestError):
        scene.update()
    assert scene.version() == 0
    with pytest.raises(NodeStateError, match="nothing was installed"):
        scene.update()


def test_no_variant(scene: Scene) -> None:
    scene.machine = replace(scene.machine, runtimes={})
    with pytest.raises(NoVariantError, match="onnxruntime"):
        scene.update()
    assert scene.version() == 0
    assert not scene.folder.current.is_symlink()


def test_a_version_that_goes_backwards(scene: Scene) -> None:
    scene.publisher.release(3)
    scene.update()
    scene.publisher.offer(1)
    with pytest.raises(RollbackError):
        scene.update()
    assert scene.version() == 3


def test_a_version_that_goes_backwards_is_refused_without_the_trust_folder(scene: Scene) -> None:
    """What the node itself remembers is enough."""
    import shutil

    scene.publisher.release(3)
    scene.update()
    scene.publisher.offer(1)
    shutil.rmtree(scene.folder.trust)
    scene.folder.state.unlink()
    with pytest.raises(RollbackError, match="version 3"):
        scene.update()
    assert scene.version() == 3


def test_a_signer_that_the_channel_does_not_name(scene: Scene) -> None:
    scene.update()
    scene.publisher.release(2)
    scene.publisher.key = generate("p256")
    scene.publisher.offer(2)
    with pytest.raises(SignatureError):
        scene.update()
    assert scene.version() == 1
    assert not (scene.folder.staging / "files").exists()


def test_a_signer_that_counts_no_more(scene: Scene) -> None:
    """The same release, and its key is not among the channel's any longer: the node says so, and revokes nothing."""
    scene.update()
    scene.publisher.key = generate("p256")
    scene.publisher.offer(1)
    with pytest.raises(SignatureError):
        scene.update()
    assert scene.version() == 1


def test_a_signature_over_other_files(scene: Scene) -> None:
    scene.update()
    second = scene.publisher.release(2)
    other = sign_files({"manifest.json": "ab" * 32}, name="net", key=scene.publisher.key)
    scene.publisher.put(second.draft, alter={"oms:v0": lambda signature: other})
    with pytest.raises(SignatureError, match="over other files"):
        scene.update()
    assert scene.version() == 1
    assert not scene.folder.staging.exists()


def test_another_bundle_under_the_notice(scene: Scene) -> None:
    scene.update()
    scene.publisher.release(2)
    scene.publisher.built[3] = scene.publisher.built[2]
    scene.publisher.offer(3)
    with pytest.raises(MalformedError, match="version 2"):
        scene.update()
    assert scene.version() == 1


def test_a_withdrawn_model_runs_on(scene: Scene) -> None:
    scene.update()
    del scene.publisher.repository.families["vision"].targets[f"{MODEL}.json"]
    scene.publisher.repository.publish()
    scene.publisher.write()
    with pytest.raises(UnknownTargetError):
        scene.update()
    assert scene.version() == 1


def test_a_key_that_cannot_be_opened_stops_the_update_early(scene: Scene, tmp_path: Path) -> None:
    locked = Scene(tmp_path / "other")
    locked.publisher = scene.publisher
    locked.set_up(passphrase=b"secret")
    with pytest.raises(KeyFileError):
        locked.update()
    assert not locked.folder.staging.exists()
    locked.passphrase = lambda: b"secret"
    assert locked.update().running.version == 1
    locked.passphrase = lambda: b"wrong"
    assert locked.update().outcome is Outcome.UNCHANGED


def test_room_is_made_by_giving_up_the_spare_slot(scene: Scene) -> None:
    for version in (1, 2):
        scene.publisher.release(version)
        scene.update()
    scene.publisher.release(3, seed=3)
    scene.machine = replace(scene.machine, disk_bytes=1000)
    assert scene.update().running.version == 3
    assert any("given up" in line for line in scene.told)


def test_mirrors_that_fail_are_named(scene: Scene, tmp_path: Path) -> None:
    other = Scene(tmp_path / "other")
    other.publisher = scene.publisher
    (tmp_path / "empty").mkdir()
    other.set_up(str(tmp_path / "empty"), str(scene.publisher.folder))
    updated = other.update()
    assert updated.running.version == 1
    assert [url for url in updated.faults if "empty" in url]


def test_a_thiefs_release_runs_no_more_once_its_keys_are_replaced(scene: Scene) -> None:
    """A release of a high version was installed; after the keys are replaced it neither runs nor is gone back to."""
    scene.update()
    scene.publisher.release(700)
    scene.update()
    replace_family_keys(scene)
    fourth = scene.publisher.release(4)
    scene.publisher.remove_blob(fourth.draft.manifest.file("model.v0.onnx").sha256)
    with pytest.raises(SourcesError):
        scene.update()
    assert scene.version() == 1, "the release before the thief's"
    scene.publisher.offer(4)
    assert scene.update().running.version == scene.version() == 4
    assert scene.receipts()[1:] == [("installed", 700), ("rolled-back", 1), ("installed", 4)]


@pytest.mark.parametrize("lost", [False, True])
def test_a_version_pushed_too_far_is_forgotten_with_the_keys_that_said_so(scene: Scene, lost: bool) -> None:
    scene.publisher.release(2**31 - 1, oldest=2**31 - 1)
    scene.update()
    if lost:
        scene.folder.state.unlink()
    scene.publisher.release(4)
    with pytest.raises(RollbackError, match="after version 2147483647"):
        scene.update()
    replace_family_keys(scene)
    assert scene.update().running.version == scene.version() == 4
    scene.publisher.release(3)
    with pytest.raises(RollbackError, match="after version 4"):
        scene.update()


def replace_family_keys(scene: Scene) -> None:
    """What the channel's owner does after a theft."""
    repository = scene.publisher.repository
    repository.signers["vision"] = [CryptoSigner.generate_ed25519()]
    repository.delegate("vision", ["vision/*"])
    repository.publish(bump=("families", "targets", "snapshot", "timestamp"))
    scene.publisher.write()
