"""cpio "newc": what is written is read back by a second implementation, and by the one of the system."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import pytest

from edgekit.portable.initramfs import write_initramfs
from tests.devices.parts import find_program


def read_entries(data: bytes) -> list[tuple[str, int, bytes, tuple[int, int]]]:
    """Name, mode, contents and device number of each entry, up to the trailer."""
    entries, place = [], 0
    while True:
        assert data[place : place + 6] == b"070701"
        fields = [int(data[place + 6 + 8 * n : place + 14 + 8 * n], 16) for n in range(13)]
        mode, size, name_size = fields[1], fields[6], fields[11]
        name = data[place + 110 : place + 110 + name_size - 1].decode()
        start = -(-(place + 110 + name_size) // 4) * 4
        if name == "TRAILER!!!":
            assert set(data[start:]) <= {0}
            return entries
        entries.append((name, mode, data[start : start + size], (fields[9], fields[10])))
        place = -(-(start + size) // 4) * 4


@pytest.fixture
def image(tmp_path: Path) -> Path:
    root, more = tmp_path / "root", tmp_path / "more"
    (root / "etc").mkdir(parents=True)
    (root / "etc" / "odd length").write_bytes(b"12345")
    (root / "init").write_text("#!/bin/sh\n")
    (root / "init").chmod(0o755)
    (root / "key").write_text("secret")
    (root / "key").chmod(0o600)
    (root / "link").symlink_to("../not/there")
    (more / "deep").mkdir(parents=True)
    (more / "deep" / "file").write_bytes(b"")
    write_initramfs(tmp_path / "image", {"": root, "more": more})
    return tmp_path / "image"


def test_entries_are_as_they_were(image):
    entries = {name: (mode, contents, device) for name, mode, contents, device in read_entries(image.read_bytes())}
    assert entries["dev/console"] == (stat.S_IFCHR | 0o600, b"", (5, 1))
    assert entries["etc/odd length"][1] == b"12345"
    assert entries["init"][0] == stat.S_IFREG | 0o755
    assert entries["key"][0] == stat.S_IFREG | 0o600
    assert entries["link"][:2] == (stat.S_IFLNK | 0o777, b"../not/there")
    assert entries["more"][0] == entries["etc"][0] == stat.S_IFDIR | 0o755
    assert entries["more/deep/file"][1] == b""


def test_a_folder_comes_before_what_is_in_it(image):
    names = [name for name, *_ in read_entries(image.read_bytes())]
    assert len(names) == len(set(names))
    for name in names:
        parent = name.rpartition("/")[0]
        assert not parent or names.index(parent) < names.index(name)


def test_the_system_reads_it_too(image):
    cpio = find_program("cpio", "cpio")
    with image.open("rb") as stream:
        listing = subprocess.run((cpio, "-t", "--quiet"), stdin=stream, capture_output=True, text=True, check=True)
    assert listing.stdout.split("\n")[:-1] == [name for name, *_ in read_entries(image.read_bytes())]
