"""Tree: folders and files as IPFS sees them, with every block in the order in which a CAR holds them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import BinaryIO

from edgekit.addressing.cid import RAW, Cid
from edgekit.addressing.unixfs import CHUNK_BYTES, FileDag, Link, directory, read_node
from edgekit.errors import DigestError, MalformedError


class Tree:
    """A folder of files whose own trees are finished.

    Args:
        files: Path, with "/" between folders -> the file's tree.

    Raises:
        MalformedError: A path is both a file and a folder, a name is none, or a folder has more than 1000 entries.

    Attributes:
        root: What leads to the folder.
        nodes: CID -> bytes of every block that is no chunk of a file.
    """

    def __init__(self, files: Mapping[str, FileDag]) -> None:
        self.nodes: dict[Cid, bytes] = {}
        self._files = dict(files)
        self.root = self._folder("", self._files)

    @property
    def cid(self) -> str:
        """CID of the folder."""
        return str(self.root.cid)

    def blocks(self, open_file: Callable[[str], BinaryIO]) -> Iterator[tuple[Cid, bytes]]:
        """Every block once, depth first, the files' bytes read again and held against their digests.

        Args:
            open_file: Opens the file of a path.

        Raises:
            DigestError: A file's bytes are no longer those that its tree was made of.
            OSError: It cannot be read.
        """
        given: set[Cid] = set()
        yield from self._blocks(self.root.cid, "", given, open_file)

    def _folder(self, above: str, files: Mapping[str, FileDag]) -> Link:
        here: dict[str, Link] = {}
        below: dict[str, dict[str, FileDag]] = {}
        for path, dag in files.items():
            name, inside, rest = path.partition("/")
            if inside:
                below.setdefault(name, {})[rest] = dag
            else:
                here[name] = dag.root
                self.nodes |= dag.nodes
        for name, inner in below.items():
            if name in here:
                raise MalformedError(f"{above}{name} is both a file and a folder")
            here[name] = self._folder(f"{above}{name}/", inner)
        link, node = directory(here)
        self.nodes[link.cid] = node
        return link

    def _blocks(
        self, cid: Cid, above: str, given: set[Cid], open_file: Callable[[str], BinaryIO]
    ) -> Iterator[tuple[Cid, bytes]]:
        node = self.nodes[cid]
        if cid not in given:
            given.add(cid)
            yield cid, node
        for link in read_node(node).links:
            path = f"{above}{link.name}"
            if path in self._files:
                with open_file(path) as stream:
                    yield from self._file_blocks(link.cid, path, given, stream)
            else:
                yield from self._blocks(link.cid, f"{path}/", given, open_file)

    def _file_blocks(self, cid: Cid, path: str, given: set[Cid], stream: BinaryIO) -> Iterator[tuple[Cid, bytes]]:
        """Blocks of a file below a node, whose chunks come next in the stream."""
        if cid.codec == RAW:
            data = stream.read(CHUNK_BYTES)
            if hashlib.sha256(data).digest() != cid.sha256:
                raise DigestError(f"{path} changed while it was read")
        else:
            data = self.nodes[cid]
        if cid not in given:
            given.add(cid)
            yield cid, data
        if cid.codec != RAW:
            for link in read_node(data).links:
                yield from self._file_blocks(link.cid, path, given, stream)
