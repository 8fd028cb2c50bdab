"""npm's ipfs-car, a program of other people, calls files and folders what we call them, and unpacks our CARs."""

from __future__ import annotations

import filecmp
import io
import os
import subprocess
from pathlib import Path

import pytest

from edgekit.addressing.addressing import addresses_of_file
from edgekit.addressing.car import check_car
from edgekit.addressing.cid import parse_cid
from edgekit.bundle.verify import verify_bundle
from edgekit.errors import TrustError
from edgekit.share.sharing import Shared, share_bundle
from tests.bundle.building import Built
from tests.interop.parts import ipfs_car

MIB = 2**20


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*ipfs_car(), *map(str, words)], capture_output=True, text=True, timeout=120)


def pack(path: Path, out: Path) -> str:
    """CID by ipfs-car."""
    done = run("pack", "--no-wrap", path, "--output", out)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def shared(three_platforms: Built, tmp_path_factory: pytest.TempPathFactory) -> Shared:
    return share_bundle(three_platforms.path, tmp_path_factory.mktemp("shared"))


@pytest.mark.parametrize("size", [1, MIB - 1, MIB, MIB + 1, 9 * MIB + 12_345])
def test_a_file_has_the_cid_that_it_computes(size: int, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(os.urandom(size))
    assert pack(tmp_path / "file", tmp_path / "file.car") == addresses_of_file(tmp_path / "file").cid


def test_every_file_of_a_bundle_has_the_cid_that_its_manifest_signs(three_platforms: Built, tmp_path: Path) -> None:
    for file in three_platforms.draft.manifest.files:
        assert file.addresses
        assert pack(three_platforms.file(file.path), tmp_path / "file.car") == file.addresses.cid


def test_a_bundle_has_the_cid_that_it_computes_and_its_car_holds_what_ours_holds(
    three_platforms: Built, shared: Shared, tmp_path: Path
) -> None:
    assert pack(three_platforms.path, tmp_path / "its.car") == shared.cid
    root = parse_cid(shared.cid)
    with (tmp_path / "its.car").open("rb") as its, shared.car.open("rb") as ours:
        assert check_car(its, root) == check_car(ours, root)


def test_it_unpacks_our_car_byte_for_byte(three_platforms: Built, shared: Shared, tmp_path: Path) -> None:
    done = run("unpack", shared.car, "--root", shared.cid, "--output", tmp_path / "net")
    assert done.returncode == 0, done.stderr
    names = [str(path.relative_to(three_platforms.path)) for path in three_platforms.path.rglob("*") if path.is_file()]
    assert len([path for path in (tmp_path / "net").rglob("*") if path.is_file()]) == len(names)
    matching, differing, missing = filecmp.cmpfiles(three_platforms.path, tmp_path / "net", names, shallow=False)
    assert (sorted(matching), differing, missing) == (sorted(names), [], [])
    verify_bundle(tmp_path / "net", [three_platforms.key.public])


def test_a_flipped_byte_is_refused_by_both(shared: Shared, tmp_path: Path) -> None:
    data = bytearray(shared.car.read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "flipped.car").write_bytes(data)
    done = run("unpack", tmp_path / "flipped.car", "--root", shared.cid, "--output", tmp_path / "net")
    assert done.returncode != 0
    assert "HashMismatch" in done.stderr
    with pytest.raises(TrustError):
        check_car(io.BytesIO(bytes(data)), parse_cid(shared.cid))
