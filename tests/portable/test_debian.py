"""Debian's packages: the mirror comes from apt's own configuration, and what apt cannot fetch is told."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edgekit.errors import DeviceError
from edgekit.portable import debian
from edgekit.portable.debian import DebianArchive, choose_mirror, find_mirror
from tests.devices.parts import find_program, free_port, lack
from tests.portable.built import REQUIRED

LISTING = """\
Debian Debian-Security bookworm-security http://security.example/debian-security/
Debian Debian bookworm-updates http://updates.example/debian/
Debian Debian bookworm http://mirror.example/debian/
Debian Debian bookworm http://second.example/debian/
"""


def test_the_mirror_is_that_of_the_main_archive():
    assert choose_mirror(LISTING) == "http://mirror.example/debian/"


@pytest.mark.parametrize("listing", ["", "Ubuntu Ubuntu noble http://mirror.example/ubuntu/\n", "   \n"])
def test_without_a_mirror_of_debian_it_is_told_where_one_is(listing):
    with pytest.raises(DeviceError, match="knows no mirror of Debian") as caught:
        choose_mirror(listing)
    assert "apt-get update" in caught.value.hint
    assert "Debian 12 or 13" in caught.value.hint


def test_without_apt_it_is_told_where_one_is(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("edgekit.portable.commands.ADMIN_FOLDERS", str(tmp_path))
    with pytest.raises(DeviceError, match="can only be fetched by apt") as caught:
        find_mirror()
    assert "Debian 12 or 13" in caught.value.hint


def test_a_mirror_that_does_not_answer_is_told(monkeypatch, tmp_path):
    find_program("apt-get", "apt")
    monkeypatch.setattr(debian, "find_mirror", lambda: f"http://127.0.0.1:{free_port()}/debian")
    monkeypatch.setattr(debian, "CONFIGURATION", debian.CONFIGURATION.replace('"3"', '"0"'))
    with pytest.raises(DeviceError, match=r"cannot fetch Debian's index of bookworm arm64: .*127\.0\.0\.1") as caught:
        DebianArchive("bookworm", "arm64", tmp_path)
    assert "is there a network" in caught.value.hint


@pytest.fixture
def archive(tmp_path: Path) -> DebianArchive:
    """The archive for ARM, as the mirror of this machine has it: 9 MB."""
    if not REQUIRED:
        lack("the network: EDGEKIT_DEVICES=required")
    return DebianArchive("bookworm", "arm64", tmp_path / "apt")


def test_packages_of_another_architecture_are_unpacked(archive, tmp_path):
    archive.unpack(("libffi8", "zlib1g"), tmp_path / "root")
    library = (tmp_path / "root/lib/aarch64-linux-gnu/libz.so.1").read_bytes()
    assert library[:4] == b"\x7fELF"
    assert int.from_bytes(library[18:20], "little") == 183  # EM_AARCH64
    shutil.rmtree(tmp_path / "root")
    archive.unpack(("libbz2-1.0",), tmp_path / "root")
    assert not list((tmp_path / "root").rglob("libz*")), "a package of the first call was unpacked again"


def test_a_package_that_stands_for_another_is_resolved(archive):
    assert archive.resolve("linux-image-cloud-arm64").startswith("linux-image-6.")
    with pytest.raises(DeviceError, match="gcc-12-base of bookworm arm64 depends on nothing"):
        archive.resolve("gcc-12-base")


def test_an_unknown_package_is_named(archive, tmp_path):
    with pytest.raises(DeviceError, match=r"cannot fetch no-such-package of bookworm arm64: .*no-such-package"):
        archive.unpack(("no-such-package",), tmp_path / "root")
