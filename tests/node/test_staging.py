"""What an earlier run left in `slots/next` is used where it is right, and goes where it is not."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from edgekit.errors import SourcesError
from tests.node.scene import Scene, flip


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """A node that runs version 1, and has everything of version 2 in `slots/next` but one file, whose blob is lost."""
    scene = Scene(tmp_path)
    scene.publisher.release(1)
    scene.set_up()
    scene.update()
    second = scene.publisher.release(2, seed=2)
    scene.publisher.remove_blob(second.draft.manifest.file("model.v0.onnx").sha256)
    with pytest.raises(SourcesError):
        scene.update()
    assert sorted(os.listdir(scene.folder.staging / "files")) == ["card.md", "golden"]
    return scene


def test_what_is_there_is_not_fetched_again(scene: Scene) -> None:
    scene.publisher.offer(2)
    second = scene.publisher.built[2].draft.manifest
    for path in ("card.md", "golden/inputs.npz", "golden/outputs.npz"):
        scene.publisher.remove_blob(second.file(path).sha256)
    assert scene.update().running.version == scene.version() == 2


@pytest.mark.parametrize("what", ["card.md", "golden/inputs.npz"])
def test_what_has_decayed_is_fetched_again(scene: Scene, what: str) -> None:
    scene.publisher.offer(2)
    flip(scene.folder.staging / "files" / what)
    scene.told.clear()
    assert scene.update().running.version == scene.version() == 2
    assert [line.split(",")[0] for line in scene.told if "fetching" in line] == [
        f"fetching {what}",
        "fetching model.v0.onnx",
    ]


def test_what_does_not_belong_there_goes(scene: Scene, tmp_path: Path) -> None:
    scene.publisher.offer(2)
    files = scene.folder.staging / "files"
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "inputs.npz").write_text("p")
    shutil.rmtree(files / "golden")
    (files / "golden").symlink_to(tmp_path / "precious")
    (files / "model.v0.onnx").mkdir()
    (files / "model.v0.onnx" / "x").write_text("")
    (files / "more" / "of").mkdir(parents=True)
    (files / "more" / "of" / "it.py").write_text("")
    (files / "card.md").unlink()
    (files / "card.md").symlink_to("/etc/hostname")
    (scene.folder.staging / "parts" / "0").write_text("")
    (scene.folder.staging / "else").write_text("")
    assert scene.update().running.version == scene.version() == 2
    assert os.listdir(tmp_path / "precious") == ["inputs.npz"]
    assert sorted(os.listdir(scene.serving().folder)) == ["files", "model.sig", "slot.json"]


def test_another_release_takes_its_place(scene: Scene) -> None:
    scene.publisher.release(3, seed=3)
    assert scene.update().running.version == scene.version() == 3


def test_the_same_bytes_under_two_names_are_fetched_once(tmp_path: Path) -> None:
    import dataclasses

    from tests.bundle.building import Draft, describe_file, draft

    scene = Scene(tmp_path)
    found = draft(tmp_path / "files", variants=1, name="vision/resnet8")
    files = {file.path: file for file in found.manifest.files}
    found.sources["golden/outputs.npz"].write_bytes(found.sources["golden/inputs.npz"].read_bytes())
    same = files["golden/outputs.npz"]
    files[same.path] = describe_file(found.sources[same.path], same.path, same.role, same.media_type)
    manifest = dataclasses.replace(found.manifest, files=tuple(files[path] for path in sorted(files)))
    scene.publisher.put(Draft(manifest, found.sources))
    scene.set_up()
    assert scene.update().running.version == scene.version() == 1
    assert len([line for line in scene.told if "golden" in line]) == 1
