from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from edgekit.errors import DigestError, MalformedError
from edgekit.seal.folder_files import check_folder, digest_folder

CONTENTS = {"manifest.json": b"{}", "model.onnx": b"weights", "golden/in.npz": b"inputs"}
FILES = {path: hashlib.sha256(data).hexdigest() for path, data in CONTENTS.items()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for path, data in CONTENTS.items():
        (tmp_path / "m" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "m" / path).write_bytes(data)
    return tmp_path / "m"


def test_what_was_signed_is_there(folder: Path) -> None:
    assert digest_folder(folder) == FILES
    check_folder(folder, FILES)
    (folder / "empty").mkdir()
    check_folder(folder, FILES)


def test_a_changed_file_is_named(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(b"weighty")
    with pytest.raises(DigestError, match=r"changed: model\.onnx"):
        check_folder(folder, FILES)


def test_an_extra_file_is_named(folder: Path) -> None:
    (folder / "golden" / "more").write_bytes(b"")
    with pytest.raises(DigestError, match="not signed: golden/more"):
        check_folder(folder, FILES)
    check_folder(folder, FILES, ignoring=["golden/more"])


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / "model.onnx").unlink()
    with pytest.raises(DigestError, match=r"missing: model\.onnx"):
        check_folder(folder, FILES)


def test_a_renamed_file_is_missing_and_extra(folder: Path) -> None:
    (folder / "model.onnx").rename(folder / "Model.onnx")
    with pytest.raises(DigestError, match=r"missing: model\.onnx; not signed: Model\.onnx"):
        check_folder(folder, FILES)


def test_a_folder_can_be_ignored(folder: Path) -> None:
    rest = {path: sha256 for path, sha256 in FILES.items() if not path.startswith("golden/")}
    check_folder(folder, rest, ignoring=["golden"])


@pytest.mark.parametrize("target", ["model.onnx", "../outside", "nowhere", "golden"])
def test_a_symbolic_link_is_refused_wherever_it_leads(target: str, folder: Path) -> None:
    (folder.parent / "outside").write_bytes(b"weights")
    (folder / "link").symlink_to(target)
    with pytest.raises(MalformedError, match=r"'link' in .* is a symbolic link"):
        check_folder(folder, FILES)


def test_a_link_in_the_place_of_a_file_is_refused(folder: Path) -> None:
    (folder / "model.onnx").rename(folder.parent / "moved")
    (folder / "model.onnx").symlink_to(folder.parent / "moved")
    with pytest.raises(MalformedError, match="symbolic link"):
        check_folder(folder, FILES)


def test_names_that_differ_only_in_case_are_refused(folder: Path) -> None:
    (folder / "MODEL.onnx").write_bytes(b"other")
    if len(os.listdir(folder)) == 3:
        pytest.skip("this file system does not tell letters' case apart")
    with pytest.raises(MalformedError, match="differ only in case"):
        digest_folder(folder)


@pytest.mark.parametrize("name", [".git", "a b", "x\n", "é", b"\xff".decode("utf-8", "surrogateescape")])
def test_a_name_that_no_file_of_a_bundle_has_is_refused(name: str, folder: Path) -> None:
    (folder / name).write_bytes(b"")
    with pytest.raises(MalformedError, match="no name that a bundle's file may have"):
        digest_folder(folder)


def test_a_pipe_is_neither_file_nor_folder(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    with pytest.raises(MalformedError, match="neither file nor folder"):
        digest_folder(folder)


def test_a_folder_of_too_many_files_is_left(tmp_path: Path) -> None:
    for number in range(4097):
        (tmp_path / f"f{number}").touch()
    with pytest.raises(MalformedError, match="more than 4096 files"):
        digest_folder(tmp_path)
