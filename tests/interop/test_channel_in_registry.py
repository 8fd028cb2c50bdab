"""A whole TUF channel in a container registry: founded, published to, followed, moved by skopeo."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgekit.channel.client import Followed, follow
from edgekit.errors import RollbackError
from edgekit.transport.oci import OciTransport, open_oci
from edgekit.transport.oci_place import tag_of
from edgekit.transport.oci_pull import pull_layout
from edgekit.transport.reading import read_all
from tests.interop.test_skopeo import skopeo
from tests.publish.lab import MODEL, Lab
from tests.transport.hostile_server import HostileServer
from tests.transport.registry_stand_in import StandIn

UNCHANGED_BYTES = 10_000
"""Of traffic, that looking for news may cost when there are none."""


@pytest.fixture
def place(registry: str, tmp_path: Path) -> Iterator[OciTransport]:
    transport = open_oci(f"oci://{registry}/channels/{tmp_path.name.replace('_', '-').strip('-')}")
    yield transport
    transport.close()


def founded(place: OciTransport, folder: Path) -> Lab:
    lab = dataclasses.replace(Lab(folder / "bundles"), place=place)  # type: ignore[arg-type]
    lab.found()
    return lab


def look(lab: Lab, place: OciTransport, folder: Path) -> Followed:
    root = read_all(place, "metadata/1.root.json", limit_bytes=2**20)
    return follow(MODEL, [place], folder / "trust", root=root, clock=lambda: lab.now)


def test_channel_is_published_to_and_followed(place: OciTransport, tmp_path: Path) -> None:
    lab = founded(place, tmp_path)
    for version in (1, 2):
        assert lab.publish(version).is_current
        followed = look(lab, place, tmp_path)
        assert followed.notice.version == version
        assert followed.index == (lab.bundle(version) / "index.json").read_bytes()
    with pytest.raises(RollbackError):
        lab.publish(1)
    again = lab.publish(2)
    assert (again.uploaded.blobs, again.change) == (0, None)


def test_release_of_a_channel_is_a_bundle_for_everybody_else(
    place: OciTransport, registry: str, tmp_path: Path
) -> None:
    lab = founded(place, tmp_path)
    lab.publish()
    followed = look(lab, place, tmp_path)
    index = tag_of(f"targets/vision/{followed.release_digest}.lite0.json")
    pull_layout(f"{place.url}:{index}", tmp_path / "pulled")
    assert (tmp_path / "pulled" / "index.json").read_bytes() == followed.index
    digest = lab.bundles[1].image_index.digest
    source = place.url.replace("oci:", "docker:")
    layout = f"oci:{tmp_path / 'layout'}:x"
    skopeo("copy", "--all", "--preserve-digests", "--src-tls-verify=false", f"{source}@{digest}", layout)
    assert (tmp_path / "layout" / "blobs" / "sha256" / digest[7:]).is_file()


def test_looking_for_news_costs_little_when_there_are_none(tmp_path: Path) -> None:
    with HostileServer({}, StandIn()) as server:
        place = open_oci(f"oci://127.0.0.1:{server.port}/lab/net")
        lab = founded(place, tmp_path)
        lab.publish()
        root = read_all(place, "metadata/1.root.json", limit_bytes=2**20)
        for number in range(2):
            server.seen.clear()
            before = server.sent_bytes
            follow(MODEL, [place], tmp_path / "trust", root=root, clock=lambda: lab.now)
            received = sum(
                len(seen.method) + len(seen.name) + sum(map(len, (*seen.headers, *seen.headers.values())))
                for seen in server.seen
            )
            if number:
                assert server.sent_bytes - before + received < UNCHANGED_BYTES
        place.close()
