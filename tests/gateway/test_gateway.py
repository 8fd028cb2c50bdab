"""What a gateway answers, as a mirror, as a webseed and as a gateway of IPFS."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import pytest

from edgekit.addressing.car import check_car, read_blocks, read_header
from edgekit.addressing.cid import parse_cid
from edgekit.gateway.server import Gateway
from edgekit.gateway.shelf import Shelf
from edgekit.gateway.stored import StoredFile
from edgekit.testing.transport_check import check_blob_transport, check_threads, check_whole
from edgekit.transport.fetch import Sources
from edgekit.transport.http import HttpTransport
from edgekit.transport.ipfs import IpfsTransport
from edgekit.types.blob import Blob
from tests.gateway.conftest import FILE, MIB, Open
from tests.gateway.raw import ask

BLOB = f"/blobs/sha256/{FILE.blob.sha256}"
SIZE = len(FILE.data)
assert FILE.blob.addresses
CID = FILE.blob.addresses.cid


def test_a_blob_of_ipfs_keeps_every_promise(gateway: Gateway, tmp_path: Path) -> None:
    check_blob_transport(lambda: IpfsTransport(f"ipfs:{gateway.url}"), FILE.blob, FILE.data, folder=tmp_path)


def test_it_is_a_mirror(gateway: Gateway, tmp_path: Path) -> None:
    transport = HttpTransport(gateway.url)
    try:
        check_whole(transport, "metadata/timestamp.json", b'{"signed":{}}')
        check_whole(transport, "targets/vision/" + "0" * 64 + ".lite0+deltas.json", b"{}")
        check_threads(transport, FILE.blob.file_name, FILE.data)
        sources = Sources([transport])
        sources.fetch(FILE.blob, tmp_path / "fetched")
        assert (tmp_path / "fetched").read_bytes() == FILE.data
        assert not sources.faults
    finally:
        transport.close()
    assert gateway.status().sent_bytes >= 2 * SIZE


def test_headers_of_a_blob(gateway: Gateway) -> None:
    found = ask(gateway.port, BLOB)
    assert found.status == 200
    assert found.body == FILE.data
    assert found.headers["etag"] == f'"{FILE.blob.sha256}"'
    assert found.headers["accept-ranges"] == "bytes"
    assert found.headers["content-length"] == str(SIZE)
    assert found.headers["x-content-type-options"] == "nosniff"
    assert "immutable" in found.headers["cache-control"]


def test_metadata_may_change_and_its_etag_with_it(gateway: Gateway, shelf: Shelf) -> None:
    first = ask(gateway.port, "/metadata/timestamp.json")
    assert first.headers["cache-control"] == "no-cache"
    assert first.headers["content-type"] == "application/json"
    assert first.headers["etag"] == f'"{hashlib.sha256(first.body).hexdigest()}"'
    assert ask(gateway.port, "/metadata/timestamp.json", if_none_match=first.headers["etag"]).status == 304
    shelf.put_bytes("metadata/timestamp.json", b"new")
    second = ask(gateway.port, "/metadata/timestamp.json", if_none_match=first.headers["etag"])
    assert (second.status, second.body) == (200, b"new")


@pytest.mark.parametrize(
    "target", [BLOB, "/metadata/timestamp.json", f"/ipfs/{CID}?format=raw", f"/ipfs/{CID}?format=car"]
)
def test_head_is_get_without_its_content(gateway: Gateway, target: str) -> None:
    got, head = ask(gateway.port, target), ask(gateway.port, target, method="HEAD")
    assert (head.status, head.body) == (200, b"")
    assert len(got.body) == int(head.headers["content-length"])
    assert {**got.headers, "date": ""} == {**head.headers, "date": ""}
    assert ask(gateway.port, target, method="HEAD", range="bytes=0-0").status == 200


# Ranges (RFC 9110, section 14).


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-", 0, SIZE),
        ("bytes=65535-65536", 65535, 65537),
        (f"bytes={MIB}-{2 * MIB - 1}", MIB, 2 * MIB),
        (f"bytes={SIZE - 1}-", SIZE - 1, SIZE),
        (f"bytes=5-{10**17}", 5, SIZE),
        ("bytes=-1", SIZE - 1, SIZE),
        (f"bytes=-{10**17}", 0, SIZE),
    ],
)
def test_a_range(gateway: Gateway, asked: str, start: int, stop: int) -> None:
    found = ask(gateway.port, BLOB, range=asked)
    assert found.status == 206
    assert found.headers["content-range"] == f"bytes {start}-{stop - 1}/{SIZE}"
    assert found.headers["content-length"] == str(stop - start)
    assert found.body == FILE.data[start:stop]


@pytest.mark.parametrize(
    "asked", [f"bytes={SIZE}-", f"bytes={10**17}-", "bytes=5-2", "bytes=-0", f"bytes={SIZE}-{SIZE + 5}"]
)
def test_a_range_that_nothing_lies_in(gateway: Gateway, asked: str) -> None:
    found = ask(gateway.port, BLOB, range=asked)
    assert (found.status, found.body) == (416, b"")
    assert found.headers["content-range"] == f"bytes */{SIZE}"


@pytest.mark.parametrize(
    "asked",
    [
        "bytes=0-1,5-6",
        "bytes=" + ",".join(f"{at}-{at}" for at in range(1000)),
        "bytes=0-,0-,0-,0-,0-,0-,0-,0-",
        "bytes=a-b",
        "bytes=--1",
        "bytes=1",
        "bytes=",
        "lines=0-1",
        "bytes=1-2-3",
        f"bytes={10**30}-",
        "0-1",
    ],
)
def test_what_is_no_single_range_gets_the_whole_once(gateway: Gateway, asked: str) -> None:
    found = ask(gateway.port, BLOB, range=asked)
    assert found.status == 200
    assert found.body == FILE.data


# Conditions (RFC 9110, section 13).

TAG = f'"{FILE.blob.sha256}"'


@pytest.mark.parametrize(
    ("header", "value", "status"),
    [
        ("if_none_match", TAG, 304),
        ("if_none_match", f"W/{TAG}", 304),
        ("if_none_match", f'"a", {TAG}, "b"', 304),
        ("if_none_match", "*", 304),
        ("if_none_match", '"other"', 200),
        ("if_none_match", TAG.strip('"'), 200),
        ("if_match", TAG, 200),
        ("if_match", "*", 200),
        ("if_match", '"other"', 412),
        ("if_match", f"W/{TAG}", 412),
        ("if_modified_since", "Sun, 06 Nov 1994 08:49:37 GMT", 200),
    ],
)
def test_a_condition(gateway: Gateway, header: str, value: str, status: int) -> None:
    found = ask(gateway.port, BLOB, **{header: value})
    assert found.status == status
    assert found.body == (FILE.data if status == 200 else b"")


def test_a_range_only_of_the_same_content(gateway: Gateway) -> None:
    assert ask(gateway.port, BLOB, range="bytes=0-9", if_range=TAG).status == 206
    for other in ('"other"', f"W/{TAG}", "Sun, 06 Nov 1994 08:49:37 GMT"):
        assert ask(gateway.port, BLOB, range="bytes=0-9", if_range=other).status == 200


# IPFS (specs.ipfs.tech/http-gateways/trustless-gateway).


def test_a_block(gateway: Gateway) -> None:
    for path, data in FILE.blocks.items():
        found = ask(gateway.port, f"/{path}")
        cid = path.removeprefix("ipfs/").partition("?")[0]
        assert (found.status, found.body) == (200, data)
        assert found.headers["content-type"] == "application/vnd.ipld.raw"
        assert found.headers["content-disposition"] == f'attachment; filename="{cid}.bin"'
        assert found.headers["etag"] == f'"{cid}.raw"'
        assert ask(gateway.port, f"/ipfs/{cid}", accept="text/html, application/vnd.ipld.raw;q=1").body == data


def test_a_car_of_the_whole(gateway: Gateway) -> None:
    found = ask(gateway.port, f"/ipfs/{CID}?format=car")
    assert found.status == 200
    assert found.headers["content-type"] == "application/vnd.ipld.car; version=1; order=dfs; dups=n"
    assert found.headers["content-disposition"] == f'attachment; filename="{CID}.car"'
    assert int(found.headers["content-length"]) == len(found.body)
    checked = check_car(io.BytesIO(found.body), parse_cid(CID))
    assert checked.blocks == len(FILE.blocks)
    other = ask(gateway.port, f"/ipfs/{CID}", accept="application/vnd.ipld.car;version=1;order=dfs;dups=y")
    assert other.body == found.body


def test_a_car_of_the_root_alone(gateway: Gateway) -> None:
    found = ask(gateway.port, f"/ipfs/{CID}?format=car&dag-scope=block")
    stream = io.BytesIO(found.body)
    assert read_header(stream) == parse_cid(CID)
    assert [str(cid) for cid, _ in read_blocks(stream)] == [CID]
    whole = ask(gateway.port, f"/ipfs/{CID}?format=car&dag-scope=entity")
    assert whole.headers["etag"] != found.headers["etag"]


def test_equal_blocks_come_once(open_gateway: Open, shelf: Shelf, tmp_path: Path) -> None:
    zeros = tmp_path / "zeros"
    zeros.write_bytes(bytes(5 * MIB))
    blob = Blob(hashlib.sha256(bytes(5 * MIB)).hexdigest(), 5 * MIB)
    shelf.put_file(blob, zeros)
    stored = shelf.blob(blob.sha256)
    assert isinstance(stored, StoredFile)
    root = stored.root.cid
    found = ask(open_gateway().port, f"/ipfs/{root}?format=car")
    assert check_car(io.BytesIO(found.body), root).blocks == 2


def test_the_probe(gateway: Gateway) -> None:
    for method in ("GET", "HEAD"):
        found = ask(gateway.port, "/ipfs/bafkqaaa?format=raw", method=method)
        assert (found.status, found.body) == (200, b"")
    car = ask(gateway.port, "/ipfs/bafkqaaa?format=car").body
    assert len(car) == car[0] + 1


@pytest.mark.parametrize(
    ("target", "status"),
    [
        (f"/ipfs/{CID}", 400),
        (f"/ipfs/{CID}?format=", 400),
        (f"/ipfs/{CID}?format=tar", 400),
        (f"/ipfs/{CID}?format=html", 400),
        (f"/ipfs/{CID}/?format=raw", 400),
        (f"/ipfs/{CID}/index.html?format=car", 400),
        (f"/ipfs/{CID.upper()}?format=raw", 400),
        (f"/ipfs/{CID[:-1]}?format=raw", 400),
        ("/ipfs/QmbWqxBEKC3P8tqsKc98xmWNzrzDtRLMiMPL8wBuTGsMnR?format=raw", 400),
        ("/ipfs/bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku?format=raw", 404),
        ("/ipfs/bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku?format=car", 404),
        (f"/ipfs/{CID}?format=car&entity-bytes=0:5", 400),
        (f"/ipfs/{CID}?format=car&car-version=2", 400),
        (f"/ipfs/{CID}?format=car&car-dups=y", 400),
        (f"/ipfs/{CID}?format=raw&" + "&".join(f"a{number}=b" for number in range(40)), 400),
        (f"/ipns/{CID}?format=raw", 404),
        ("/ipfs/", 400),
        ("/ipfs", 404),
    ],
)
def test_what_no_gateway_of_ipfs_gives(gateway: Gateway, target: str, status: int) -> None:
    found = ask(gateway.port, target)
    assert found.status == status
    assert len(found.body) < 200


def test_only_if_cached(gateway: Gateway) -> None:
    absent = "/ipfs/bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku?format=raw"
    assert ask(gateway.port, absent, cache_control="only-if-cached").status == 412
    assert ask(gateway.port, f"/ipfs/{CID}?format=raw", cache_control="only-if-cached").status == 200
