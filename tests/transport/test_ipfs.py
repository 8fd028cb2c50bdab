"""Gateways of IPFS as transports: good ones, and every kind of bad one."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.addressing.cid import DAG_PB, RAW, Cid
from edgekit.addressing.unixfs import Link, directory, encode_file
from edgekit.errors import (
    AbsentError,
    DigestError,
    InputError,
    MalformedError,
    SourcesError,
    StalledError,
    TransferError,
    TransportError,
)
from edgekit.testing.transport_check import check_blob_transport
from edgekit.transport.fetch import Sources
from edgekit.transport.ipfs import IpfsTransport, open_ipfs
from edgekit.transport.ipfs_tree import MOST_KEPT_NODES, Trees
from edgekit.transport.opening import open_transport
from edgekit.types.blob import LARGEST_BYTES, Addresses, Blob, Pieces
from tests.transport import hostile_server as hostile
from tests.transport.blobs import MIB, noise
from tests.transport.conftest import SHORT, Start
from tests.transport.hostile_server import Behaviour, Exchange, HostileServer
from tests.transport.ipfs_blocks import InIpfs, called, in_ipfs, path_of

SMALL = in_ipfs(70_000)
THREE = in_ipfs(2 * MIB + 12_345, seed=1)

Reach = Callable[[HostileServer], IpfsTransport]


@pytest.fixture
def reach(started: ExitStack) -> Reach:
    """The transport of a server, with little patience."""

    def reach(server: HostileServer) -> IpfsTransport:
        transport = IpfsTransport(f"ipfs:{server.url}", patience=SHORT)
        started.callback(transport.close)
        return transport

    return reach


def read(transport: IpfsTransport, blob: Blob, start: int = 0, stop: int | None = None) -> bytes:
    stop = blob.size_bytes if stop is None else stop
    with transport.read_blob(blob, start=start, stop=stop, scratch=None) as chunks:
        return b"".join(chunks)


def collect(transport: IpfsTransport, blob: Blob, into: bytearray) -> None:
    """The same, keeping what came before an error."""
    with transport.read_blob(blob, start=0, stop=blob.size_bytes, scratch=None) as chunks:
        for chunk in chunks:
            into += chunk


def only(path: str, behaviour: Behaviour) -> Behaviour:
    """Honest, but for one block."""

    def answer(exchange: Exchange) -> None:
        (behaviour if exchange.name == path else hostile.serve)(exchange)

    return answer


def give(body: bytes) -> Behaviour:
    return lambda exchange: exchange.answer(200, body)


def test_promises_are_kept(start: Start, reach: Reach, tmp_path: Path) -> None:
    server = start(THREE.blocks)
    check_blob_transport(lambda: reach(server), THREE.blob, THREE.data, folder=tmp_path)


def test_only_blocks_are_asked_for_and_a_node_once(start: Start, reach: Reach) -> None:
    server = start(THREE.blocks)
    transport = reach(server)
    assert read(transport, THREE.blob, MIB, MIB + 1) == THREE.data[MIB : MIB + 1]
    assert read(transport, THREE.blob) == THREE.data
    asked = [seen.name for seen in server.seen]
    assert asked[:2] == [THREE.root, THREE.leaf(1)]
    assert sorted(asked[2:]) == sorted(THREE.leaf(number) for number in range(3))  # several at once
    assert {seen.headers["accept"] for seen in server.seen} == {"application/vnd.ipld.raw"}


@pytest.mark.parametrize("made", [SMALL, THREE])
def test_without_addresses_the_pieces_say_what_the_blocks_are_called(start: Start, reach: Reach, made: InIpfs) -> None:
    server = start(made.blocks)
    blob = replace(made.blob, addresses=None)
    assert read(reach(server), blob) == made.data
    assert THREE.root not in {seen.name for seen in server.seen}


def test_a_blob_of_which_nobody_signed_the_name_is_not_asked_for(start: Start, reach: Reach) -> None:
    server = start({})
    large = noise(3 * MIB, length_bytes=2 * MIB).blob
    for blob in (Blob(large.sha256, large.size_bytes), large, replace(large, pieces=Pieces(MIB, ("0" * 64,)))):
        with pytest.raises(AbsentError, match="nobody signed"):
            read(reach(server), blob)
    assert not server.seen


def test_a_gateway_below_a_path(start: Start, started: ExitStack) -> None:
    server = start({f"some/where/{path}": data for path, data in SMALL.blocks.items()})
    transport = open_ipfs(f"ipfs:{server.url}/some/where/")
    started.callback(transport.close)
    assert read(transport, SMALL.blob) == SMALL.data


def test_through_the_table_of_schemes() -> None:
    transport = open_transport("ipfs:https://gateway.example.org")
    assert isinstance(transport, IpfsTransport)
    transport.close()


@pytest.mark.parametrize(
    "url",
    [
        "ipfs:",
        "ipfs://bafkqaaa",
        "ipfs:gateway.example.org",
        "ipfs:ftp://a",
        "ipfs:https://u:secret@h",
        "ipfs:http://h?a",
    ],
)
def test_urls_that_are_no_gateway(url: str) -> None:
    with pytest.raises(InputError) as caught:
        open_ipfs(url)
    assert "secret" not in str(caught.value)


def test_a_gateway_that_redirects(start: Start, reach: Reach) -> None:
    behind = start(THREE.blocks)
    server = start({}, hostile.redirect_to(behind.url))
    assert read(reach(server), THREE.blob) == THREE.data


def test_chunked_answers(start: Start, reach: Reach) -> None:
    server = start(THREE.blocks, hostile.serve_chunked)
    assert read(reach(server), THREE.blob) == THREE.data


# What a bad gateway can send instead of a block.

WRONG: dict[str, Callable[[bytes], bytes]] = {
    "another": lambda data: bytes(len(data)),
    "one bit": lambda data: data[:-1] + bytes((data[-1] ^ 1,)),
    "longer": lambda data: data + b"x",
    "huge": lambda data: data + bytes(3 * MIB),
}


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_block_is_noticed_before_it_is_whole(start: Start, reach: Reach, number: int, wrong: str) -> None:
    leaf = THREE.leaf(number)
    server = start(THREE.blocks, only(leaf, give(WRONG[wrong](THREE.blocks[leaf]))))
    received = bytearray()
    with pytest.raises(DigestError):
        collect(reach(server), THREE.blob, received)
    assert len(received) < min((number + 1) * MIB, len(THREE.data))


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_node_is_noticed(start: Start, reach: Reach, wrong: str) -> None:
    server = start(THREE.blocks, only(THREE.root, give(WRONG[wrong](THREE.blocks[THREE.root]))))
    with pytest.raises(DigestError):
        read(reach(server), THREE.blob)


def test_a_missing_block(start: Start, reach: Reach) -> None:
    for path in (THREE.root, THREE.leaf(0), THREE.leaf(2)):
        server = start({name: data for name, data in THREE.blocks.items() if name != path})
        with pytest.raises(AbsentError, match="no block"):
            read(reach(server), THREE.blob)


@pytest.mark.parametrize("status", [206, 204, 301, 400, 403, 429, 500, 504])
def test_other_answers(start: Start, reach: Reach, status: int) -> None:
    server = start(SMALL.blocks, hostile.refuse(status))
    with pytest.raises(TransferError) as caught:
        read(reach(server), SMALL.blob)
    assert not isinstance(caught.value, AbsentError)
    assert caught.value.status == status


@pytest.mark.parametrize(
    ("behaviour", "error"),
    [
        (hostile.send_endlessly, DigestError),
        (hostile.truncate, TransferError),
        (hostile.truncate_politely, TransferError),
        (hostile.stall, StalledError),
        (hostile.stall_midway, StalledError),
        (hostile.dribble, StalledError),
        (hostile.dribble_headers, StalledError),
        (hostile.dribble_chunk_size, StalledError),
        (hostile.flood_headers, TransferError),
        (hostile.bomb, TransferError),
        (hostile.redirect_in_circles, TransferError),
        (hostile.talk_nonsense, TransferError),
        (hostile.hang_up, TransferError),
    ],
)
def test_a_gateway_that_does_not_do_its_work(
    start: Start, reach: Reach, behaviour: Behaviour, error: type[TransportError]
) -> None:
    began = time.monotonic()
    server = start(SMALL.blocks, behaviour)
    with pytest.raises(error):
        read(reach(server), SMALL.blob)
    assert time.monotonic() - began < 20


def test_a_node_of_a_gigabyte_is_not_read(start: Start, reach: Reach) -> None:
    server = start(THREE.blocks, only(THREE.root, hostile.send_endlessly))
    with pytest.raises(DigestError, match="sends more"):
        read(reach(server), THREE.blob)
    assert server.sent_bytes < 16 * MIB


# Trees that somebody signed, with the right digests, and that are none of a file of that size.


def block(data: bytes, codec: int = DAG_PB) -> tuple[str, bytes]:
    return str(Cid(codec, hashlib.sha256(data).digest())), data


def links(*sizes: int) -> list[Link]:
    return [Link(Cid(RAW, bytes((number,)) * 32), size, size) for number, size in enumerate(sizes)]


def deep(levels: int) -> bytes:
    """A chain of nodes, each with the next as its only link."""
    node = encode_file(links(3 * MIB))
    for _ in range(levels):
        below = Cid(DAG_PB, hashlib.sha256(node).digest())
        node = encode_file([Link(below, 3 * MIB, 3 * MIB + len(node))])
    return node


ODD_NODES = {
    "sizes that do not add up": encode_file(links(MIB, MIB)),
    "a size too many": encode_file(links(MIB, MIB, MIB, 1)),
    "other chunks": encode_file(links(MIB // 2, MIB // 2, MIB, MIB)),
    "one large chunk": encode_file(links(3 * MIB)),
    "empty chunks": encode_file(links(MIB, 0, MIB, MIB)),
    "nodes as leaves": encode_file([Link(Cid(DAG_PB, bytes(32)), MIB, MIB)] * 3),
    "a chain": deep(40),
    "a folder": directory({"file": Link(Cid(RAW, bytes(32)), 3 * MIB, 3 * MIB)})[1],
    "no node at all": b"what is this",
    "nothing": b"",
}


@pytest.mark.parametrize("node", ODD_NODES.values(), ids=ODD_NODES)
def test_a_tree_that_lies_is_refused_and_the_gateway_is_not_blamed(
    start: Start, reach: Reach, node: bytes, tmp_path: Path
) -> None:
    made = noise(3 * MIB)
    cid, data = block(node)
    blob = Blob(made.blob.sha256, 3 * MIB, made.blob.pieces, Addresses(cid, "0" * 64, "1" * 64))
    server = start({path_of(cid): data})
    with pytest.raises(MalformedError):
        read(reach(server), blob)
    assert len(server.seen) == 1
    sources = Sources([reach(server)])
    with pytest.raises(SourcesError):
        sources.fetch(blob, tmp_path / "file")
    assert not sources.dropped


def test_a_leaf_as_the_root_of_a_larger_file(start: Start, reach: Reach) -> None:
    server = start(THREE.blocks)
    with pytest.raises(MalformedError, match="no node"):
        read(reach(server), called(THREE.blob, str(Cid(RAW, bytes(32)))))
    assert not server.seen


def test_a_small_blob_is_asked_for_by_its_sha256_whatever_it_is_called(start: Start, reach: Reach) -> None:
    server = start(SMALL.blocks)
    assert read(reach(server), called(SMALL.blob, str(Cid(DAG_PB, bytes(32))))) == SMALL.data


# The walk by itself: a file of a tebibyte without its bytes.


def huge(size_bytes: int) -> tuple[Blob, Callable[[Cid, int], bytes], list[Cid]]:
    """A blob, and what reads the nodes of its tree, whose leaves are called by their numbers."""
    asked: list[Cid] = []
    count = -(-size_bytes // MIB)
    level = [
        Link(Cid(RAW, number.to_bytes(32, "big")), min(MIB, size_bytes - number * MIB), MIB) for number in range(count)
    ]
    nodes: dict[Cid, bytes] = {}
    while len(level) > 1:
        above = []
        for at in range(0, len(level), 1024):
            part: Sequence[Link] = level[at : at + 1024]
            data = encode_file(part)
            cid = Cid(DAG_PB, hashlib.sha256(data).digest())
            nodes[cid] = data
            above.append(Link(cid, sum(link.size_bytes for link in part), 1))
        level = above

    def read_node(cid: Cid, limit_bytes: int) -> bytes:
        asked.append(cid)
        assert len(nodes[cid]) <= limit_bytes
        return nodes[cid]

    return Blob("0" * 64, size_bytes, None, Addresses(str(level[0].cid), "0" * 64, "1" * 64)), read_node, asked


@pytest.fixture(scope="module")
def big() -> tuple[Blob, Callable[[Cid, int], bytes], list[Cid]]:
    return huge(20 * 2**30 + 5)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_spans_of_a_big_file(big: tuple[Blob, Callable[[Cid, int], bytes], list[Cid]], data: st.DataObject) -> None:
    blob, read_node, asked = big
    start = data.draw(st.integers(0, blob.size_bytes - 1))
    stop = data.draw(st.integers(start + 1, min(start + 40 * MIB, blob.size_bytes)))
    asked.clear()
    leaves = list(Trees(read_node, source="").leaves(blob, start, stop))
    assert [int.from_bytes(leaf.cid.sha256, "big") for leaf in leaves] == [*range(start // MIB, -(-stop // MIB))]
    assert leaves[0].start <= start < leaves[0].stop
    assert leaves[-1].start < stop <= leaves[-1].stop <= blob.size_bytes
    assert len(asked) <= 3  # the root, and the one or two nodes that the span lies below


def test_nodes_are_kept_and_let_go(big: tuple[Blob, Callable[[Cid, int], bytes], list[Cid]]) -> None:
    blob, read_node, asked = big
    trees = Trees(read_node, source="")
    asked.clear()
    for number in range(20):
        list(trees.leaves(blob, number * 2**30, number * 2**30 + 1))
    assert len(asked) == 21
    assert len(trees._kept) == MOST_KEPT_NODES


def test_a_size_beyond_all_bounds_is_refused() -> None:
    blob = Blob("0" * 64, LARGEST_BYTES + 1, None, THREE.blob.addresses)
    with pytest.raises(MalformedError):
        list(Trees(lambda cid, limit: b"", source="").leaves(blob, 0, 1))


# Together with other sources.


def serve_later(exchange: Exchange) -> None:
    """Honest, after those that are not."""
    exchange.wait(0.3)
    hostile.serve(exchange)


@pytest.mark.parametrize("behaviour", [hostile.lie, hostile.lie_at_the_end])
def test_a_gateway_that_lies_is_dropped_and_another_one_brings_the_blob(
    start: Start, reach: Reach, tmp_path: Path, behaviour: Behaviour
) -> None:
    bad, good = start(THREE.blocks, behaviour), start(THREE.blocks, serve_later)
    sources = Sources([reach(bad), reach(good)])
    sources.fetch(THREE.blob, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == THREE.data
    assert sources.dropped == (f"ipfs:{bad.url}",)


def test_one_good_gateway_among_nine_bad_ones(start: Start, reach: Reach, tmp_path: Path) -> None:
    bad = [
        hostile.lie, hostile.stall, hostile.stall_midway, hostile.truncate, hostile.dribble, hostile.refuse(404),
        hostile.refuse(500), hostile.send_endlessly, hostile.hang_up,
    ]  # fmt: skip
    servers = [start(THREE.blocks, behaviour) for behaviour in (*bad, hostile.serve)]
    sources = Sources([reach(server) for server in servers])
    sources.fetch(THREE.blob, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == THREE.data
    assert servers[-1].url not in "".join(sources.faults)


def test_only_bad_gateways_write_nothing(start: Start, reach: Reach, tmp_path: Path) -> None:
    servers = [start(THREE.blocks, behaviour) for behaviour in (hostile.lie, hostile.hang_up, hostile.refuse(404))]
    sources = Sources([reach(server) for server in servers])
    with pytest.raises(SourcesError) as caught:
        sources.fetch(THREE.blob, tmp_path / "file")
    assert not (tmp_path / "file").exists()
    assert set(caught.value.faults) == {f"ipfs:{server.url}" for server in servers}


def test_a_document_comes_to_memory(start: Start, reach: Reach) -> None:
    server = start(SMALL.blocks)
    blob = replace(SMALL.blob, addresses=None)
    assert Sources([reach(server)]).read(blob, limit_bytes=MIB) == SMALL.data
