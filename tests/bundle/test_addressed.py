"""Addresses of a bundle's parts and of its folder, and what is noticed on the way."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from edgekit import digest
from edgekit.addressing.addressing import addresses_of_file
from edgekit.addressing.car import check_car, write_car
from edgekit.bundle.addressed import address_bundle
from edgekit.bundle.opening import open_bundle
from edgekit.errors import DigestError
from edgekit.oci.tarball import write_tar
from edgekit.seal.keys import PrivateKey
from tests.bundle.building import Built, build


def test_every_part_has_the_addresses_of_its_bytes(valid: Built) -> None:
    with open_bundle(valid.path) as bundle:
        found = address_bundle(bundle)
    found.check()
    assert set(found.addresses) == set(bundle.stored)
    for sha256, addresses in found.addresses.items():
        assert addresses == addresses_of_file(valid.blob(sha256))
    for file in valid.draft.manifest.files:
        assert found.addresses[file.sha256] == file.addresses


def test_folder_and_tar_are_one_tree(valid: Built, tmp_path: Path) -> None:
    write_tar(valid.path, tmp_path / "net.tar")
    cids = []
    for path in (valid.path, tmp_path / "net.tar"):
        with open_bundle(path) as bundle:
            found, out = address_bundle(bundle), io.BytesIO()
            write_car(out, found.tree.root.cid, found.blocks(bundle))
        out.seek(0)
        check_car(out, found.tree.root.cid)
        cids.append(found.tree.cid)
    assert cids[0] == cids[1]


def test_another_byte_is_noticed(tmp_path: Path, key: PrivateKey) -> None:
    built = build(tmp_path, key)
    place = built.file("model.v0.onnx")
    data = bytearray(place.read_bytes())
    data[100] ^= 1
    place.write_bytes(data)
    with open_bundle(built.path) as bundle:
        found = address_bundle(bundle)
    assert found.altered == {place.name: digest.of_bytes(bytes(data))}
    with pytest.raises(DigestError, match="holds other bytes"):
        found.check()


def test_a_file_that_changes_while_its_blocks_are_read(tmp_path: Path, key: PrivateKey) -> None:
    built = build(tmp_path, key)
    with open_bundle(built.path) as bundle:
        found = address_bundle(bundle)
        place = built.file("model.v1.onnx")
        place.write_bytes(bytes(place.stat().st_size))
        with pytest.raises(DigestError, match="changed while it was read"):
            list(found.blocks(bundle))
