"""A channel and a bundle in a registry, with the referrers API and tokens or without."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgekit.errors import (
    DigestError,
    EdgekitError,
    InputError,
    LengthError,
    MalformedError,
)
from edgekit.oci import media_types
from edgekit.oci.tarball import write_tar
from edgekit.publish.registry import Pushed, push_bundle
from edgekit.seal.keys import generate
from edgekit.testing.transport_check import check_transport
from edgekit.transport import oci_registry
from edgekit.transport.oci import OciTransport, open_oci
from edgekit.transport.oci_place import fallback_tag, parse_place
from edgekit.transport.oci_pull import pull_layout, release_tag
from edgekit.transport.oci_referrers import list_referrers
from edgekit.transport.opening import open_transport
from edgekit.transport.reading import read_all
from tests.bundle.building import Built, build
from tests.transport.conftest import SHORT, RegistryOf, Start, TransportOf
from tests.transport.registry_stand_in import ACCOUNT, StandIn, hex_of, log_in, url_of


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return build(tmp_path_factory.mktemp("built"), generate("p256"), variants=3, sizes=(3000, 40_000))


def read_tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# A bundle


@pytest.mark.parametrize("kind", ["open", "token", "refresh", "basic"])
def test_bundle_goes_there_and_comes_back(
    kind: str, built: Built, start: Start, docker_config: Path, tmp_path: Path
) -> None:
    there = StandIn(
        account=ACCOUNT if kind in ("token", "basic") else None,
        refresh="r3fresh" if kind == "refresh" else "",
        basic=kind == "basic",
    )
    server = start({}, there)
    if kind == "refresh":
        docker_config.write_text(json.dumps({"auths": {f"127.0.0.1:{server.port}": {"identitytoken": "r3fresh"}}}))
    elif kind != "open":
        log_in(docker_config, server)
    pushed = push_bundle(built.path, url_of(server))
    assert pushed == Pushed(url_of(server, ":1.0.0"), built.image_index.digest)
    assert pull_layout(pushed.reference, tmp_path / "net") == pushed.digest
    assert read_tree(tmp_path / "net") == read_tree(built.path)
    shown = {seen.headers.get("authorization", "") for seen in server.seen if not seen.name.startswith("token")}
    assert kind == "basic" or not any(header.startswith("Basic") for header in shown)


def test_tar_goes_there_too(built: Built, start: Start, tmp_path: Path) -> None:
    write_tar(built.path, tmp_path / "net.tar")
    server = start({}, StandIn())
    pull_layout(push_bundle(tmp_path / "net.tar", url_of(server, ":x")).reference, tmp_path / "net")
    assert read_tree(tmp_path / "net") == read_tree(built.path)


def test_referrers_are_left_to_a_registry_that_lists_them(built: Built, start: Start, registry_of: RegistryOf) -> None:
    there = StandIn()
    server = start({}, there)
    push_bundle(built.path, url_of(server))
    assert sorted(there.tags) == sorted(["1.0.0", release_tag(built.image_index.sha256)])
    for variant, image in built.images.items():
        (found,) = list_referrers(registry_of(server), image.sha256, artifact_type=media_types.SIGSTORE_BUNDLE)
        assert found.descriptor.digest == built.signatures[variant].digest


def test_referrers_go_under_a_tag_where_nobody_lists_them(built: Built, start: Start, tmp_path: Path) -> None:
    there = StandIn(referrers=False)
    server = start({}, there)
    for _ in range(2):  # the second time adds nothing
        push_bundle(built.path, url_of(server))
    subjects = [*built.images.values(), built.image_index]
    assert {fallback_tag(subject.sha256) for subject in subjects} < set(there.tags)
    for subject in subjects:
        _, data = there.documents[there.tags[fallback_tag(subject.sha256)]]
        assert len(json.loads(data)["manifests"]) == 1
    del there.tags[release_tag(built.image_index.sha256)]
    pull_layout(url_of(server, ":1.0.0"), tmp_path / "net")
    assert read_tree(tmp_path / "net") == read_tree(built.path)


def test_list_of_referrers_is_read_to_its_last_page(built: Built, start: Start, registry_of: RegistryOf) -> None:
    there = StandIn()
    server = start({}, there)
    push_bundle(built.path, url_of(server))
    registry, image = registry_of(server), built.images["v0"]
    subject = {"mediaType": image.media_type, "digest": image.digest, "size": image.size_bytes}
    for number in range(4):
        value = {"layers": [], "subject": subject, "artifactType": "text/x", "annotations": {"n": str(number)}}
        registry.write_document(
            json.dumps(value | {"config": subject | {"digest": f"sha256:{hex_of(b'{}')}"}}).encode(),
            media_types.IMAGE_MANIFEST,
        )
    assert len(list_referrers(registry, image.sha256)) == 5
    assert len(list_referrers(registry, image.sha256, artifact_type="text/x")) == 4


def test_release_is_rebuilt_from_the_api(built: Built, start: Start, tmp_path: Path) -> None:
    there = StandIn()
    server = start({}, there)
    push_bundle(built.path, url_of(server))
    del there.tags[release_tag(built.image_index.sha256)]
    pull_layout(url_of(server, ":1.0.0"), tmp_path / "net")
    assert read_tree(tmp_path / "net") == read_tree(built.path)


# A channel


def test_channel_is_read_as_it_was_written(start: Start, transport_of: TransportOf, built: Built) -> None:
    there = StandIn()
    transport = transport_of(start({}, there))
    for path in (built.path / "blobs" / "sha256").iterdir():
        transport.write(f"blobs/sha256/{path.name}", [path.read_bytes()], size_bytes=path.stat().st_size)
    index = (built.path / "index.json").read_bytes()
    files = {"metadata/1.root.json": b"[1, 2]", f"targets/lab/{hex_of(index)}.net.json": index, "a+b": b"0123456789"}
    for name, data in files.items():
        transport.write(name, iter([data]), size_bytes=len(data))
    for name, data in files.items():
        assert read_all(transport, name, limit_bytes=2**20) == data
        with transport.read(name, start=1, stop=len(data) - 1) as chunks:
            assert b"".join(chunks) == data[1:-1]
    sha256 = built.images["v0"].sha256  # became a document when the index came
    assert sha256 in there.documents
    del there.blobs[sha256]
    with transport.read(f"blobs/sha256/{sha256}", start=1, stop=9) as chunks:
        assert b"".join(chunks) == built.blob(sha256).read_bytes()[1:9]


def test_stand_in_keeps_the_promises_of_a_transport(start: Start) -> None:
    server = start({}, StandIn())
    check_transport(lambda: OciTransport(parse_place(url_of(server)), patience=SHORT))


def test_index_whose_parts_are_elsewhere_is_a_file_like_any_other(
    start: Start, transport_of: TransportOf, built: Built
) -> None:
    there = StandIn()
    transport = transport_of(start({}, there))
    index = (built.path / "index.json").read_bytes()
    transport.write("targets/lab/x.json", [index], size_bytes=len(index))
    assert read_all(transport, "targets/lab/x.json", limit_bytes=2**20) == index


def test_oci_url_opens_a_transport_and_a_tag_does_not() -> None:
    transport = open_transport("oci://localhost:1/lab/net")
    assert isinstance(transport, OciTransport)
    transport.close()
    with pytest.raises(InputError, match="names one version"):
        open_oci("oci://localhost:1/lab/net:1")


@pytest.mark.parametrize("chunks", [True, False])
def test_large_blob_goes_in_pieces_or_whole_where_pieces_are_refused(
    chunks: bool, start: Start, transport_of: TransportOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oci_registry, "PIECE_BYTES", 1000)
    there = StandIn(chunks=chunks)
    transport = transport_of(start({}, there))
    data = bytes(range(256)) * 10
    transport.write(f"blobs/sha256/{hex_of(data)}", iter([data[:7], data[7:]]), size_bytes=len(data))
    assert there.blobs == {hex_of(data): data}
    assert sum(asked.startswith("PATCH") for asked in there.asked) == (3 if chunks else 1)


@pytest.mark.parametrize("size", [5, 1000, 2500])
@pytest.mark.parametrize(("change", "error"), [(0, DigestError), (1, LengthError), (-1, LengthError)])
def test_blob_that_is_not_what_its_name_says_is_not_stored(
    size: int, change: int, error: type[EdgekitError], start: Start, transport_of: TransportOf,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(oci_registry, "PIECE_BYTES", 1000)
    there = StandIn()
    transport = transport_of(start({}, there))
    with pytest.raises(error):
        transport.write(f"blobs/sha256/{hex_of(bytes(size))}", [b"x" * (size + change)], size_bytes=size)
    assert not there.blobs


def test_odd_names_are_refused_before_anything_is_asked(start: Start, transport_of: TransportOf) -> None:
    server = start({}, StandIn())
    transport = transport_of(server)
    for name in ("../x", "a//b", "/a", "a b", "", "a\r\nHost: b", f"blobs/sha256/{'0' * 64}/.."):
        with pytest.raises(MalformedError), transport.read(name):
            pass
        with pytest.raises(MalformedError):
            transport.write(name, [b""], size_bytes=0)
    assert not server.seen
