"""Hostile tar files: what `tarfile` would follow, rename, resize or read into memory is refused by its header."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.bundle.tar_index import TarIndex, index_tar
from edgekit.errors import MalformedError
from edgekit.oci.tarball import write_tar
from tests.bundle.building import Built

HEX = "ab" * 32
BLOB = f"blobs/sha256/{HEX}"


def index(path: Path) -> TarIndex:
    with path.open("rb") as stream:
        return index_tar(stream.fileno())


def entry(name: str, **fields: object) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    for key, value in fields.items():
        setattr(made, key, value)
    return made


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Path]:
    """Writes a tar of `index.json`, `oci-layout` and what else is wanted."""

    def write(*entries: tarfile.TarInfo, format: int = tarfile.USTAR_FORMAT, **pax: str) -> Path:
        path = tmp_path / "made.tar"
        with tarfile.open(path, "w", format=format, pax_headers=pax) as archive:
            for made in (entry("index.json", size=3), entry("oci-layout", size=2), *entries):
                archive.addfile(made, io.BytesIO(b"x" * made.size) if made.isreg() else None)
        return path

    return write


def test_a_written_bundle(valid: Built, tmp_path: Path) -> None:
    write_tar(valid.path, tmp_path / "a.tar")
    found = index(tmp_path / "a.tar")
    data = (tmp_path / "a.tar").read_bytes()
    offset, size = found.documents["index.json"]
    assert data[offset : offset + size] == (valid.path / "index.json").read_bytes()
    assert set(found.blobs) == set(os.listdir(valid.path / "blobs" / "sha256"))
    for sha256, (offset, size) in found.blobs.items():
        assert data[offset : offset + size] == valid.blob(sha256).read_bytes()


@pytest.mark.parametrize("format", ["gnu", "ustar"])
def test_one_that_gnu_tar_made(valid: Built, tmp_path: Path, format: str) -> None:
    subprocess.run(["tar", f"--format={format}", "-C", valid.path, "-cf", tmp_path / "a.tar", "."], check=True)
    assert set(index(tmp_path / "a.tar").blobs) == set(os.listdir(valid.path / "blobs" / "sha256"))


@pytest.mark.parametrize(
    ("member", "said"),
    [
        (entry("../../etc/cron.d/x", size=1), r"'\.\./\.\./etc/cron\.d/x', which is no part"),
        (entry("/etc/passwd", size=1), "no part of a bundle"),
        (entry("blobs/sha256/../../x", size=1), "no part of a bundle"),
        (entry("blobs/sha512/" + "ab" * 32, size=1), "no part of a bundle"),
        (entry("blobs/sha256/" + "AB" * 32, size=1), "no part of a bundle"),
        (entry(BLOB + "0", size=1), "no part of a bundle"),
        (entry("././index.json", size=1), "no part of a bundle"),
        (entry("notes.txt", size=1), "no part of a bundle"),
        (entry("new\nline", size=1), "no part of a bundle"),
        (entry("index.json", size=1), "index.json twice"),
        (entry("./index.json", size=1), "index.json twice"),
        (entry(BLOB, type=tarfile.SYMTYPE, linkname="/etc/passwd"), "as a symbolic link"),
        (entry(BLOB, type=tarfile.LNKTYPE, linkname="index.json"), "as a hard link"),
        (entry(BLOB, type=tarfile.CHRTYPE), "as a device"),
        (entry(BLOB, type=tarfile.BLKTYPE), "as a device"),
        (entry(BLOB, type=tarfile.FIFOTYPE), "as a pipe"),
        (entry(BLOB, type=tarfile.CONTTYPE), "something of type"),
        (entry(BLOB, type=tarfile.GNUTYPE_SPARSE), "as a sparse file"),
        (entry(BLOB, type=tarfile.DIRTYPE), "as a folder"),
        (entry("etc", type=tarfile.DIRTYPE), "no part of a bundle"),
        (entry("blobs/sha256", size=1), "no part of a bundle"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.name[:20],
)
def test_members_that_no_bundle_has(make: Callable[..., Path], member: tarfile.TarInfo, said: str) -> None:
    with pytest.raises(MalformedError, match=said):
        index(make(member))


def test_extended_headers(make: Callable[..., Path]) -> None:
    """One could rename the next member, resize it (`size`), or be gigabytes long."""
    renamed = entry(BLOB, size=1, pax_headers={"path": "../../x"})
    with pytest.raises(MalformedError, match="as an extended header"):
        index(make(renamed, format=tarfile.PAX_FORMAT))
    with pytest.raises(MalformedError, match="as an extended header"):
        index(make(format=tarfile.PAX_FORMAT, comment="global"))
    with pytest.raises(MalformedError, match="as a long name"):
        index(make(entry("x" * 200, size=1), format=tarfile.GNU_FORMAT))
    with pytest.raises(MalformedError, match="below another folder"):
        index(make(entry("etc/" * 20 + "x" * 60, size=1)))


def test_a_member_twice(make: Callable[..., Path]) -> None:
    with pytest.raises(MalformedError, match="twice"):
        index(make(entry(BLOB, size=1), entry(BLOB, size=2)))


def test_too_many_members(make: Callable[..., Path]) -> None:
    with pytest.raises(MalformedError, match="more than 4096 members"):
        index(make(*(entry(f"blobs/sha256/{number:064x}") for number in range(4096))))


def resized(path: Path, field: bytes) -> Path:
    """The first member with another size field, and a checksum that is right."""
    data = bytearray(path.read_bytes())
    data[124:136] = field
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % sum(data[:512])
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    "field",
    [b"77777777777\0", b"-0000000001\0", b"\x80" + b"\xff" * 11, b"0x000000010\0", b"\0" * 12, b"1e9        \0"],
)
def test_sizes_that_are_none(make: Callable[..., Path], field: bytes) -> None:
    with pytest.raises(MalformedError, match=r"cut short|octal"):
        index(resized(make(), field))


def test_damage(make: Callable[..., Path]) -> None:
    data = make(entry(BLOB, size=5000)).read_bytes()
    path = make()

    def refuse(changed: bytes, said: str) -> None:
        path.write_bytes(changed)
        with pytest.raises(MalformedError, match=said):
            index(path)

    refuse(b"", "cut short")
    refuse(data[:700], "cut short")
    refuse(data[:4000], "cut short in blobs")
    refuse(data[: 512 * 2 * 2 + 512 + 5120], "cut short")
    refuse(data[: 512 * 2 * 2 + 512 + 5120 + 512], "does not end")
    refuse(data + b"x", "does not end")
    refuse(data + bytes(2**21), "does not end")
    refuse(b"y" + data[1:], "checksum")
    refuse(b"PK\x03\x04" + bytes(600), "neither a folder nor")
    refuse(b"\x1f\x8b" + os.urandom(600), "neither a folder nor")


@pytest.fixture(scope="module")
def tar_bytes(valid: Built, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("tar") / "a.tar"
    write_tar(valid.path, path)
    return path.read_bytes()


@given(st.integers(0, 511), st.binary(min_size=1, max_size=40))
def test_mutated_headers_are_refused_or_read(
    tar_bytes: bytes, tmp_path_factory: pytest.TempPathFactory, at: int, put: bytes
) -> None:
    """Nothing but MalformedError, and every range that is given out lies inside the file."""
    data = bytearray(tar_bytes[: 512 * 40])
    data[at : at + len(put)] = put
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % sum(data[:512])
    path = tmp_path_factory.getbasetemp() / "mutated.tar"
    path.write_bytes(data + tar_bytes[512 * 40 :])
    try:
        found = index(path)
    except MalformedError:
        return
    for offset, size in (*found.blobs.values(), *found.documents.values()):
        assert 0 <= offset <= offset + size <= path.stat().st_size
