"""Nodes of UnixFS: the shape of trees, and one text for one node."""

from __future__ import annotations

import hashlib
import os
import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.addressing import unixfs
from edgekit.addressing.cid import DAG_PB, RAW, Cid, raw_cid, varint
from edgekit.addressing.unixfs import (
    CHUNK_BYTES,
    MOST_LINKS,
    FileDag,
    Link,
    directory,
    encode_file,
    file_tree,
    read_node,
)
from edgekit.errors import MalformedError

CIDS = st.builds(Cid, st.sampled_from((RAW, DAG_PB)), st.binary(min_size=32, max_size=32))
PARTS = st.lists(st.builds(Link, CIDS, st.integers(0, 2**32), st.integers(0, 2**32)), min_size=1, max_size=5)
NAMES = st.text(min_size=1, max_size=8).filter(
    lambda name: name not in (".", "..") and not set(name) & set("/\0") and name.isprintable()
)
ENTRIES = st.dictionaries(NAMES, st.builds(Link, CIDS, st.just(0), st.integers(0, 2**32)), max_size=5)


@given(PARTS)
def test_a_file_is_read_back_as_written(parts: list[Link]) -> None:
    node = read_node(encode_file(parts))
    assert node.links == tuple(parts)
    assert not node.is_folder
    assert node.size_bytes == sum(part.size_bytes for part in parts)


@given(ENTRIES)
def test_a_folder_is_read_back_as_written(entries: dict[str, Link]) -> None:
    link, data = directory(entries)
    node = read_node(data)
    assert node.is_folder
    assert {each.name: each.cid for each in node.links} == {name: each.cid for name, each in entries.items()}
    assert [each.name.encode() for each in node.links] == sorted(name.encode() for name in entries)
    assert link.total_bytes == len(data) + sum(each.total_bytes for each in entries.values())
    assert link.cid == Cid(DAG_PB, hashlib.sha256(data).digest())


@given(PARTS | ENTRIES, st.data())
def test_whatever_is_read_is_the_one_text_of_its_node(links: list[Link] | dict[str, Link], data: st.DataObject) -> None:
    text = bytearray(encode_file(links) if isinstance(links, list) else directory(links)[1])
    at = data.draw(st.integers(0, len(text) * 8 - 1))
    text[at // 8] ^= 1 << at % 8
    try:
        node = read_node(bytes(text))
    except MalformedError:
        return
    again = directory({link.name: link for link in node.links})[1] if node.is_folder else encode_file(node.links)
    assert again == text


@given(st.binary(max_size=200))
def test_noise_is_refused_or_is_a_node(data: bytes) -> None:
    try:
        node = read_node(data)
    except MalformedError:
        return
    assert data in (encode_file(node.links), directory({link.name: link for link in node.links})[1])


RAW_PART = Link(Cid(RAW, bytes(32)), 5, 5)
GOOD = encode_file([RAW_PART, RAW_PART])
FOLDER = directory({"a": RAW_PART})[1]


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "a file with 0 links"),
        (GOOD + b"\0", "damaged"),
        (GOOD[:-1], "damaged"),
        (GOOD + GOOD, "data twice"),
        (GOOD + b"\x0a\x00", "data twice"),
        (GOOD + b"\x1a\x00", "something else"),
        (GOOD.replace(b"\x12\x00", b"\x12\x01a", 1).replace(b"\x12\x2a", b"\x12\x2b", 1), "damaged"),
        (FOLDER.replace(b"\x0a\x02\x08\x01", b"\x0a\x02\x08\x02"), "the sizes of 0"),
        (FOLDER.replace(b"\x0a\x02\x08\x01", b"\x0a\x02\x08\x05"), "spread over several nodes"),
        (FOLDER.replace(b"\x0a\x02\x08\x01", b"\x0a\x03\x08\x81\x00"), "another way"),
        (FOLDER.replace(b"\x12\x01a", b"\x12\x01/"), "called"),
        (FOLDER.replace(b"\x12\x01a", b"\x12\x01\x00"), "called"),
        (FOLDER.replace(b"\x12\x01a", b"\x12\x01\xff"), "utf-8"),
        (b"\x0a\x04\x08\x02\x18\x00", "a file with 0 links"),
        (b"\x0a\x06\x08\x02\x12\x00\x18\x00", "a file with 0 links"),
        (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "damaged"),
        (b"\x12\xff\xff\xff\xff\x0f", "leads out"),
        (b"\x0a\x00" * 1000, "nothing is in its data"),
    ],
)
def test_other_nodes_are_refused(data: bytes, what: str) -> None:
    with pytest.raises(MalformedError, match=what):
        read_node(data)


def test_a_link_of_very_many_fields_costs_no_memory() -> None:
    body = b"".join(varint(number << 3 | 2) + b"\0" for number in range(1, 100_000))
    data = b"\x12" + varint(len(body)) + body
    tracemalloc.start()
    try:
        with pytest.raises(MalformedError):
            read_node(data)
        assert tracemalloc.get_traced_memory()[1] < 4 * len(data)
    finally:
        tracemalloc.stop()


def test_names_and_sizes_are_bounded() -> None:
    for name in ("", ".", "..", "a/b", "a\0", "x" * 256):
        with pytest.raises(MalformedError, match="called"):
            directory({name: RAW_PART})
    with pytest.raises(MalformedError, match="1001 entries"):
        directory({str(number): RAW_PART for number in range(1001)})
    with pytest.raises(MalformedError, match="more than 1024 links"):
        read_node(encode_file([RAW_PART] * (MOST_LINKS + 1)))
    with pytest.raises(MalformedError, match="at most 10"):
        read_node(GOOD, limit_bytes=10)
    with pytest.raises(MalformedError, match="leads to more"):
        read_node(encode_file([Link(RAW_PART.cid, 2**62, 2**62)]))


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES])
def test_a_file_of_one_chunk_is_that_chunk(size: int) -> None:
    data = os.urandom(size)
    dag = FileDag()
    dag.update(data)
    assert dag.finish() == raw_cid(hashlib.sha256(data).hexdigest())
    assert dag.nodes == {}
    assert dag.root.size_bytes == dag.root.total_bytes == size


@given(st.lists(st.integers(0, 2**21), min_size=1, max_size=4))
def test_it_does_not_depend_on_chunks(chunks: list[int]) -> None:
    data = bytes(sum(chunks)) if sum(chunks) % 2 else b"\xa5" * sum(chunks)
    whole, parts = FileDag(), FileDag()
    whole.update(data)
    for chunk in chunks:
        parts.update(data[:chunk])
        data = data[chunk:]
    assert whole.finish() == parts.finish()
    assert whole.nodes == parts.nodes


@pytest.mark.parametrize(
    ("count", "width", "nodes"),
    [(2, MOST_LINKS, 1), (MOST_LINKS, MOST_LINKS, 1), (MOST_LINKS + 1, MOST_LINKS, 3), (16, 4, 5), (17, 4, 8)],
)
def test_the_tree_is_balanced(count: int, width: int, nodes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every leaf lies equally deep, also one that is alone below its nodes."""
    monkeypatch.setattr(unixfs, "MOST_LINKS", width)
    size = (count - 1) * CHUNK_BYTES + 7
    root, made = file_tree([number.to_bytes(32, "big") for number in range(count)], size)
    assert root.size_bytes == size
    assert root.total_bytes == size + sum(map(len, made.values()))
    assert len(made) == nodes
    depths = set()
    waiting = [(root.cid, 0)]
    while waiting:
        cid, depth = waiting.pop()
        if cid.codec == RAW:
            depths.add(depth)
        else:
            waiting += [(link.cid, depth + 1) for link in read_node(made[cid]).links]
    assert len(depths) == 1


@pytest.mark.parametrize("flip", [lambda data: data[:-1] + b"\0", lambda data: data + b"x", lambda data: data[1:]])
def test_another_byte_gives_another_cid(flip: Callable[[bytes], bytes]) -> None:
    def cid(data: bytes) -> str:
        dag = FileDag()
        dag.update(data)
        return dag.finish()

    data = b"\x01" * (2 * CHUNK_BYTES + 1)
    assert cid(flip(data)) != cid(data)
