"""One bundle in six systems: all of them, and what each alone notices."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from edgekit import digest
from edgekit.addressing.addressing import addresses_of_file
from edgekit.bundle.addressed import address_bundle
from edgekit.bundle.opening import open_bundle
from edgekit.bundle.release import read_image, read_provenance
from edgekit.bundle.verify import check_structure
from edgekit.confirm.by_bytes import confirm_cids, confirm_torrents
from edgekit.confirm.by_keys import confirm_log, confirm_signatures
from edgekit.confirm.confirmation import BITTORRENT, IPFS, LOG, OCI, SIGNING, SYSTEMS, TUF
from edgekit.confirm.confirming import confirm_bundle
from edgekit.confirm.current import check_current
from edgekit.errors import MalformedError, StalledError, TransportError, TrustError
from edgekit.seal.keys import generate
from edgekit.transparency.policy import read_policy
from edgekit.types.strict_json import canonical
from tests.bundle.building import build, draft, with_manifest, write_bundle
from tests.channel.memory import MemoryTransport
from tests.confirm.published import ORIGIN, World, failed, make_world, rows_of


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Version 1 is current, logged and cosigned."""
    made = make_world(tmp_path)
    made.log(made.lab.bundle())
    made.lab.publish()
    return made


def test_a_bundle_is_confirmed_in_six_systems(world: World) -> None:
    path = world.lab.bundle()
    found = world.confirm(path)
    assert [row for row in found.failed] == []
    assert list(dict.fromkeys(row.system for row in found.rows)) == list(SYSTEMS)
    built = world.lab.bundles[1]
    manifest = built.draft.manifest
    assert (found.name, found.version, found.semver) == (manifest.name, manifest.version, manifest.semver)
    addresses = {file.path: addresses_of_file(built.file(file.path)) for file in manifest.files}
    assert {row.what: row.address for row in rows_of(found, BITTORRENT)} == {
        path: each.infohash for path, each in addresses.items()
    }
    assert {row.what: row.details["pieces_root"] for row in rows_of(found, BITTORRENT)} == {
        path: each.pieces_root for path, each in addresses.items()
    }
    cids = {row.what: row.address for row in rows_of(found, IPFS)}
    with open_bundle(path) as bundle:
        assert cids.pop(manifest.name) == address_bundle(bundle).tree.cid
    assert cids == {path: each.cid for path, each in addresses.items()}
    assert [row.address for row in rows_of(found, OCI)] == [built.image_index.digest, built.images["v0"].digest]
    assert [row.what for row in rows_of(found, SIGNING)] == ["v0", "provenance"]
    assert {row.details["key"] for row in rows_of(found, SIGNING)} == {world.lab.publisher.public.fingerprint}
    (tuf,) = rows_of(found, TUF)
    assert tuf.address == f"sha256:{digest.of_bytes((path / 'index.json').read_bytes())}"
    assert (tuf.details["target"], tuf.details["version"]) == (f"{manifest.name}.json", 1)
    (log,) = rows_of(found, LOG)
    assert (log.details["origin"], log.details["index"], log.details["size"]) == (ORIGIN, 0, 1)
    witnesses = log.details["witnesses"]
    assert isinstance(witnesses, dict)
    assert set(witnesses) == {"ada", "bob"}


def test_a_flipped_bit_is_noticed_wherever_bytes_count(world: World, tmp_path: Path) -> None:
    path = tmp_path / "copy"
    shutil.copytree(world.lab.bundle(), path)
    file = world.lab.bundles[1].draft.manifest.file("model.v0.onnx")
    place = path / "blobs" / "sha256" / file.sha256
    data = bytearray(place.read_bytes())
    data[1000] ^= 1
    place.write_bytes(data)
    found = world.confirm(path)
    assert failed(found) == {SIGNING, OCI, BITTORRENT, IPFS}
    assert [row.what for row in rows_of(found, BITTORRENT) if not row.verified] == ["model.v0.onnx"]
    assert {row.what for row in rows_of(found, IPFS) if not row.verified} == {"model.v0.onnx", "vision/lite0"}
    assert all(not row.verified for row in rows_of(found, OCI))


def test_a_bundle_that_is_not_current(world: World) -> None:
    world.log(world.lab.bundle(2))
    world.lab.publish(2)
    assert not world.confirm(world.lab.bundle(2)).failed
    found = world.confirm(world.lab.bundle(1))
    assert failed(found) == {TUF}  # it is still signed, and logged
    assert "not current" in found.failed[0].how


def test_a_bundle_that_was_never_published(world: World, tmp_path: Path) -> None:
    found = world.confirm(world.lab.bundle(2))
    assert failed(found) == {TUF, LOG, IPFS}
    assert any("--proof" in row.how for row in found.failed)
    # The folder holds index.json, which nobody signed; the image index is named by the provenance.
    assert [row.what for row in found.failed if row.system == IPFS] == ["vision/lite0"]
    built = write_bundle(
        draft(tmp_path / "files", name="vision/lite0"), tmp_path / "net", world.lab.publisher, provenance=False
    )
    found = world.confirm(built.path)
    assert not any(row.verified for row in rows_of(found, OCI))
    assert all(row.verified for row in rows_of(found, SIGNING))


def without_provenance(path: Path) -> None:
    """What anybody can make of a bundle: it is as well signed as before."""
    with open_bundle(path) as bundle:
        release = check_structure(bundle)
        provenance = read_provenance(bundle.blobs, release)
    assert provenance
    assert release.provenance
    for descriptor in (provenance.layer, release.provenance):
        (path / descriptor.blob.file_name).unlink()
    index = json.loads((path / "index.json").read_bytes())
    index["manifests"] = [each for each in index["manifests"] if each["digest"] != release.provenance.digest]
    (path / "index.json").write_bytes(canonical(index))


def with_a_blank(path: Path) -> None:
    place = path / "oci-layout"
    place.write_bytes(place.read_bytes() + b" ")


@pytest.mark.parametrize(
    ("alter", "systems"), [(without_provenance, {OCI, TUF, LOG, IPFS}), (with_a_blank, {IPFS})], ids=["index", "layout"]
)
def test_a_document_that_no_signature_covers(
    alter: Callable[[Path], None], systems: set[str], world: World, tmp_path: Path
) -> None:
    """The folder has another CID than the one that was published, although it is whole."""
    path = tmp_path / "copy"
    shutil.copytree(world.lab.bundle(), path)
    before = rows_of(world.confirm(path), IPFS)[-1]
    alter(path)
    found = world.confirm(path)
    assert failed(found) == systems
    folder = rows_of(found, IPFS)[-1]
    assert folder.address != before.address
    assert (before.verified, folder.verified) == (True, False)


def test_an_empty_file_under_the_digest_of_another(world: World, tmp_path: Path) -> None:
    """Only its size is signed truly; no address shows it, since what is empty has none."""
    content = draft(tmp_path / "files", name="vision/lite0", variants=1)
    content.sources["card.md"].write_bytes(b"")
    card = dataclasses.replace(content.manifest.file("card.md"), sha256="ab" * 32, size_bytes=0, addresses=None)
    files = tuple(card if file.path == "card.md" else file for file in content.manifest.files)
    built = write_bundle(with_manifest(content, files=files), tmp_path / "net", world.lab.publisher)
    built.blob(digest.of_bytes(b"")).rename(built.blob("ab" * 32))
    found = world.confirm(built.path)
    assert not any(row.verified for row in rows_of(found, OCI))
    assert [row.what for row in rows_of(found, SIGNING) if row.verified] == ["provenance"]


def test_a_release_of_which_the_channel_says_another_version(world: World) -> None:
    followed = world.lab.follow()
    with open_bundle(world.lab.bundle()) as bundle:
        release = check_structure(bundle)
    check_current(release, followed)
    for change in ({"version": 2}, {"semver": "1.0.1"}):
        other = dataclasses.replace(followed, notice=dataclasses.replace(followed.notice, **change))  # type: ignore[arg-type]
        with pytest.raises(MalformedError, match="by itself it is version 1"):
            check_current(release, other)


def test_a_version_that_no_log_can_have(world: World) -> None:
    with open_bundle(world.lab.bundle()) as bundle:
        release = check_structure(bundle)
    beyond = dataclasses.replace(release, manifest=dataclasses.replace(release.manifest, version=2**40))
    (row,) = confirm_log(beyond, world.policy, b"")
    assert not row.verified
    assert "cannot be an entry of a log" in row.how


def test_a_bundle_of_nothing_but_empty_files_has_no_torrent(world: World) -> None:
    with open_bundle(world.lab.bundle()) as bundle:
        release, found = check_structure(bundle), address_bundle(bundle)
    files = tuple(dataclasses.replace(file, size_bytes=0, addresses=None) for file in release.manifest.files)
    empty = dataclasses.replace(release, manifest=dataclasses.replace(release.manifest, files=files))
    assert [row.verified for row in confirm_torrents(empty, found)] == [False]


def test_a_channel_that_cannot_be_trusted(world: World) -> None:
    timestamp = bytearray(world.lab.place.files["metadata/timestamp.json"])
    timestamp[-20] ^= 1
    world.lab.place.files["metadata/timestamp.json"] = bytes(timestamp)
    found = world.confirm(world.lab.bundle())
    assert failed(found) == {SIGNING, TUF}  # nobody says whose signature counts
    assert not any(row.verified for row in rows_of(found, SIGNING))


def test_a_channel_that_cannot_be_reached(world: World) -> None:
    world.lab.place.files.clear()
    with pytest.raises(TransportError):
        world.confirm(world.lab.bundle())


def test_a_mirror_that_withholds_the_proof_beside_one_that_has_it(world: World) -> None:
    path, good = world.lab.bundle(), world.lab.place
    (name,) = (name for name in good.files if name.startswith("proofs/"))
    silent = MemoryTransport(good.files, faults={name: StalledError("it is silent")})
    for bad in (silent, MemoryTransport(good.files, endless={name})):
        with open_bundle(path) as bundle:
            found = confirm_bundle(bundle, root=world.root, mirrors=[bad, good], policy=world.policy)
        assert not found.failed
    with open_bundle(path) as bundle, pytest.raises(StalledError):
        confirm_bundle(bundle, root=world.root, mirrors=[silent], policy=world.policy)


@pytest.mark.parametrize(
    "what", ["absent", "of another release", "flipped", "noise", "endless", "another log", "one witness"]
)
def test_a_proof_that_does_not_hold(what: str, world: World) -> None:
    path = world.lab.bundle()
    (name,) = (name for name in world.lab.place.files if name.startswith("proofs/"))
    proof, policy, said = world.lab.place.files[name], None, ""
    if what == "absent":
        del world.lab.place.files[name]
        said = "hand the proof over with --proof"
    elif what == "of another release":
        world.lab.place.files[name] = world.log(world.lab.bundle(2))
        said = "not"
    elif what == "flipped":
        at = proof.index(ORIGIN.encode()) + len(ORIGIN) + 5
        world.lab.place.files[name] = proof[:at] + bytes([proof[at] ^ 1]) + proof[at + 1 :]
    elif what == "noise":
        world.lab.place.files[name] = b"not a proof"
        said = "a proof needs"
    elif what == "endless":
        world.lab.place.files[name] = bytes(2**20)
        said = "longer than"
    elif what == "another log":
        other = make_world(world.lab.folder.parent / "other")
        policy, said = other.policy, "no log of the policy"
    else:
        world.log(path, cosigned_by=("ada",))
        said = "ada did, bob did not"
    found = world.confirm(path, policy=policy)
    assert failed(found) == {LOG}
    assert said in found.failed[0].how
    assert not world.confirm(path, proof=proof).failed  # handed over, it is used instead


def test_no_witness_may_be_asked_for(world: World) -> None:
    vkey = str(world.policy.logs[0].key)
    found = world.confirm(world.lab.bundle(), policy=read_policy(f"log {vkey}\nquorum none\n"))
    assert not found.failed
    assert "witnesses: none" in rows_of(found, LOG)[0].how


@pytest.mark.parametrize("key", ["pieces_root", "infohash"])
def test_a_manifest_that_signs_another_address(key: str, tmp_path: Path) -> None:
    content = draft(tmp_path / "files")
    files = list(content.manifest.files)
    assert files[3].addresses
    files[3] = dataclasses.replace(files[3], addresses=dataclasses.replace(files[3].addresses, **{key: "ab" * 32}))
    built = write_bundle(with_manifest(content, files=tuple(files)), tmp_path / "net", generate("p256"))
    with open_bundle(built.path) as bundle:
        release, found = check_structure(bundle), address_bundle(bundle)
    wrong = [row for row in confirm_torrents(release, found) if not row.verified]
    assert [row.what for row in wrong] == [files[3].path]
    assert f"manifest.json says {key} {'ab' * 32}" in wrong[0].how
    assert all(row.verified for row in confirm_cids(release, found))


def test_a_manifest_that_signs_the_cid_of_other_bytes(tmp_path: Path) -> None:
    """Of a file of more than 64 MiB, where the manifest itself cannot tell."""
    built = build(tmp_path, generate("p256"))
    with open_bundle(built.path) as bundle:
        release, found = check_structure(bundle), address_bundle(bundle)
    file = release.manifest.files[0]
    assert file.addresses
    other = dataclasses.replace(file, addresses=dataclasses.replace(file.addresses, cid="bafkrei" + "a" * 52))
    manifest = dataclasses.replace(release.manifest, files=(other, *release.manifest.files[1:]))
    rows = list(confirm_cids(dataclasses.replace(release, manifest=manifest), found))
    assert [row.what for row in rows if not row.verified] == [file.path]
    assert file.addresses.cid in rows[0].how


def test_a_signature_by_a_key_that_the_channel_does_not_name(world: World, tmp_path: Path) -> None:
    """The channel names one signer; the bundle is signed by another."""
    followed = world.lab.follow()
    built = build(tmp_path, generate("p256"), variants=2)
    with open_bundle(built.path) as bundle:
        release, found = check_structure(bundle), address_bundle(bundle)
        images = {name: read_image(bundle.blobs, release, name) for name in built.images}
        rows = list(confirm_signatures(release, images, bundle.blobs, found, followed))
        nobody = list(confirm_signatures(release, images, bundle.blobs, found, TrustError("unknown")))
    assert [row.what for row in rows] == ["v0", "v1", "provenance"]
    assert not any(row.verified for row in (*rows, *nobody))


def test_a_bundle_of_version_0_1_lacks_two_systems(world: World) -> None:
    found = world.confirm(Path(__file__).parents[1] / "compat" / "v0.1" / "net.edgekit.tar")
    assert {BITTORRENT, IPFS} < failed(found)
    assert any("edgekit 0.1 packed this bundle" in row.how for row in found.failed)


def test_what_is_no_bundle_is_refused_at_once(world: World, tmp_path: Path) -> None:
    shutil.copytree(world.lab.bundle(), tmp_path / "copy")
    (tmp_path / "copy" / "extra").touch()
    with pytest.raises(MalformedError):
        world.confirm(tmp_path / "copy")
