"""A bundle and a channel in Debian's docker-registry 2.8, which checks digests and has no referrers API."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgekit.errors import AbsentError, InputError, StorageError
from edgekit.oci import media_types
from edgekit.publish.registry import push_bundle
from edgekit.testing.transport_check import check_transport
from edgekit.transport.oci import OciTransport, open_oci, open_registry
from edgekit.transport.oci_place import fallback_tag, parse_place, tag_of
from edgekit.transport.oci_pull import pull_layout, release_tag
from edgekit.transport.oci_referrers import list_referrers
from edgekit.transport.oci_registry import PIECE_BYTES, Registry
from edgekit.transport.oci_session import PUSH
from edgekit.transport.reading import read_all
from tests.bundle.building import Built, build
from tests.interop.conftest import InRegistry
from tests.interop.parts import program
from tests.interop.registry_server import running_registry


@pytest.fixture
def repository(pushed: InRegistry) -> Iterator[Registry]:
    found = open_registry(parse_place(pushed.url))
    yield found
    found.session.close()


@pytest.fixture
def channel(registry: str, request: pytest.FixtureRequest) -> Iterator[OciTransport]:
    """An empty repository of this test alone."""
    name = hashlib.sha256(request.node.name.encode()).hexdigest()[:12]
    transport = open_oci(f"oci://{registry}/channels/{name}")
    yield transport
    transport.close()


def read_tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def write_channel(transport: OciTransport, built: Built) -> str:
    """The blobs of a bundle, then its index.json as a target, as a publisher does; returns the target's name."""
    for path in sorted((built.path / "blobs" / "sha256").iterdir()):
        transport.write(f"blobs/sha256/{path.name}", [path.read_bytes()], size_bytes=path.stat().st_size)
    index = (built.path / "index.json").read_bytes()
    name = f"targets/lab/{hashlib.sha256(index).hexdigest()}.net.json"
    transport.write(name, [index], size_bytes=len(index))
    return name


def test_pushed_and_pulled_bundle_is_the_same_files(pushed: InRegistry, tmp_path: Path) -> None:
    digest = pull_layout(pushed.pushed.reference, tmp_path / "there" / "net.edgekit")
    assert digest == pushed.pushed.digest == pushed.built.image_index.digest
    assert read_tree(tmp_path / "there" / "net.edgekit") == read_tree(pushed.built.path)


def test_version_is_the_tag_and_leads_to_the_image_index(pushed: InRegistry, repository: Registry) -> None:
    assert pushed.pushed.reference == f"{pushed.url}:1.2.0_lab.1"
    document = repository.read_document("1.2.0_lab.1")
    assert (document.media_type, document.descriptor.digest) == (media_types.IMAGE_INDEX, pushed.pushed.digest)


def test_bundle_is_pulled_by_digest_and_by_that_of_its_release(pushed: InRegistry, tmp_path: Path) -> None:
    release = hashlib.sha256((pushed.built.path / "index.json").read_bytes()).hexdigest()
    for number, sha256 in enumerate((pushed.built.image_index.sha256, release)):
        pull_layout(f"{pushed.url}@sha256:{sha256}", tmp_path / str(number))
        assert read_tree(tmp_path / str(number)) == read_tree(pushed.built.path)


def test_second_push_sends_no_blob(pushed: InRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Registry, "start_upload", lambda *args, **kwargs: pytest.fail("a blob is sent again"))
    assert push_bundle(pushed.built.path, pushed.url) == pushed.pushed


def test_version_with_other_content_is_refused_and_a_named_tag_is_moved(pushed: InRegistry, tmp_path: Path) -> None:
    other = build(tmp_path, pushed.built.key, variants=1, seed=5, semver="1.2.0+lab.1")
    with pytest.raises(InputError, match=r"as version 1\.2\.0\+lab\.1 already"):
        push_bundle(other.path, pushed.url)
    for built in (pushed.built, other):
        latest = push_bundle(built.path, f"{pushed.url}:latest")
        assert pull_layout(latest.reference, tmp_path / "latest") == built.image_index.digest


def test_signatures_and_provenance_are_listed_by_the_fallback_tag(pushed: InRegistry, repository: Registry) -> None:
    for variant, image in pushed.built.images.items():
        found = list_referrers(repository, image.sha256, artifact_type=media_types.SIGSTORE_BUNDLE)
        assert [one.descriptor.digest for one in found] == [pushed.built.signatures[variant].digest]
        assert found[0].descriptor.annotations[media_types.PREDICATE_TYPE] == media_types.OMS_PREDICATE
        assert repository.read_document(fallback_tag(image.sha256)).media_type == media_types.IMAGE_INDEX
    (provenance,) = list_referrers(repository, pushed.built.image_index.sha256)
    assert provenance.descriptor.annotations[media_types.PREDICATE_TYPE] == media_types.PROVENANCE_PREDICATE
    assert list_referrers(repository, "0" * 64) == ()
    assert list_referrers(repository, pushed.built.image_index.sha256, artifact_type="text/plain") == ()


def test_release_that_a_copy_has_lost_is_rebuilt_from_the_referrers(
    registry: str, three_platforms: Built, tmp_path: Path
) -> None:
    there = push_bundle(three_platforms.path, f"oci://{registry}/copies/net:1")
    found = open_registry(parse_place(there.reference), actions=PUSH)
    tag = release_tag(three_platforms.image_index.sha256)
    url = found.session.url(f"manifests/{found.read_document(tag).descriptor.digest}")
    with found.session.request("DELETE", url) as answer:
        assert answer.status == 202
    with pytest.raises(AbsentError):
        found.read_document(tag)
    found.session.close()
    pull_layout(there.reference, tmp_path / "net")
    assert read_tree(tmp_path / "net") == read_tree(three_platforms.path)


def test_large_blob_goes_up_in_pieces_and_comes_down_in_parts(channel: OciTransport) -> None:
    data = bytes(range(256)) * ((2 * PIECE_BYTES + 4096) // 256)
    name = f"blobs/sha256/{hashlib.sha256(data).hexdigest()}"
    channel.write(name, (data[at : at + 100_000] for at in range(0, len(data), 100_000)), size_bytes=len(data))
    with channel.read(name) as chunks:
        assert hashlib.sha256(b"".join(chunks)).hexdigest() == name[-64:]
    with channel.read(name, start=PIECE_BYTES - 3, stop=PIECE_BYTES + 5) as chunks:
        assert b"".join(chunks) == data[PIECE_BYTES - 3 : PIECE_BYTES + 5]


def test_registry_keeps_the_promises_of_a_transport(channel: OciTransport) -> None:
    check_transport(lambda: open_oci(channel.url))


def test_blob_is_linked_from_another_repository(registry: str, pushed: InRegistry) -> None:
    found = open_registry(parse_place(f"oci://{registry}/mounted/net"), actions=PUSH)
    sha256 = pushed.built.draft.manifest.file("model.v0.onnx").sha256
    untouched = (pytest.fail("bytes are sent") for _ in range(1))
    assert not found.write_blob(sha256, untouched, 3000, mount_from=pushed.repository)
    assert found.has_blob(sha256)
    found.session.close()


def test_metadata_is_replaced_and_read_back(channel: OciTransport) -> None:
    name = "metadata/timestamp.json"
    with pytest.raises(AbsentError, match="no manifest"):
        read_all(channel, name, limit_bytes=100)
    for data in (b'{"signed": 1}', b'{"signed": 22}', b""):
        channel.write(name, [data], size_bytes=len(data))
        assert read_all(channel, name, limit_bytes=100) == data
    channel.write(name, [b"0123456789"], size_bytes=10)
    with channel.read(name, start=3, stop=7) as chunks:
        assert b"".join(chunks) == b"3456"


def test_channel_in_a_registry_is_also_a_bundle_in_it(
    channel: OciTransport, three_platforms: Built, tmp_path: Path
) -> None:
    name = write_channel(channel, three_platforms)
    assert read_all(channel, name, limit_bytes=2**20) == (three_platforms.path / "index.json").read_bytes()
    for path in (three_platforms.path / "blobs" / "sha256").iterdir():
        assert read_all(channel, f"blobs/sha256/{path.name}", limit_bytes=2**24) == path.read_bytes()
    pull_layout(f"{channel.url}:{tag_of(name)}", tmp_path / "net")
    assert read_tree(tmp_path / "net") == read_tree(three_platforms.path)


def test_garbage_collection_keeps_a_channel(three_platforms: Built, tmp_path: Path) -> None:
    with running_registry(tmp_path) as host:
        transport = open_oci(f"oci://{host}/lab/channel")
        name = write_channel(transport, three_platforms)
        transport.write("metadata/timestamp.json", [b"{}"], size_bytes=2)
        loose = b"no manifest names this blob"
        stray = f"blobs/sha256/{hashlib.sha256(loose).hexdigest()}"
        transport.write(stray, [loose], size_bytes=len(loose))
        transport.close()
    subprocess.run(
        [program("docker-registry"), "garbage-collect", tmp_path / "registry.yml"], check=True, capture_output=True
    )
    with running_registry(tmp_path) as host:
        transport = open_oci(f"oci://{host}/lab/channel")
        assert read_all(transport, name, limit_bytes=2**20) == (three_platforms.path / "index.json").read_bytes()
        assert read_all(transport, "metadata/timestamp.json", limit_bytes=100) == b"{}"
        for path in (three_platforms.path / "blobs" / "sha256").iterdir():
            assert read_all(transport, f"blobs/sha256/{path.name}", limit_bytes=2**24) == path.read_bytes()
        with pytest.raises(AbsentError):  # it had been loose: what stayed is no accident
            read_all(transport, stray, limit_bytes=100)
        transport.close()


def test_pull_that_does_not_fit_on_the_disk_stops_before_it_starts(
    pushed: InRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Little:
        free = 1000

    monkeypatch.setattr("edgekit.transport.oci_pull.shutil.disk_usage", lambda path: Little)
    with pytest.raises(StorageError, match="more than the free space"):
        pull_layout(pushed.pushed.reference, tmp_path / "net")
    assert list(tmp_path.iterdir()) == []
