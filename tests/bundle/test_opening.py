"""Opening a bundle: folder and tar give the same, and what is no bundle is refused before anything is read of it."""

from __future__ import annotations

import os
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from edgekit.bundle.opening import open_bundle
from edgekit.errors import EdgekitError, InputError, MalformedError
from edgekit.oci.tarball import write_tar
from tests.bundle.building import Built


@pytest.fixture
def copy(valid: Built, tmp_path: Path) -> Path:
    """The valid bundle, to be spoiled."""
    return shutil.copytree(valid.path, tmp_path / "net.edgekit")


def refuse(path: Path, said: str, kind: type[EdgekitError] = MalformedError) -> None:
    with pytest.raises(kind, match=said), open_bundle(path):
        pass


def test_folder_and_tar_are_the_same_bundle(valid: Built, tmp_path: Path) -> None:
    write_tar(valid.path, tmp_path / "a.tar")
    (tmp_path / "link.tar").symlink_to("a.tar")
    with open_bundle(valid.path) as folder, open_bundle(tmp_path / "link.tar") as tar:
        assert folder.index_bytes == tar.index_bytes
        assert folder.stored == tar.stored
        assert folder.blobs.read(valid.image_index, limit_bytes=10**6) == tar.blobs.read(
            valid.image_index, limit_bytes=10**6
        )


def test_what_is_not_there(tmp_path: Path) -> None:
    refuse(tmp_path / "absent", "there is no bundle", InputError)
    (tmp_path / "loop").symlink_to("loop")
    refuse(tmp_path / "loop", "cannot read", InputError)
    os.mkfifo(tmp_path / "pipe")
    refuse(tmp_path / "pipe", "no regular file")
    refuse(tmp_path, "is no bundle")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda at: (at / "index.json").unlink(), r"lacks index\.json"),
        (lambda at: (at / "oci-layout").unlink(), "lacks oci-layout"),
        (lambda at: (at / "oci-layout").write_bytes(b'{"imageLayoutVersion":"9"}'), "1.0.0"),
        (lambda at: (at / "index.json").write_bytes(b" " * 300_000), "more than 262144 bytes"),
        (lambda at: (at / "notes.txt").write_bytes(b""), r"'notes\.txt', which is no part"),
        (lambda at: (at / "blobs" / "sha512").mkdir(), "'sha512', which is no part"),
        (lambda at: (at / "blobs" / "sha256" / "x").write_bytes(b""), "'x', which is no sha256"),
        (lambda at: (at / "blobs" / "sha256" / ("0" * 64)).mkdir(), "no regular file"),
        (lambda at: (at / "blobs" / "sha256" / ("0" * 64)).symlink_to("/etc/passwd"), "symbolic link"),
        (lambda at: os.mkfifo(at / "blobs" / "sha256" / ("0" * 64)), "no regular file"),
        (lambda at: shutil.rmtree(at / "blobs"), "blobs is missing"),
    ],
)
def test_folders_that_are_no_bundle(copy: Path, spoil: Callable[[Path], object], said: str) -> None:
    spoil(copy)
    refuse(copy, said)


@pytest.mark.parametrize("name", ["index.json", "oci-layout", "blobs", "blobs/sha256"])
def test_links_inside_are_not_followed(copy: Path, tmp_path: Path, name: str) -> None:
    shutil.move(copy / name, tmp_path / "elsewhere")
    (copy / name).symlink_to(tmp_path / "elsewhere")
    refuse(copy, "symbolic link|no folder")


def test_too_many_files(copy: Path) -> None:
    for number in range(4096):
        (copy / "blobs" / "sha256" / f"{number:064x}").touch()
    refuse(copy, "more than 4096")


def test_tars_that_are_no_bundle(copy: Path, tmp_path: Path) -> None:
    def pack(*names: str) -> Path:
        with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.USTAR_FORMAT) as archive:
            for name in names:
                archive.add(copy / name, name)
        return tmp_path / "a.tar"

    refuse(pack("oci-layout"), r"lacks index\.json")
    refuse(pack("index.json"), "lacks oci-layout")
    (copy / "index.json").write_bytes(b" " * 300_000)
    refuse(pack("index.json", "oci-layout"), "at most 262144")
    (tmp_path / "a.tar").write_bytes(b"PK\x03\x04" + bytes(1000))
    refuse(tmp_path / "a.tar", "neither a folder nor an uncompressed tar")
