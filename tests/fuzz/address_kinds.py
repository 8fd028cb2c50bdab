"""What other systems exchange: torrents, CARs and nodes of IPFS; some with every hash that a liar can make right.

Anybody can hash, so mutants are put together again: a changed block is under its own CID, a changed info dictionary
under an infohash that a mad publisher signed. Only the root that was asked for stays what it is.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any

from edgekit.addressing import bencode
from edgekit.addressing.car import check_car, read_blocks, read_header, write_car
from edgekit.addressing.cid import DAG_PB, RAW, Cid, parse_cid
from edgekit.addressing.torrent import Torrent, make_torrent, read_info, read_torrent, write_torrent
from edgekit.addressing.tree import Tree
from edgekit.addressing.unixfs import CHUNK_BYTES, FileDag, Link, directory, encode_file, read_node
from edgekit.types.blob import Addresses, Blob
from tests.fuzz import hostile
from tests.fuzz.byte_mutation import mutate_bytes
from tests.fuzz.kinds import Kind, hold
from tests.fuzz.specimens import Specimens

Block = tuple[Cid, bytes]
DATA = (b"small", bytes(range(256)) * 200, bytes(3 * 2**14 + 7))
TRACKERS, WEB_SEEDS = ("http://127.0.0.1:1/announce", "udp://127.0.0.1:2"), ("http://127.0.0.1:3/blob",)
TORRENTS = [make_torrent(data, hashlib.sha256(data).hexdigest()) for data in DATA]
WRITTEN = [write_torrent(torrent, trackers=TRACKERS, webseeds=WEB_SEEDS) for torrent in TORRENTS]
FILES = {"oci-layout": b"{}", "blobs/sha256/aa": bytes(range(251)) * 8400, "blobs/sha256/bb": b"bb", "z/empty": b""}


@dataclass(frozen=True)
class TorrentMutant:
    """A `.torrent`, what it should be of, and whether its infohash was signed by somebody mad."""

    data: bytes
    blob: Blob
    original: Torrent
    is_resigned: bool


@dataclass(frozen=True)
class CarMutant:
    """A CAR, and the root that is asked for."""

    data: bytes
    root: Cid


def address_kinds(specimens: Specimens) -> Iterator[Kind[Any]]:
    """All of them."""
    del specimens
    maker = _Addresses()
    yield Kind(
        "torrent",
        "not signed again: the original; signed again: one file under its sha256, whose layer leads to its root",
        maker.draw_torrent,
        _judge_torrent,
        600,
    )
    yield Kind(
        "car",
        "the original's root: its files and nothing else; another root: a tree whose sizes are those of its bytes",
        maker.draw_car,
        _judge_car,
        600,
        192 * 2**20,
    )
    yield Kind("unixfs-node", "it is the one text of what was read", maker.draw_node, _judge_node, 400)
    yield Kind("cid", "it is the one text of what was read", maker.draw_cid, _judge_cid, 300)


def torrent_specimens() -> list[bytes]:
    """Valid `.torrent` files."""
    return WRITTEN


def car_specimens() -> list[bytes]:
    """Valid CARs, small."""
    files = {"a/b": b"x", "a/c": b"y", "d": b""}
    tree = _tree(files)
    return [_car(tree.root.cid, list(tree.blocks(lambda path: io.BytesIO(files[path]))))]


class _Addresses:
    @cached_property
    def _cid(self) -> Cid:
        return _tree(FILES).root.cid

    @cached_property
    def _blocks(self) -> list[Block]:
        return list(_tree(FILES).blocks(lambda path: io.BytesIO(FILES[path])))

    def draw_torrent(self, random: Random) -> TorrentMutant:
        number = random.randrange(len(TORRENTS))
        torrent = TORRENTS[number]
        blob = blob_of(torrent)
        if random.random() < 0.4:
            data = mutate_bytes(random, WRITTEN[number], WRITTEN)
            return TorrentMutant(data, blob, torrent, False)
        value: Any = bencode.decode(WRITTEN[number], where="it", limit_bytes=2**22)
        for _ in range(random.choice((1, 1, 2))):
            _change(random, value if random.random() < 0.2 else value.get(b"info"), torrent)
        data = _encode(value)
        is_resigned = random.random() < 0.7 and isinstance(value.get(b"info"), dict)
        if is_resigned:
            infohash = hashlib.sha256(_encode(value[b"info"])).hexdigest()
            blob = replace(blob, addresses=Addresses("", torrent.pieces_root.hex(), infohash))
        return TorrentMutant(data, blob, torrent, is_resigned)

    def draw_car(self, random: Random) -> CarMutant:
        blocks = list(self._blocks)
        if random.random() < 0.4:
            return CarMutant(mutate_bytes(random, _car(self._cid, blocks), []), self._cid)
        root = self._cid
        for _ in range(random.choice((1, 1, 2, 3))):
            at, how = random.randrange(len(blocks)), random.randrange(6)
            if how == 0 and len(blocks) > 1:
                del blocks[at]
            elif how == 1:
                blocks.insert(random.randrange(len(blocks)), blocks[at])
            elif how == 2:
                random.shuffle(blocks)
            elif how == 3:
                blocks[at] = _hashed(mutate_bytes(random, blocks[at][1][:5000], []), random.choice((RAW, DAG_PB)))
            elif how == 4:
                blocks[at] = (blocks[at][0], mutate_bytes(random, blocks[at][1][:5000], []))
            else:
                links = [_link(random, random.choice(blocks)) for _ in range(random.choice((0, 1, 2, 5)))]
                blocks.append(_hashed(_node(random, links), DAG_PB))
        if random.random() < 0.4:
            root = random.choice(blocks)[0]
        return CarMutant(_car(root, blocks), root)

    def draw_node(self, random: Random) -> bytes:
        if random.random() < 0.5:
            nodes = [data for cid, data in self._blocks if cid.codec == DAG_PB]
            return mutate_bytes(random, random.choice(nodes), nodes)
        links = [_link(random, random.choice(self._blocks)) for _ in range(random.choice((1, 2, 1024, 1025)))]
        return mutate_bytes(random, _node(random, links), [])

    def draw_cid(self, random: Random) -> bytes:
        cid = Cid(random.choice((RAW, DAG_PB, RAW, 0x71)), random.randbytes(random.choice((32, 32, 32, 31, 33))))
        return mutate_bytes(random, str(cid).encode(), []) if random.random() < 0.7 else str(cid).encode()


def blob_of(torrent: Torrent) -> Blob:
    return Blob(torrent.name, torrent.size_bytes, None, Addresses("", torrent.pieces_root.hex(), torrent.infohash))


def _change(random: Random, value: Any, torrent: Torrent) -> None:
    """One place of a dictionary, at any depth."""
    while isinstance(value, dict) and value:
        key = random.choice(sorted(value))
        if not isinstance(value[key], dict) or random.random() < 0.3:
            break
        value = value[key]
    else:
        return
    how = random.randrange(6)
    if how == 0:
        del value[key]
    elif how == 1:
        value[hostile.name(random).encode("utf-8", "surrogatepass")[:200]] = value.pop(key)
    elif how == 2:
        value[hostile.name(random).encode("utf-8", "surrogatepass")[:200]] = value[key]
    elif how == 3 and isinstance(value[key], bytes):
        old = value[key]
        value[key] = random.choice((old[:-20], old + bytes(32), bytes(len(old)), b"../" + old))
    elif how == 4:
        value[key] = random.choice((0, -1, 1, 2**14, 2**63 - 1, torrent.size_bytes + 1))
    else:
        value[key] = random.choice(([], {}, b"", [value[key]], {b"": value[key]}))


def _encode(value: Any) -> bytes:
    return bencode.encode(value)


def _dag(data: bytes) -> FileDag:
    dag = FileDag()
    dag.update(data)
    dag.finish()
    return dag


def _tree(files: dict[str, bytes]) -> Tree:
    return Tree({path: _dag(data) for path, data in files.items()})


def _car(root: Cid, blocks: list[Block]) -> bytes:
    out = io.BytesIO()
    write_car(out, root, blocks)
    return out.getvalue()


def _hashed(data: bytes, codec: int) -> Block:
    return Cid(codec, hashlib.sha256(data).digest()), data


def _link(random: Random, block: Block) -> Link:
    cid, data = block
    size = len(data) if random.random() < 0.7 else random.choice((0, 1, 2**40, len(data) + 1))
    total = len(data) if random.random() < 0.7 else random.choice((0, 1, 2**41, size))
    return Link(cid, size, total)


def _node(random: Random, links: list[Link]) -> bytes:
    if random.random() < 0.5 and len(links) < 1000:
        return directory({f"{number}": link for number, link in enumerate(links)})[1]
    return encode_file(links)


def _judge_torrent(mutant: TorrentMutant, place: Path) -> None:
    del place
    found = read_torrent(mutant.data, blob=mutant.blob)
    hold(read_torrent(write_torrent(found), blob=mutant.blob) == found, "it is another one once it is written")
    hold(found.name == mutant.blob.sha256, "the file has another name")
    hold(found.size_bytes == mutant.blob.size_bytes, "the file has another size")
    hold(found.infohash == getattr(mutant.blob.addresses, "infohash", ""), "it has another infohash")
    hold(found.pieces_root == mutant.original.pieces_root, "it has another root")
    hold(found.piece_layer == mutant.original.piece_layer, "it has another piece layer")
    hold(read_info(found.info, blob=mutant.blob) == replace(found, piece_layer=b""), "its info says something else")
    if not mutant.is_resigned:
        hold(found == mutant.original, "it is not the original")


def _judge_car(mutant: CarMutant, place: Path) -> None:
    del place
    checked = check_car(io.BytesIO(mutant.data), mutant.root)
    stream = io.BytesIO(mutant.data)
    hold(read_header(stream) == mutant.root, "it names another root")
    blocks = dict(read_blocks(stream))
    hold(len(blocks) == checked.blocks, "it has other blocks")
    hold(sum(map(len, blocks.values())) == checked.size_bytes, "they have another size")
    found = dict(_files(mutant.root, "", blocks))
    if mutant.root == _tree(FILES).root.cid:
        hold(found == FILES, "it holds other files")


def _files(cid: Cid, path: str, blocks: dict[Cid, bytes]) -> Iterator[tuple[str, bytes]]:
    """Path and bytes of every file below a node."""
    if cid.codec == DAG_PB and read_node(blocks[cid]).is_folder:
        for link in read_node(blocks[cid]).links:
            yield from _files(link.cid, f"{path}/{link.name}" if path else link.name, blocks)
        return
    yield path, _content(cid, blocks)


def _content(cid: Cid, blocks: dict[Cid, bytes]) -> bytes:
    if cid.codec == RAW:
        hold(len(blocks[cid]) <= CHUNK_BYTES or not cid.sha256, "a chunk of more than 1 MiB")
        return blocks[cid]
    node = read_node(blocks[cid])
    parts = [_content(link.cid, blocks) for link in node.links]
    hold([len(part) for part in parts] == [link.size_bytes for link in node.links], "a link says another size")
    return b"".join(parts)


def _judge_node(data: bytes, place: Path) -> None:
    del place
    node = read_node(data)
    again = directory({link.name: link for link in node.links})[1] if node.is_folder else encode_file(node.links)
    hold(again == data, "another text means the same")


def _judge_cid(data: bytes, place: Path) -> None:
    del place
    text = data.decode("utf-8", "surrogateescape")
    hold(str(parse_cid(text)) == text, "another text means the same")
