"""Gateways from both sides: what strangers ask of ours, and the trees of IPFS that a mad publisher has others walk."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any

from edgekit.addressing.cid import DAG_PB, RAW, Cid, raw_cid
from edgekit.addressing.unixfs import CHUNK_BYTES, MOST_LINKS, Link, directory, encode_file
from edgekit.errors import AbsentError, InputError
from edgekit.gateway.conditions import wanted
from edgekit.gateway.finding import PROBE, RefusedError, find
from edgekit.gateway.shelf import Shelf
from edgekit.transport.ipfs_tree import Trees
from edgekit.types.blob import Addresses, Blob
from tests.fuzz.byte_mutation import mutate_bytes
from tests.fuzz.kinds import Kind, hold
from tests.fuzz.specimens import Specimens

DOCUMENT, METADATA = b"a document of a bundle", b'{"signed":{}}'
SHA256 = hashlib.sha256(DOCUMENT).hexdigest()
CID = raw_cid(SHA256)
TARGETS = (
    "/metadata/timestamp.json", f"/blobs/sha256/{SHA256}", f"/ipfs/{CID}?format=raw", f"/ipfs/{CID}?format=car",
    f"/ipfs/{PROBE}?format=raw",
)  # fmt: skip
TRICKS = ("..", "%2e", "/", "//", "\\", "\0", "?", "&", "#", ";", "http://h/", "~", "%00", "format=car", "é", "../../")
HEADERS = {
    "range": ("bytes=0-4", "bytes=5-", "bytes=-3", "bytes=0-1,3-4", "bytes=9-2"),
    "if-none-match": (f'"{SHA256}"', f'W/"{CID}.raw"', "*"),
    "if-match": (f'"{SHA256}"', "*"),
    "if-range": (f'"{SHA256}"', "Sun, 06 Nov 1994 08:49:37 GMT"),
    "accept": ("application/vnd.ipld.raw", "application/vnd.ipld.car; version=1", "text/html"),
    "cache-control": ("only-if-cached",),
}


@dataclass(frozen=True)
class Asked:
    """A request."""

    target: str
    headers: dict[str, str]


@dataclass(frozen=True)
class TreeMutant:
    """A blob, and the nodes of the tree that it is signed to have."""

    blob: Blob
    nodes: dict[Cid, bytes]
    start: int
    stop: int


def gateway_kinds(specimens: Specimens) -> Iterator[Kind[Any]]:
    """All of them."""
    del specimens
    maker = _Gateways()
    yield Kind(
        "gateway-request", "the content of that very name, and a part that lies in it", maker.draw, maker.judge, 500
    )
    law = "leaves of 1 MiB that lie end to end over what was asked for; no more nodes than a file of that size has"
    yield Kind("ipfs-tree", law, _draw_tree, _judge_tree, 400)


class _Gateways:
    @cached_property
    def _shelf(self) -> Shelf:
        shelf = Shelf()
        shelf.put_bytes("metadata/timestamp.json", METADATA)
        shelf.put_bytes(f"blobs/sha256/{SHA256}", DOCUMENT)
        return shelf

    def draw(self, random: Random) -> Asked:
        target = random.choice(TARGETS)
        for _ in range(random.choice((0, 1, 1, 2))):
            if random.random() < 0.5:
                at = random.randrange(len(target) + 1)
                target = target[:at] + random.choice(TRICKS) + target[at:]
            else:
                others = [other.encode() for other in TARGETS]
                target = mutate_bytes(random, target.encode("latin-1", "replace"), others).decode("latin-1")[:70_000]
        headers = {name: random.choice(values) for name, values in HEADERS.items() if random.random() < 0.3}
        for name in headers:
            if random.random() < 0.4:
                mutant = mutate_bytes(random, headers[name].encode(), [b"bytes=", b'"'])
                headers[name] = mutant.decode("latin-1")[:70_000]
        return Asked(target, headers)

    def judge(self, asked: Asked, folder: Path) -> None:
        del folder
        try:
            found = find(self._shelf, asked.target, asked.headers)
        except RefusedError as error:
            hold(400 <= error.status < 500, f"refused with status {error.status}")
            raise InputError(str(error)) from error
        data = b"".join(found.content.read(0, found.content.size_bytes))
        name = asked.target.partition("?")[0]
        expected = {
            "/metadata/timestamp.json": (METADATA,),
            f"/blobs/sha256/{SHA256}": (DOCUMENT,),
            f"/ipfs/{CID}": (DOCUMENT, data if DOCUMENT in data and len(data) < 200 else b"no"),
            f"/ipfs/{PROBE}": (b"", data if len(data) < 40 else b"no"),
        }
        hold(data in expected.get(name, ()), f"{name!r} is answered with {data[:80]!r}")
        hold("\r" not in str(found.headers) and asked.target not in found.etag, "a header repeats what was asked")
        part = wanted(asked.headers, etag=found.etag, size_bytes=len(data), ranges=found.ranges)
        hold(part.status in (200, 206, 304, 412, 416), f"status {part.status}")
        hold(0 <= part.start <= part.stop <= len(data), f"bytes {part.start} to {part.stop} of {len(data)}")
        hold(part.status != 206 or part.start < part.stop, "an empty part")


def _draw_tree(random: Random) -> TreeMutant:
    size = random.choice((2 * CHUNK_BYTES, 3 * CHUNK_BYTES + 5, 1030 * CHUNK_BYTES, 2**40, random.randrange(1, 2**31)))
    count = min(-(-size // CHUNK_BYTES), 4 * MOST_LINKS)
    nodes: dict[Cid, bytes] = {}
    level = [
        Link(Cid(RAW, number.to_bytes(32, "big")), min(CHUNK_BYTES, size - number * CHUNK_BYTES), CHUNK_BYTES)
        for number in range(count)
    ]
    while len(level) > 1 or not nodes:
        level = [_node(random, level[at : at + MOST_LINKS], nodes) for at in range(0, len(level), MOST_LINKS)]
    start = random.randrange(size)
    blob = Blob("0" * 64, size, None, Addresses(str(level[0].cid), "0" * 64, "1" * 64))
    if random.random() < 0.1:
        blob = replace(blob, addresses=Addresses("".join(random.choices("bafy234", k=59)), "0" * 64, "1" * 64))
    return TreeMutant(blob, nodes, start, min(start + random.choice((1, CHUNK_BYTES, 2**30)), size))


def _node(random: Random, links: list[Link], nodes: dict[Cid, bytes]) -> Link:
    """The node above some links, often another one than it should be, under the CID that it has then."""
    links = list(links)
    if random.random() < 0.4:
        at = random.randrange(len(links))
        changes: tuple[dict[str, Any], ...] = (
            {"size_bytes": random.choice((0, 1, CHUNK_BYTES - 1, CHUNK_BYTES + 1, 2**30))},
            {"cid": Cid(random.choice((RAW, DAG_PB)), random.choice([*nodes, links[at].cid]).sha256)},
            {"name": "name"},
        )
        links[at] = replace(links[at], **random.choice(changes))
    if random.random() < 0.2:
        links = random.choice((links[:-1], links[1:], links + links[:1], links[::-1], links[:1] * len(links))) or links
    data = encode_file(links)
    if random.random() < 0.15:
        data = random.choice((mutate_bytes(random, data, list(nodes.values())), directory({"f": links[0]})[1], b""))
    cid = Cid(DAG_PB, hashlib.sha256(data).digest())
    nodes[cid] = data
    return Link(cid, sum(link.size_bytes for link in links), len(data))


def _judge_tree(mutant: TreeMutant, folder: Path) -> None:
    del folder
    asked = 0

    def read(cid: Cid, limit_bytes: int) -> bytes:
        nonlocal asked
        asked += 1
        if cid not in mutant.nodes:
            raise AbsentError("no such block")
        hold(len(mutant.nodes[cid]) <= limit_bytes or limit_bytes >= CHUNK_BYTES, "a node is asked for with no limit")
        return mutant.nodes[cid]

    position = mutant.start - mutant.start % CHUNK_BYTES
    for leaf in Trees(read, source="").leaves(mutant.blob, mutant.start, mutant.stop):
        hold(leaf.start == position and leaf.cid.codec == RAW, f"a leaf begins at {leaf.start}, not at {position}")
        hold(leaf.stop == min(position + CHUNK_BYTES, mutant.blob.size_bytes), f"a leaf ends at {leaf.stop}")
        position = leaf.stop
    hold(position >= mutant.stop, f"leaves end at {position}, before {mutant.stop}")
    hold(asked <= 3 + (mutant.stop - mutant.start) // (MOST_LINKS * CHUNK_BYTES) + 2, f"{asked} nodes were asked for")
