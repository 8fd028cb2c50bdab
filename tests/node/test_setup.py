from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from edgekit.errors import EdgekitError, ExpiredError, InputError
from edgekit.node.disk import Disk
from edgekit.node.opened import look_at
from edgekit.node.seeding import Seeder, SeedPlan
from edgekit.node.settings import NodeSettings
from edgekit.node.setup import set_up
from edgekit.node.status import Status, read_status
from edgekit.types.plain import from_plain, to_plain
from tests.node.failing_disks import Counting, be_full
from tests.node.scene import MODEL, Scene, flip


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    scene = Scene(tmp_path)
    scene.publisher.release(1)
    return scene


def test_a_node_keeps_its_key_to_itself(scene: Scene) -> None:
    did = scene.set_up()
    assert did.startswith("did:key:z6Mk")
    assert (scene.path / "identity.key").stat().st_mode & 0o077 == 0


def test_paths_of_channels_hold_from_anywhere(scene: Scene, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(scene.publisher.folder.parent)
    absolute, name = str(scene.publisher.folder), scene.publisher.folder.name
    urls = ("https://models.example/channel", "file:///srv/channel", "oci://registry.example/channel")
    scene.set_up(name, f"file:{name}/../other", *urls)
    node = look_at(scene.path, scene.world)
    assert node.settings.channels == (absolute, f"{absolute}/../other", *urls)


def test_paths_of_sources_hold_from_anywhere(scene: Scene, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(scene.publisher.folder.parent)
    absolute, name = str(scene.publisher.folder), scene.publisher.folder.name
    urls = ("torrent:https://models.example/channel?dht=on", "torrent:?peer=192.0.2.1:6881", "ipfs:https://gw.example")
    settings = NodeSettings(MODEL, (name,), sources=(f"torrent:{name}?lsd=on", name, *urls))
    set_up(scene.path, settings, scene.publisher.repository.first_root, None, disk=Disk())
    assert look_at(scene.path, scene.world).settings.sources == (f"torrent:{absolute}?lsd=on", absolute, *urls)


def test_its_folder_may_be_a_link(scene: Scene, tmp_path: Path) -> None:
    """To a larger disk, for example."""
    (tmp_path / "larger").mkdir()
    scene.path.symlink_to("larger")
    scene.set_up()
    scene.update()
    made = Seeder(scene.path, scene.world, [], SeedPlan(for_s=0.1))
    made.run()
    assert not [line for line in scene.told if "failed" in line]
    assert scene.serving().record.deployed.version == 1
    assert (tmp_path / "larger" / "current" / "files").is_dir()


def test_a_folder_whose_name_is_no_utf_8_is_no_channel(scene: Scene) -> None:
    """`node.toml` could not say where it is."""
    settings = NodeSettings(MODEL, (f"{scene.publisher.folder}/\udcff",))
    with pytest.raises(InputError, match="no UTF-8"):
        set_up(scene.path, settings, scene.publisher.repository.first_root, None, disk=Disk())
    assert not (scene.path / "node.toml").exists()


def test_a_node_is_set_up_once(scene: Scene) -> None:
    scene.set_up()
    with pytest.raises(InputError, match="already"):
        scene.set_up()


def test_a_set_up_that_was_cut_off_is_done_again(scene: Scene) -> None:
    root = scene.publisher.repository.first_root
    settings = NodeSettings(MODEL, (str(scene.publisher.folder),))
    counting = Counting()
    set_up(scene.path.with_name("whole"), settings, root, None, disk=counting)
    for number in range(1, len(counting.steps) + 1):
        path = scene.path.with_name(f"cut-{number}")
        with pytest.raises(EdgekitError, match="No space left"):
            set_up(path, settings, root, None, disk=Counting(number, be_full))
        scene.path = path
        if not scene.folder.settings.exists():
            scene.set_up()
        assert scene.update().running.version == 1


@pytest.mark.parametrize("root", [b"", b"{}", b"no", b'{"signed":{"_type":"targets"}}', b"[]", b" " * 600_000])
def test_a_root_of_trust_that_is_none(scene: Scene, root: bytes) -> None:
    with pytest.raises(InputError, match="root"):
        set_up(scene.path, NodeSettings(MODEL, ("x",)), root, None, disk=Disk())
    assert not scene.path.exists()


@pytest.mark.parametrize("model", ["net", "Vision/net", "root/net", "a/b/c", "vision/../x"])
def test_a_model_that_cannot_be(scene: Scene, model: str) -> None:
    with pytest.raises(InputError):
        set_up(scene.path, NodeSettings(model, ("x",)), scene.publisher.repository.first_root, None, disk=Disk())


def status(scene: Scene, *, thorough: bool = False) -> Status:
    return read_status(look_at(scene.path, scene.world), thorough=thorough)


def test_status_of_a_new_node(scene: Scene) -> None:
    did = scene.set_up()
    found = status(scene)
    assert (found.did, found.running, found.receipts, found.last_receipt) == (did, None, 0, None)
    assert (found.channel.checked, found.channel.offer) == ("", None)
    assert [slot.fault for slot in found.slots] == ["", ""]
    assert found.faults == ()


def test_status_of_a_node_at_work(scene: Scene) -> None:
    scene.set_up()
    scene.update()
    scene.publisher.release(2)
    scene.trials.failing = {2}
    with pytest.raises(EdgekitError):
        scene.update()
    found = status(scene, thorough=True)
    assert found.running is not None
    assert found.channel.offer is not None
    assert (found.running.version, found.channel.offer.version) == (1, 2)
    assert found.channel.versions["vision"] == 3
    assert [entry.version for entry in found.quarantine] == [2]
    assert found.last_receipt is not None
    assert found.last_receipt.event.value == "refused"
    assert from_plain(Status, json.loads(json.dumps(to_plain(found))), where="status") == found


def test_status_says_what_is_wrong(scene: Scene) -> None:
    scene.set_up()
    scene.update()
    flip(scene.folder.slots / "a" / "files" / "model.v0.onnx")
    flip(scene.folder.receipts / "00000001.json")
    flip(scene.folder.state)
    assert status(scene).running is not None, "without --check nothing is hashed"
    found = status(scene, thorough=True)
    assert found.running is None
    assert "changed: model.v0.onnx" in found.slots[0].fault
    assert [fault.partition(":")[0] for fault in found.faults] == ["state.json", "receipts"]


def test_status_does_not_change_anything(scene: Scene) -> None:
    scene.set_up()
    scene.update()
    flip(scene.folder.state)
    before = {path: path.read_bytes() for path in scene.path.rglob("*") if path.is_file()}
    status(scene, thorough=True)
    scene.version()
    assert {path: path.read_bytes() for path in scene.path.rglob("*") if path.is_file()} == before


def test_expired_metadata_leaves_the_model_running_and_shows(scene: Scene) -> None:
    scene.set_up()
    scene.update()
    scene.later(days=2)
    assert status(scene).channel.is_expired
    with pytest.raises(ExpiredError):
        scene.update()
    assert scene.version() == 1
    done = scene.run_once()
    assert isinstance(done.error, ExpiredError)
    assert done.error.hint


def test_a_clock_that_went_backwards(scene: Scene) -> None:
    from edgekit.errors import ClockError

    scene.set_up()
    scene.update()
    scene.now -= timedelta(days=400)
    with pytest.raises(ClockError):
        scene.update()
    assert scene.version() == 1


def test_quarantine_of_other_hardware_is_not_shown(scene: Scene) -> None:
    scene.set_up()
    scene.trials.failing = {1}
    with pytest.raises(EdgekitError):
        scene.update()
    scene.machine = replace(scene.machine, runtimes={"onnxruntime": "1.40.0"})
    assert status(scene).quarantine == ()
