"""Torrents in a channel: of every file, as the signed manifest names them."""

from __future__ import annotations

import dataclasses

import pytest

from edgekit.addressing.torrent import read_torrent, torrent_file
from edgekit.bundle.opening import open_bundle
from edgekit.bundle.release import read_release
from edgekit.errors import DigestError
from edgekit.publish.torrents import write_torrents
from edgekit.types.manifest import Manifest
from edgekit.types.progress import Silent
from tests.publish.lab import Lab


def write(lab: Lab, manifest: Manifest) -> tuple[str, ...]:
    with open_bundle(lab.bundle(1)) as bundle:
        return write_torrents(lab.place, bundle.blobs, manifest, progress=Silent())


def manifest_of(lab: Lab) -> Manifest:
    with open_bundle(lab.bundle(1)) as bundle:
        return read_release(bundle.blobs, bundle.index_bytes).manifest


def test_every_file_has_one(lab: Lab) -> None:
    lab.publish(1)
    for file in manifest_of(lab).files:
        torrent = read_torrent(lab.place.files[torrent_file(file.sha256)], blob=file.blob)
        assert torrent.name == file.sha256


def test_those_that_are_there_stay(lab: Lab) -> None:
    lab.publish(1)
    assert write(lab, manifest_of(lab)) == ()
    damaged = torrent_file(manifest_of(lab).files[0].sha256)
    lab.place.files[damaged] = lab.place.files[damaged][:-1]
    assert write(lab, manifest_of(lab)) == (damaged,)


def test_bundles_of_0_1_have_none(lab: Lab) -> None:
    manifest = manifest_of(lab)
    files = tuple(dataclasses.replace(file, addresses=None) for file in manifest.files)
    assert write(lab, dataclasses.replace(manifest, files=files)) == ()


def test_addresses_that_are_not_those_of_the_file(lab: Lab) -> None:
    manifest = manifest_of(lab)
    first, second, *rest = manifest.files
    swapped = (dataclasses.replace(first, addresses=second.addresses), second, *rest)
    with pytest.raises(DigestError, match="other addresses"):
        write(lab, dataclasses.replace(manifest, files=swapped))
