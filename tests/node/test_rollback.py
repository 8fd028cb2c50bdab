from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from edgekit.errors import NodeStateError, SelfTestError, SourcesError, TransportError
from edgekit.node.opened import look_at
from edgekit.node.rollback import serving
from edgekit.node.update import Outcome
from tests.node.scene import Scene, flip


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """A node that runs version 2, and keeps version 1."""
    scene = Scene(tmp_path)
    scene.publisher.release(1)
    scene.set_up()
    scene.update()
    scene.publisher.release(2)
    scene.update()
    return scene


def cut_off(scene: Scene) -> None:
    """No mirror answers."""
    shutil.move(scene.publisher.folder, scene.publisher.folder.with_name("gone"))


def test_a_round_in_which_all_is_well(scene: Scene) -> None:
    done = scene.run_once()
    assert done.running.version == 2
    assert done.updated is not None
    assert (done.updated.outcome, done.error) == (Outcome.UNCHANGED, None)
    assert scene.trials.run[-1] == "v0/2"


def test_a_flipped_bit_off_line_goes_back(scene: Scene) -> None:
    cut_off(scene)
    flip(scene.serving().files / "model.v0.onnx")
    assert scene.version() == 0, "what is damaged is not served, also before anyone repairs it"
    done = scene.run_once()
    assert done.running.version == scene.version() == 1
    assert isinstance(done.error, TransportError)
    assert scene.receipts() == [("installed", 1), ("installed", 2), ("rolled-back", 1)]


@pytest.mark.parametrize("what", ["model.v0.onnx", "golden/inputs.npz", "manifest.json"])
def test_a_flipped_bit_on_line_is_mended(scene: Scene, what: str) -> None:
    flip(scene.serving().files / what)
    done = scene.run_once()
    assert done.running.version == scene.version() == 2
    assert scene.receipts()[2:] == [("rolled-back", 1), ("rolled-back", 2)]
    assert scene.run_once().updated is not None


@pytest.mark.parametrize("what", ["slot.json", "model.sig"])
def test_a_flipped_bit_in_what_a_slot_says_of_itself(scene: Scene, what: str) -> None:
    flip(scene.serving().folder / what)
    assert scene.version() == 0
    assert scene.run_once().running.version == scene.version() == 2


def test_a_file_that_is_gone_is_seen_by_an_update(scene: Scene) -> None:
    (scene.serving().files / "card.md").unlink()
    assert scene.update().running.version == 2
    assert scene.version() == 2


@pytest.mark.parametrize("state", [b"", b"{", b'{"record":{},"sha256":"00"}', b"\xff" * 5000, None])
def test_a_corrupted_state_file(scene: Scene, state: bytes | None) -> None:
    if state is None:
        flip(scene.folder.state)
    else:
        scene.folder.state.write_bytes(state)
    assert scene.version() == 2
    assert scene.update().outcome is Outcome.UNCHANGED
    assert any("state.json" in line for line in scene.told)
    assert look_at(scene.path, scene.world).fault == ""


def test_a_corrupted_state_file_does_not_revive_what_was_revoked(scene: Scene) -> None:
    """Version 2 was installed when 2 was the oldest that might run: the slot remembers."""
    scene.publisher.release(3, oldest=3)
    scene.update()
    cut_off(scene)
    scene.folder.state.write_bytes(b"?")
    flip(scene.serving().files / "model.v0.onnx")
    with pytest.raises(NodeStateError, match="revoked"):
        scene.run_once()
    assert scene.version() == 0


@pytest.mark.parametrize("link", ["slots/c", "/etc", "../../x", "slots/a/files", "slots/next"])
def test_a_link_that_leads_elsewhere(scene: Scene, link: str) -> None:
    scene.folder.current.unlink()
    scene.folder.current.symlink_to(link)
    assert scene.version() == 0
    assert scene.update().running.version == scene.version() == 2


def test_a_link_that_is_gone(scene: Scene) -> None:
    scene.folder.current.unlink()
    cut_off(scene)
    assert scene.run_once().running.version == scene.version() == 2


def test_a_model_that_no_longer_passes_goes_back(scene: Scene) -> None:
    scene.trials.failing = {2}
    done = scene.run_once()
    assert done.running.version == scene.version() == 1
    assert scene.receipts()[2:] == [("refused", 2), ("rolled-back", 1)]
    updated = scene.run_once().updated
    assert updated is not None
    assert (updated.outcome, updated.running.version) == (Outcome.QUARANTINED, 1)
    scene.trials.failing = set()
    scene.machine = replace(scene.machine, runtimes={"onnxruntime": "1.31.0"})
    assert scene.run_once().running.version == 2
    assert scene.receipts()[-1] == ("rolled-back", 2)


def test_nothing_runs_where_both_fail(scene: Scene) -> None:
    scene.trials.failing = {1, 2}
    with pytest.raises(NodeStateError, match="failed its self-test"):
        scene.run_once()
    assert scene.version() == 0
    assert not scene.folder.current.is_symlink()
    assert scene.receipts()[2:] == [("refused", 2), ("refused", 1), ("stopped", 0)]
    with pytest.raises(NodeStateError):
        scene.run_once()
    assert scene.receipts()[-1] == ("stopped", 0)
    assert len(scene.receipts()) == 5
    scene.trials.failing = set()
    scene.machine = replace(scene.machine, runtimes={"onnxruntime": "1.31.0"})
    assert scene.run_once().running.version == scene.version() == 2


def test_never_below_what_the_channel_allows(scene: Scene) -> None:
    scene.publisher.offer(2, oldest=2)
    scene.update()
    cut_off(scene)
    flip(scene.serving().files / "model.v0.onnx")
    with pytest.raises(NodeStateError, match="version 1 is revoked: 2 is the oldest"):
        scene.run_once()
    assert scene.version() == 0
    assert not scene.folder.current.is_symlink()
    assert scene.receipts()[-1] == ("stopped", 0)


def test_a_revoked_version_stops_where_its_successor_cannot_be_had(scene: Scene) -> None:
    third = scene.publisher.release(3, oldest=3)
    scene.publisher.remove_blob(third.draft.manifest.file("model.v0.onnx").sha256)
    with pytest.raises(SourcesError):
        scene.update()
    assert scene.version() == 0
    assert not scene.folder.current.is_symlink()
    with pytest.raises(NodeStateError, match="version 2 is revoked"):
        scene.run_once()
    scene.publisher.offer(3, oldest=3)
    assert scene.update().running.version == scene.version() == 3


def test_a_revoked_version_stops_where_its_successor_fails_here(scene: Scene) -> None:
    scene.publisher.release(3, oldest=3)
    scene.trials.failing = {3}
    with pytest.raises(SelfTestError):
        scene.update()
    assert scene.version() == 0
    with pytest.raises(NodeStateError, match="revoked"):
        scene.update()


def test_a_revoked_version_is_refused_the_moment_that_is_known(scene: Scene) -> None:
    """The state is saved before anything is fetched: a node cut off here serves nothing that was revoked."""
    from edgekit.node.state import save_state

    node = look_at(scene.path, scene.world)
    save_state(scene.disk, scene.folder.state, replace(node.state, oldest=3))
    with pytest.raises(NodeStateError, match="revoked"):
        serving(look_at(scene.path, scene.world))


def test_an_update_that_fails_leaves_the_round_to_go_on(scene: Scene) -> None:
    cut_off(scene)
    done = scene.run_once()
    assert (done.running.version, done.updated) == (2, None)
    assert isinstance(done.error, TransportError)
    assert scene.trials.run[-1] == "v0/2"


def test_a_node_that_never_installed_anything_says_why(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.publisher.release(1)
    scene.set_up()
    cut_off(scene)
    with pytest.raises(TransportError):
        scene.run_once()


def test_another_model_in_the_settings(scene: Scene) -> None:
    text = scene.folder.settings.read_text()
    scene.folder.settings.write_text(text.replace("vision/resnet8", "vision/other"))
    with pytest.raises(NodeStateError, match="vision/other"):
        scene.serving()


def test_nothing_stays_quarantined_for_ever(scene: Scene) -> None:
    """Memory was short for an hour, and no self-test could be run: the day after, what lies here is tried again."""
    scene.trials.failing = {1, 2}
    with pytest.raises(NodeStateError):
        scene.run_once()
    scene.trials.failing = set()
    scene.later(hours=23)
    with pytest.raises(NodeStateError):
        scene.run_once()
    scene.later(hours=2)
    assert scene.run_once().running.version == scene.version() == 2
    assert scene.receipts()[-1] == ("rolled-back", 2)
