"""CARs: what was written is read back whole, and anything missing, over or altered is refused."""

from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.addressing.car import CarLimits, before_block, check_car, header_of, read_blocks, read_header, write_car
from edgekit.addressing.cid import DAG_PB, RAW, Cid
from edgekit.addressing.tree import Tree
from edgekit.addressing.unixfs import CHUNK_BYTES, FileDag, Link, directory, encode_file
from edgekit.errors import DigestError, InputError, MalformedError, TrustError

Block = tuple[Cid, bytes]
FILES = {
    "oci-layout": b"{}",
    "blobs/sha256/aa": bytes(range(256)) * 4096 + b"end",
    "blobs/sha256/bb": b"small",
    "blobs/empty": b"",
}


def dag_of(data: bytes) -> FileDag:
    dag = FileDag()
    dag.update(data)
    dag.finish()
    return dag


def tree_of(files: dict[str, bytes]) -> Tree:
    return Tree({path: dag_of(data) for path, data in files.items()})


def blocks_of(files: dict[str, bytes]) -> list[Block]:
    return list(tree_of(files).blocks(lambda path: io.BytesIO(files[path])))


def car(root: Cid, blocks: Sequence[Block]) -> bytes:
    out = io.BytesIO()
    assert write_car(out, root, blocks) == len(out.getvalue())
    return out.getvalue()


TREE, BLOCKS = tree_of(FILES), blocks_of(FILES)
ROOT = TREE.root.cid
CAR = car(ROOT, BLOCKS)


def test_it_is_read_back_as_written() -> None:
    stream = io.BytesIO(CAR)
    assert read_header(stream) == ROOT
    assert list(read_blocks(stream)) == BLOCKS
    checked = check_car(io.BytesIO(CAR), ROOT)
    assert (checked.blocks, checked.size_bytes) == (len(BLOCKS), sum(len(data) for _, data in BLOCKS))
    assert TREE.root.total_bytes == checked.size_bytes


def test_blocks_come_depth_first() -> None:
    assert BLOCKS[0][0] == ROOT
    names = [hashlib.sha256(data).digest() for data in (FILES["oci-layout"], FILES["blobs/sha256/bb"])]
    places = [next(at for at, (cid, _) in enumerate(BLOCKS) if cid.sha256 == name) for name in names]
    assert places[0] == len(BLOCKS) - 1 > places[1]


@given(st.permutations(BLOCKS))
def test_other_orders_are_read(blocks: list[Block]) -> None:
    assert check_car(io.BytesIO(car(ROOT, blocks)), ROOT).blocks == len(BLOCKS)


@given(st.dictionaries(st.sampled_from(("a", "b/c", "b/d", "e/f/g")), st.binary(max_size=50), min_size=1))
def test_any_tree_is_whole(files: dict[str, bytes]) -> None:
    """Also where two files hold the same bytes: their block is there once."""
    check_car(io.BytesIO(car(tree_of(files).root.cid, blocks_of(files))), tree_of(files).root.cid)


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_a_missing_block_is_refused(number: int) -> None:
    with pytest.raises(MalformedError, match=r"lacks block|no part of"):
        check_car(io.BytesIO(car(ROOT, BLOCKS[:number] + BLOCKS[number + 1 :])), ROOT)


def extra(data: bytes, codec: int = RAW) -> Block:
    return Cid(codec, hashlib.sha256(data).digest()), data


@pytest.mark.parametrize("block", [extra(b"extra"), extra(encode_file([Link(ROOT, 1, 1)]), DAG_PB)])
@pytest.mark.parametrize("at", [0, 3, len(BLOCKS)])
def test_an_extra_block_is_refused(block: Block, at: int) -> None:
    with pytest.raises(MalformedError, match="no part of"):
        check_car(io.BytesIO(car(ROOT, [*BLOCKS[:at], block, *BLOCKS[at:]])), ROOT)


def test_a_block_that_comes_twice_is_refused() -> None:
    with pytest.raises(MalformedError, match="twice"):
        check_car(io.BytesIO(car(ROOT, [*BLOCKS, BLOCKS[1]])), ROOT)


@settings(max_examples=300)
@given(st.integers(0, len(CAR) * 8 - 1))
def test_every_flipped_bit_is_noticed(at: int) -> None:
    data = bytearray(CAR)
    data[at // 8] ^= 1 << at % 8
    with pytest.raises(TrustError):
        check_car(io.BytesIO(bytes(data)), ROOT)


@given(st.integers(0, len(CAR) - 1))
def test_every_cut_is_noticed(size: int) -> None:
    with pytest.raises(MalformedError):
        check_car(io.BytesIO(CAR[:size]), ROOT)


def test_many_links_to_one_large_node_cost_no_more_than_to_a_small_one() -> None:
    """What a node leads to is added up once, and not for every link that leads to it."""

    def seconds(width: int) -> float:
        leaf = extra(b"x")
        shared = encode_file([Link(leaf[0], 1, 1)] * width)
        below = Link(extra(shared, DAG_PB)[0], width, len(shared) + width)
        nodes = [encode_file([below] * (1024 - number)) for number in range(30)]
        links = [
            Link(extra(node, DAG_PB)[0], count * width, len(node) + count * below.total_bytes)
            for count, node in zip(range(1024, 0, -1), nodes, strict=False)
        ]
        root = extra(encode_file(links), DAG_PB)
        blocks = [root, *(extra(node, DAG_PB) for node in nodes), extra(shared, DAG_PB), leaf]
        data = car(root[0], blocks)
        began = time.process_time()
        assert check_car(io.BytesIO(data), root[0]).blocks == len(blocks)
        return time.process_time() - began

    assert seconds(1024) < 3 * seconds(2)


@given(st.binary(max_size=300))
def test_noise_is_refused(data: bytes) -> None:
    with pytest.raises(TrustError):
        check_car(io.BytesIO(data), ROOT)
    with pytest.raises(TrustError):
        check_car(io.BytesIO(header_of(ROOT) + data), ROOT)


@pytest.mark.parametrize(
    "header",
    [
        b"\xa2\x65roots\x80\x67version\x01",
        b"\xa2\x65roots\x81\xd8\x2a\x58\x25\x00" + bytes(ROOT) + b"\x67version\x02",
        b"\xa2\x67version\x01\x65roots\x81\xd8\x2a\x58\x25\x00" + bytes(ROOT),
        b"\xa2\x65roots\x82" + (b"\xd8\x2a\x58\x25\x00" + bytes(ROOT)) * 2 + b"\x67version\x01",
        b"\xa1\x67version\x02",
    ],
)
def test_other_headers_are_refused(header: bytes) -> None:
    with pytest.raises(MalformedError, match="version 1 with one root"):
        check_car(io.BytesIO(bytes((len(header),)) + header), ROOT)


def test_the_car_of_something_else_is_refused() -> None:
    other = tree_of({"a": b"x"})
    with pytest.raises(DigestError, match="is that of"):
        check_car(io.BytesIO(car(other.root.cid, blocks_of({"a": b"x"}))), ROOT)


@pytest.mark.parametrize(
    ("limits", "what"),
    [
        (CarLimits(blocks=3), "more than 3 blocks"),
        (CarLimits(block_bytes=1000), "at most 1000"),
        (CarLimits(links=2), "more than 2 links"),
    ],
)
def test_it_is_bounded(limits: CarLimits, what: str) -> None:
    with pytest.raises(MalformedError, match=what):
        check_car(io.BytesIO(CAR), ROOT, limits=limits)


def test_a_block_that_says_to_be_huge_is_not_waited_for() -> None:
    for length in (b"\xff\xff\xff\x7f", b"\xff\xff\xff\xff\xff\x01", b"\xff\x80\x00"):
        with pytest.raises(MalformedError):
            check_car(io.BytesIO(header_of(ROOT) + length + bytes(100)), ROOT)
    assert before_block(ROOT, 2**20)[-36:] == bytes(ROOT)


def lying(change: Callable[[Link], Link]) -> bytes:
    """A tree whose root says something wrong of a file of two chunks, and whose CIDs fit."""
    dag = dag_of(bytes(CHUNK_BYTES + 1))
    parts = [
        Link(Cid(RAW, dag.leaves[0]), CHUNK_BYTES, CHUNK_BYTES),
        change(Link(Cid(RAW, dag.leaves[1]), 1, 1)),
    ]
    node = encode_file(parts)
    blocks = [extra(node, DAG_PB), extra(bytes(CHUNK_BYTES)), extra(b"\0")]
    return car(blocks[0][0], blocks)


@pytest.mark.parametrize(
    "change",
    [
        lambda link: Link(link.cid, 2, 1),
        lambda link: Link(link.cid, 1, 2),
        lambda link: Link(link.cid, 0, 0),
    ],
)
def test_links_that_lie_about_sizes_are_refused(change: Callable[[Link], Link]) -> None:
    right = lying(lambda link: link)
    check_car(io.BytesIO(right), read_header(io.BytesIO(right)))
    data = lying(change)
    with pytest.raises(MalformedError, match="other sizes"):
        check_car(io.BytesIO(data), read_header(io.BytesIO(data)))


def test_a_folder_inside_a_file_is_refused() -> None:
    folder, data = directory({})
    node = encode_file([Link(folder.cid, 0, folder.total_bytes)])
    blocks = [extra(node, DAG_PB), (folder.cid, data)]
    with pytest.raises(MalformedError, match="other sizes"):
        check_car(io.BytesIO(car(blocks[0][0], blocks)), blocks[0][0])


def test_a_car_that_cannot_be_read(tmp_path: Path) -> None:
    with (tmp_path / "w").open("wb") as stream, pytest.raises(InputError, match="cannot read"):
        read_header(stream)
