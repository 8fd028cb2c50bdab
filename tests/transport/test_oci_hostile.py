"""A registry in the hands of somebody hostile: it learns nothing, and nothing of it is kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import (
    AbsentError,
    DigestError,
    EdgekitError,
    InputError,
    LengthError,
    MalformedError,
    StalledError,
    TransferError,
)
from edgekit.oci import media_types
from edgekit.publish.registry import push_bundle
from edgekit.seal.keys import generate
from edgekit.transport.oci_pull import pull_layout, release_tag
from edgekit.transport.oci_referrers import list_referrers, read_referrers
from edgekit.transport.oci_registry import LARGEST_DOCUMENT_BYTES
from edgekit.transport.reading import read_all
from edgekit.types.strict_json import canonical
from tests.bundle.building import Built, build
from tests.transport.conftest import RegistryOf, Start, TransportOf
from tests.transport.hostile_server import Exchange, refuse, send_endlessly, stall, truncate
from tests.transport.registry_stand_in import ACCOUNT, INDEX, StandIn, answering, hex_of, log_in, url_of


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return build(tmp_path_factory.mktemp("built"), generate("p256"), variants=2)


def lie_to_pull(
    lies: dict[str, Callable[[Exchange], None]], built: Built, start: Start, folder: Path, tag: str = "1.0.0"
) -> type[EdgekitError]:
    """The error of a pull from a registry that lies; nothing may stay of it."""
    there = StandIn()
    server = start({}, there)
    push_bundle(built.path, url_of(server))
    there.lies = lies
    folder.mkdir()
    with pytest.raises(EdgekitError) as caught:
        pull_layout(url_of(server, f":{tag}"), folder / "net")
    assert list(folder.iterdir()) == []
    return caught.type


def test_manifest_by_digest_that_is_another_one_is_refused(built: Built, start: Start, tmp_path: Path) -> None:
    other = built.blob(built.images["v1"].sha256).read_bytes()
    lies = {f"GET manifests/{built.images['v0'].digest}": answering(other, media_types.IMAGE_MANIFEST)}
    assert lie_to_pull(lies, built, start, tmp_path / "x") is DigestError


def test_channel_does_not_take_another_manifest_for_a_blob(
    built: Built, start: Start, transport_of: TransportOf
) -> None:
    other = built.blob(built.images["v1"].sha256).read_bytes()
    server = start({}, StandIn(lies={"GET manifests/": answering(other, media_types.IMAGE_MANIFEST)}))
    with pytest.raises(DigestError), transport_of(server).read(built.images["v0"].blob.file_name):
        pass


def test_index_under_another_media_type_is_no_bundle(built: Built, start: Start, tmp_path: Path) -> None:
    data = built.blob(built.image_index.sha256).read_bytes()
    docker = "application/vnd.docker.distribution.manifest.list.v2+json"
    lies = {"GET manifests/1.0.0": answering(data, docker)}
    assert lie_to_pull(lies, built, start, tmp_path / "x") is MalformedError


@pytest.mark.parametrize(("change", "error"), [(b"x", DigestError), (b"longer", DigestError), (b"", DigestError)])
def test_blob_that_is_another_one_is_refused(
    change: bytes, error: type[EdgekitError], built: Built, start: Start, tmp_path: Path
) -> None:
    data = built.file("model.v0.onnx").read_bytes()
    lies = {f"GET blobs/sha256:{hex_of(data)}": answering(data[:-1] + change)}
    assert lie_to_pull(lies, built, start, tmp_path / "x") is error


def test_manifest_that_is_too_large_is_not_read_to_its_end(start: Start, transport_of: TransportOf) -> None:
    server = start({}, StandIn(lies={"GET manifests/": answering(b" " * (LARGEST_DOCUMENT_BYTES + 1))}))
    with pytest.raises(LengthError), transport_of(server).read("metadata/timestamp.json"):
        pass


def test_manifest_without_an_end_is_given_up(start: Start, transport_of: TransportOf) -> None:
    def endless(exchange: Exchange) -> None:
        exchange.file = bytes(2**18)
        send_endlessly(exchange)

    server = start({}, StandIn(lies={"GET manifests/": endless}))
    with pytest.raises(LengthError), transport_of(server).read("metadata/timestamp.json"):
        pass
    assert server.sent_bytes < 4 * LARGEST_DOCUMENT_BYTES


@pytest.mark.parametrize(
    ("lie", "error"), [(stall, StalledError), (truncate, TransferError), (refuse(500), TransferError)]
)
def test_registry_that_fails_says_so_in_time(
    lie: Callable[[Exchange], None], error: type[EdgekitError], start: Start, transport_of: TransportOf
) -> None:
    server = start({}, StandIn(lies={"GET ": lie}))
    with pytest.raises(error), transport_of(server).read(f"blobs/sha256/{'0' * 64}") as chunks:
        b"".join(chunks)


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (b"{}", INDEX), (b"[" * 1000, INDEX), (b'{"schemaVersion": 2}', INDEX), (b"\xff", INDEX),
        (b"{}", "application/vnd.docker.distribution.manifest.v2+json"), (b"<html>", "text/html"), (b"", ""),
    ],
)  # fmt: skip
def test_tag_of_something_that_is_no_bundle(
    data: bytes, media_type: str, built: Built, start: Start, tmp_path: Path
) -> None:
    lies = {"GET manifests/1.0.0": answering(data, media_type)}
    assert lie_to_pull(lies, built, start, tmp_path / "x") is MalformedError


def test_release_of_another_bundle_is_refused(built: Built, start: Start, tmp_path: Path) -> None:
    other = build(tmp_path, generate("p256"), variants=1, seed=9)
    lies = {
        f"GET manifests/{release_tag(built.image_index.sha256)}": answering((other.path / "index.json").read_bytes())
    }
    assert lie_to_pull(lies, built, start, tmp_path / "x") is MalformedError


def test_release_that_names_the_bundle_but_leads_to_another_is_refused(
    built: Built, start: Start, tmp_path: Path
) -> None:
    other = build(tmp_path, generate("p256"), variants=1, seed=9)
    release = json.loads((other.path / "index.json").read_bytes())
    named = {"mediaType": media_types.IMAGE_MANIFEST, "digest": built.image_index.digest, "size": 1}
    release["manifests"].append(named)
    lies = {f"GET manifests/{release_tag(built.image_index.sha256)}": answering(canonical(release))}
    assert lie_to_pull(lies, built, start, tmp_path / "x") is MalformedError


@pytest.mark.parametrize("copies", [2, 100])
def test_release_of_many_indexes_is_refused(copies: int, built: Built, start: Start, tmp_path: Path) -> None:
    release = json.loads((built.path / "index.json").read_bytes())
    release["manifests"] = release["manifests"][:1] * copies
    lies = {f"GET manifests/{release_tag(built.image_index.sha256)}": answering(canonical(release))}
    assert lie_to_pull(lies, built, start, tmp_path / "x") is MalformedError


def test_release_that_promises_a_huge_document_is_refused(built: Built, start: Start, tmp_path: Path) -> None:
    release = json.loads((built.path / "index.json").read_bytes())
    release["manifests"][1]["size"] = 2**30
    lies = {f"GET manifests/{release_tag(built.image_index.sha256)}": answering(canonical(release))}
    assert lie_to_pull(lies, built, start, tmp_path / "x") is MalformedError


@pytest.mark.parametrize(
    "entry",
    [
        1, {"mediaType": media_types.IMAGE_MANIFEST, "digest": "sha256:../../x", "size": 1},
        {"mediaType": media_types.IMAGE_MANIFEST, "digest": f"sha256:{'0' * 64}", "size": "1"},
        {"mediaType": media_types.IMAGE_MANIFEST, "digest": f"sha256:{'0' * 64}", "size": -1},
    ],
)  # fmt: skip
def test_odd_list_of_referrers_is_refused(entry: object, start: Start, registry_of: RegistryOf) -> None:
    server = start({}, StandIn(lies={"GET referrers/": answering(json.dumps({"manifests": [entry]}).encode())}))
    with pytest.raises(MalformedError):
        list_referrers(registry_of(server), "0" * 64)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9) | st.just(media_types.IMAGE_MANIFEST),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["manifests", "mediaType", "digest", "size", "annotations"]), inner)
    ),
)


@given(JSON.map(json.dumps).map(str.encode) | st.binary(max_size=99))
def test_any_list_of_referrers_is_read_or_refused(data: bytes) -> None:
    with suppress(MalformedError):
        assert all(len(one.descriptor.sha256) == 64 for one in read_referrers(data))


def test_list_of_referrers_that_goes_on_for_ever_is_given_up(start: Start, registry_of: RegistryOf) -> None:
    def endless(exchange: Exchange) -> None:
        link = {"Content-Type": INDEX, "Link": f'</{exchange.name}>; rel="next"'}
        exchange.answer(200, b'{"manifests": []}', link)

    server = start({}, StandIn(lies={"GET referrers/": endless}))
    with pytest.raises(TransferError, match="more than 16 pages"):
        list_referrers(registry_of(server), "0" * 64)
    assert len(server.seen) == 16


def test_blob_on_another_server_is_fetched_without_the_token(
    start: Start, transport_of: TransportOf, docker_config: Path
) -> None:
    data = b"weights"
    other = start({hex_of(data): data})
    server = start({}, StandIn(account=ACCOUNT, elsewhere=other.url, blobs={hex_of(data): data}))
    log_in(docker_config, server)
    assert read_all(transport_of(server), f"blobs/sha256/{hex_of(data)}", limit_bytes=100) == data
    assert [seen.name for seen in other.seen] == [hex_of(data)]
    assert all("authorization" not in seen.headers for seen in other.seen)
    assert any("authorization" in seen.headers for seen in server.seen)


def test_upload_that_goes_on_at_another_server_is_sent_without_the_token(
    start: Start, transport_of: TransportOf, docker_config: Path
) -> None:
    other = start({}, refuse(403))

    def send_away(exchange: Exchange) -> None:
        exchange.answer(202, b"", {"Location": f"{other.url}/upload"})

    there = StandIn(account=ACCOUNT)
    server = start({}, there)
    log_in(docker_config, server)
    transport = transport_of(server)
    transport.write(f"blobs/sha256/{hex_of(b'a')}", [b"a"], size_bytes=1)  # there is a token now
    there.lies["POST blobs/uploads/"] = send_away
    with pytest.raises(TransferError):
        transport.write(f"blobs/sha256/{hex_of(b'b')}", [b"b"], size_bytes=1)
    assert other.seen
    assert all("authorization" not in seen.headers for seen in other.seen)


def test_challenge_of_another_server_is_not_answered(
    start: Start, transport_of: TransportOf, docker_config: Path
) -> None:
    def ask(exchange: Exchange) -> None:
        exchange.answer(401, b"", {"WWW-Authenticate": 'Basic realm="give"'})

    other = start({}, ask)
    server = start({}, StandIn(elsewhere=other.url, blobs={hex_of(b"a"): b"a"}))
    log_in(docker_config, server)
    with pytest.raises(TransferError), transport_of(server).read(f"blobs/sha256/{hex_of(b'a')}"):
        pass
    assert len(other.seen) == 1


@pytest.mark.parametrize(
    "place",
    ["http://192.0.2.1/", "http://registry.example/x", "ftp://127.0.0.1/", "file:///etc/passwd", "//[", "https://"],
)
@pytest.mark.parametrize("kind", ["token", "upload", "referrers"])
def test_registry_that_leads_astray_is_not_followed(
    place: str, kind: str, start: Start, registry_of: RegistryOf, docker_config: Path
) -> None:
    def lead(exchange: Exchange) -> None:
        headers = {"Location": place, "Link": f'<{place}>; rel="next"', "Content-Type": INDEX}
        headers["WWW-Authenticate"] = f'Bearer realm="{place}",service="x"'
        status = {"token": 401, "upload": 202, "referrers": 200}[kind]
        exchange.answer(status, b'{"manifests": []}', headers)

    server = start({}, StandIn(lies={"GET referrers": lead, "GET manifests": lead, "POST ": lead}))
    log_in(docker_config, server)
    registry = registry_of(server)
    asked = {
        "token": lambda: registry.read_document("x"),
        "upload": lambda: registry.write_blob(hex_of(b"a"), [b"a"], 1),
        "referrers": lambda: list_referrers(registry, "0" * 64),
    }
    with pytest.raises(TransferError, match="leads to") as caught:
        asked[kind]()
    assert ACCOUNT[1] not in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize(
    "answer",
    [
        b"", b"[]", b"{}", b'{"token": ""}', b'{"token": 1}', b'{"token": "a\\r\\nHost: b"}', b'{"token": "\\u00e4"}',
        b'{"token": "' + b"a" * 40_000 + b'"}', b'{"token": "a", "token": "b"}',
    ],
)  # fmt: skip
def test_odd_token_is_refused(answer: bytes, start: Start, transport_of: TransportOf) -> None:
    there = StandIn(account=ACCOUNT)

    def serve(exchange: Exchange) -> None:
        if exchange.name.startswith("token"):
            exchange.answer(200, answer)
        else:
            there(exchange)

    with pytest.raises(TransferError, match="gave no token"), transport_of(start({}, serve)).read("a"):
        pass


@pytest.mark.parametrize("basic", [False, True])
@pytest.mark.parametrize("logged_in", [False, True])
def test_account_that_is_not_let_in_is_told_how_to_log_in(
    basic: bool, logged_in: bool, start: Start, transport_of: TransportOf, docker_config: Path
) -> None:
    server = start({}, StandIn(account=("somebody", "else"), basic=basic))
    if logged_in:
        log_in(docker_config, server)
    with pytest.raises(TransferError) as caught, transport_of(server).read("metadata/timestamp.json"):
        pass
    assert caught.value.status == 401
    assert f"docker login 127.0.0.1:{server.port}" in caught.value.hint
    assert ACCOUNT[1] not in f"{caught.value} {caught.value.hint}"


def test_complaint_of_a_registry_is_shown_without_what_a_terminal_would_obey(
    start: Start, transport_of: TransportOf
) -> None:
    said = {"errors": [{"code": "DENIED", "message": "no \x1b[2J\nedgekit: verified"}]}
    server = start({}, StandIn(lies={"GET ": answering(json.dumps(said).encode(), status=403)}))
    with pytest.raises(TransferError, match="DENIED") as caught, transport_of(server).read("a"):
        pass
    assert str(caught.value).isprintable()


def test_absent_is_absent(start: Start, transport_of: TransportOf, tmp_path: Path) -> None:
    server = start({}, StandIn())
    for name in ("metadata/timestamp.json", f"blobs/sha256/{'0' * 64}"):
        with pytest.raises(AbsentError), transport_of(server).read(name):
            pass
    with pytest.raises(AbsentError):
        pull_layout(url_of(server, ":1"), tmp_path / "net")
    with pytest.raises(InputError, match="names no version"):
        pull_layout(url_of(server), tmp_path / "net")


def test_token_service_in_a_private_network_is_not_asked_for_a_registry_outside(
    start: Start, transport_of: TransportOf, docker_config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a registry could have a node send requests, and its password, to machines that it cannot reach itself."""
    inside = start({}, answering(b'{"token": "x"}'))

    def lead(exchange: Exchange) -> None:
        exchange.answer(401, b"", {"WWW-Authenticate": f'Bearer realm="{inside.url}/token",service="x"'})

    server = start({}, StandIn(lies={"GET ": lead}))
    log_in(docker_config, server)
    # As if the registry, and only that, were on the public internet.
    monkeypatch.setattr("edgekit.transport.web.is_public", lambda address: True)
    with pytest.raises(TransferError, match="private network"), transport_of(server).read("metadata/timestamp.json"):
        pass
    assert inside.seen == []
