"""Sharing: what is written for other programs, that it is what a manifest says, and what is refused."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path
from typing import Any

import pytest

from edgekit.addressing import bencode
from edgekit.addressing.car import check_car
from edgekit.addressing.cid import parse_cid
from edgekit.addressing.torrent import read_torrent
from edgekit.errors import DigestError, InputError, MalformedError, StorageError
from edgekit.oci.tarball import write_tar
from edgekit.seal.keys import generate
from edgekit.share.sharing import Shared, share_bundle
from edgekit.types.blob import Addresses, Blob
from edgekit.types.manifest import Role
from tests.bundle.building import Built, build, draft, with_manifest, write_bundle


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return build(tmp_path_factory.mktemp("built"), generate("p256"), variants=2, sizes=(3000, 2_500_000))


@pytest.fixture(scope="module")
def shared(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Shared:
    return share_bundle(built.path, tmp_path_factory.mktemp("shared"), webseed="https://models.example.org/channel/")


def raw(path: Path) -> Any:
    return bencode.decode(path.read_bytes(), where="it", limit_bytes=2**20)


def test_every_model_file_has_the_torrent_that_its_manifest_signs(built: Built, shared: Shared) -> None:
    models = [file for file in built.draft.manifest.files if file.role is Role.MODEL]
    assert [file.name for file in shared.files] == [file.path for file in models]
    for file, told in zip(models, shared.files, strict=True):
        assert told.torrent.name == f"{file.sha256}.torrent"
        torrent = read_torrent(told.torrent.read_bytes(), blob=file.blob)
        assert (told.infohash, told.infohash_v1) == (torrent.infohash, torrent.infohash_v1)
        assert file.addresses
        assert told.infohash == file.addresses.infohash
        assert f"btmh:1220{told.infohash}" in told.magnet
        assert f"btih:{told.infohash_v1}" in told.magnet
        value = raw(told.torrent)
        assert value[b"url-list"] == [f"https://models.example.org/channel/blobs/sha256/{file.sha256}".encode()]
        assert b"announce" not in value


def test_the_car_holds_the_folder(built: Built, shared: Shared) -> None:
    data = shared.car.read_bytes()
    assert (shared.car.name, len(data)) == ("net.car", shared.car_bytes)
    checked = check_car(io.BytesIO(data), parse_cid(shared.cid))
    files = [path for path in built.path.rglob("*") if path.is_file()]
    assert checked.size_bytes > sum(path.stat().st_size for path in files)
    assert shared.tar is None


def test_a_tar_has_a_torrent_of_its_own(built: Built, shared: Shared, tmp_path: Path) -> None:
    tar = tmp_path / "lite0.tar"
    write_tar(built.path, tar)
    trackers = ["udp://127.0.0.1:6969", "http://127.0.0.1:6969/announce"]
    found = share_bundle(tar, tmp_path / "out", trackers=trackers, webseed="http://127.0.0.1:8000/files")
    assert found.cid == shared.cid
    assert found.car.name == "lite0.car"
    assert found.tar
    assert found.tar.torrent.name == "lite0.tar.torrent"
    value = raw(found.tar.torrent)
    assert (value[b"info"][b"name"], value[b"info"][b"length"]) == (b"lite0.tar", tar.stat().st_size)
    assert value[b"url-list"] == [b"http://127.0.0.1:8000/files/lite0.tar"]
    assert value[b"announce-list"] == [[url.encode() for url in trackers]]
    assert [file.infohash for file in found.files] == [file.infohash for file in shared.files]


def test_the_same_bundle_gives_the_same_files(built: Built, shared: Shared, tmp_path: Path) -> None:
    again = share_bundle(built.path, tmp_path, webseed="https://models.example.org/channel")
    for name in ("net.car", *(f"torrents/{file.torrent.name}" for file in shared.files)):
        assert (tmp_path / name).read_bytes() == (shared.car.parent / name).read_bytes()
    assert again.cid == shared.cid


def test_a_bundle_of_version_0_1_is_shared_too(tmp_path: Path) -> None:
    """Its manifest names no addresses; they follow from the bytes."""
    old = Path(__file__).parents[1] / "compat" / "v0.1" / "net.edgekit.tar"
    found = share_bundle(old, tmp_path)
    file = found.files[0]
    sha256 = file.torrent.name.removesuffix(".torrent")
    root = raw(file.torrent)[b"info"][b"file tree"][sha256.encode()][b""][b"pieces root"]
    blob = Blob(sha256, file.size_bytes, None, Addresses("", root.hex(), file.infohash))
    assert read_torrent(file.torrent.read_bytes(), blob=blob).size_bytes == file.size_bytes
    assert found.car.name == "net.car"


@pytest.mark.parametrize("key", ["pieces_root", "infohash"])
def test_a_manifest_that_signs_another_address_is_refused(key: str, tmp_path: Path) -> None:
    content = draft(tmp_path / "files")
    files = list(content.manifest.files)
    assert files[3].addresses
    files[3] = dataclasses.replace(files[3], addresses=dataclasses.replace(files[3].addresses, **{key: "ab" * 32}))
    built = write_bundle(with_manifest(content, files=tuple(files)), tmp_path / "net", generate("p256"))
    with pytest.raises(DigestError, match="other addresses") as caught:
        share_bundle(built.path, tmp_path / "out")
    assert key in caught.value.hint
    assert not (tmp_path / "out").exists()


def test_what_is_no_intact_bundle_is_refused(tmp_path: Path) -> None:
    built = build(tmp_path, generate("p256"))
    (built.path / "blobs" / "sha256" / ("ab" * 32)).write_bytes(b"nobody refers to it")
    with pytest.raises(MalformedError, match="nothing in it refers to"):
        share_bundle(built.path, tmp_path / "out")
    (built.path / "blobs" / "sha256" / ("ab" * 32)).unlink()
    place = built.file("model.v0.onnx")
    place.write_bytes(bytes(place.stat().st_size))
    with pytest.raises(DigestError, match="other bytes"):
        share_bundle(built.path, tmp_path / "out")
    with pytest.raises(InputError, match="no bundle"):
        share_bundle(tmp_path / "absent", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("trackers", "webseed"),
    [
        ([], "ftp://a.example"),
        ([], "udp://a.example"),
        ([], "a.example/files"),
        ([], "http://"),
        ([], "http://user:secret@a.example"),
        ([], "http://:secret@a.example"),
        ([], "http://a.example/?x=1"),
        ([], "http://a.example/#x"),
        ([], "http://a.example/\n"),
        ([], "http://a.example/é"),
        ([], "http://a.example:99999"),
        ([], "http://[::1"),
        (["file:///etc/passwd"], None),
        (["http://a.example/" + "x" * 1000], None),
        (["http://a.example/", "javascript:1"], None),
    ],
)
def test_urls_are_looked_at(trackers: list[str], webseed: str | None, built: Built, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no URL of a") as caught:
        share_bundle(built.path, tmp_path / "out", trackers=trackers, webseed=webseed)
    assert "secret" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_name_that_no_torrent_can_have(built: Built, tmp_path: Path) -> None:
    tar = tmp_path / "modèle.tar"
    write_tar(built.path, tar)
    with pytest.raises(InputError, match="name of a torrent"):
        share_bundle(tar, tmp_path / "out")


@pytest.mark.parametrize("below", [".", "torrents", "blobs/sha256"])
def test_a_bundle_is_not_shared_into_itself(below: str, built: Built) -> None:
    """It would hold something else than what was signed, and be refused by whoever verifies it."""
    before = sorted(built.path.rglob("*"))
    with pytest.raises(InputError, match="lies in the bundle"):
        share_bundle(built.path, built.path / below)
    assert sorted(built.path.rglob("*")) == before


def test_a_place_that_cannot_be_written(built: Built, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="cannot write"):
        share_bundle(built.path, tmp_path / "file")


def test_nothing_is_left_half_written(built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("edgekit.share.sharing.write_car", fail)
    with pytest.raises(StorageError, match="No space left"):
        share_bundle(built.path, tmp_path / "out")
    assert not list((tmp_path / "out").glob("*car*"))
    assert not list((tmp_path / "out").glob(".*"))
