"""Folders: their shape, and what is noticed when a file changes between hashing and writing."""

from __future__ import annotations

import io

import pytest

from edgekit.addressing.tree import Tree
from edgekit.addressing.unixfs import CHUNK_BYTES, FileDag, read_node
from edgekit.errors import DigestError, MalformedError


def dag_of(data: bytes) -> FileDag:
    dag = FileDag()
    dag.update(data)
    dag.finish()
    return dag


def test_names_lead_to_files() -> None:
    files = {"a/b/c": b"1", "a/b.d": b"2", "e": b"3"}
    tree = Tree({path: dag_of(data) for path, data in files.items()})
    found = {}
    waiting = [("", tree.root.cid)]
    while waiting:
        above, cid = waiting.pop()
        for link in read_node(tree.nodes[cid]).links:
            path = f"{above}{link.name}"
            if link.cid in tree.nodes:
                waiting.append((f"{path}/", link.cid))
            else:
                found[path] = link.cid
    assert found == {path: dag_of(data).root.cid for path, data in files.items()}


def test_a_file_that_is_also_a_folder_is_refused() -> None:
    with pytest.raises(MalformedError, match="both a file and a folder"):
        Tree({"a": dag_of(b"1"), "a/b": dag_of(b"2")})


def test_a_chunk_that_repeats_is_given_once() -> None:
    data = bytes(3 * CHUNK_BYTES)
    blocks = list(Tree({"zeros": dag_of(data)}).blocks(lambda path: io.BytesIO(data)))
    assert [len(block) for _, block in blocks[2:]] == [CHUNK_BYTES]


@pytest.mark.parametrize("now", [b"changed", b"", b"first and more"])
def test_a_file_that_changed_is_noticed(now: bytes) -> None:
    tree = Tree({"file": dag_of(b"first")})
    with pytest.raises(DigestError, match="file changed"):
        list(tree.blocks(lambda path: io.BytesIO(now)))
