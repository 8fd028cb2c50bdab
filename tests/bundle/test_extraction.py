"""Extraction: the verified bytes in a folder, or no folder."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from edgekit import digest
from edgekit.bundle import extraction
from edgekit.bundle.extraction import extract
from edgekit.bundle.verify import verify_bundle
from edgekit.errors import DigestError, InputError, StorageError
from edgekit.seal.keys import PrivateKey
from edgekit.seal.oms import verify_files
from tests.bundle.building import Built


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_variants_folder_is_what_its_signature_says(valid: Built, key: PrivateKey, tmp_path: Path) -> None:
    verdict = verify_bundle(valid.path, [key.public])
    assert extract(valid.path, verdict, tmp_path / "new" / "out", variant="v1") == [tmp_path / "new" / "out"]
    folder = tmp_path / "new" / "out"
    signed = verify_files((folder / "model.sig").read_bytes(), [key.public]).files
    assert names(folder) == sorted([*signed, "model.sig"])
    assert {path: digest.of_file(folder / path) for path in signed} == dict(signed)
    assert os.listdir(tmp_path / "new") == ["out"]


def test_all_variants_each_in_its_folder(valid: Built, key: PrivateKey, tmp_path: Path) -> None:
    verdict = verify_bundle(valid.path, [key.public])
    (tmp_path / "out").mkdir()
    found = extract(valid.path, verdict, tmp_path / "out")
    assert found == [tmp_path / "out" / name for name in ("v0", "v1", "v2")]
    assert all((folder / "manifest.json").is_file() for folder in found)


def test_a_folder_in_use_is_left_alone(valid: Built, key: PrivateKey, tmp_path: Path) -> None:
    verdict = verify_bundle(valid.path, [key.public])
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for place in (tmp_path, tmp_path / "mine", tmp_path / "link"):
        with pytest.raises(InputError, match="exists already"):
            extract(valid.path, verdict, place)
    with pytest.raises(InputError, match="no variant 'v9'") as caught:
        extract(valid.path, verdict, tmp_path / "out", variant="v9")
    assert "v0, v1, v2" in caught.value.hint
    assert sorted(os.listdir(tmp_path)) == ["link", "mine"]


def test_a_bundle_that_changed_after_it_was_verified(valid: Built, key: PrivateKey, tmp_path: Path) -> None:
    path = shutil.copytree(valid.path, tmp_path / "net")
    verdict = verify_bundle(path, [key.public])
    model = path / "blobs" / "sha256" / valid.draft.manifest.file("model.v0.onnx").sha256
    model.write_bytes(b"x" * model.stat().st_size)
    with pytest.raises(DigestError, match=r"model\.v0\.onnx holds other bytes"):
        extract(path, verdict, tmp_path / "out")
    assert os.listdir(tmp_path) == ["net"]


def test_a_full_disk_leaves_nothing(
    valid: Built, key: PrivateKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    verdict = verify_bundle(valid.path, [key.public])
    monkeypatch.setattr(extraction.os, "fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        extract(valid.path, verdict, tmp_path / "out")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("place", [".", ".."])
def test_the_folder_one_is_in_is_no_place_for_files(
    place: str, valid: Built, key: PrivateKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It cannot appear whole or not at all: it is there."""
    (tmp_path / "in").mkdir()
    monkeypatch.chdir(tmp_path / "in")
    with pytest.raises(InputError, match="names no new folder"):
        extract(valid.path, verify_bundle(valid.path, [key.public]), Path(place))
    assert os.listdir(tmp_path) == ["in"]
