"""A copy of the hashes of the log, so that others can see that it only grew where the log itself is out of reach.

Hash tiles alone: entries are for auditors, who ask the log. Each tile is held against the newest head that the node has
verified, which is written last: a copy that was cut off is that of the head before.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgekit.errors import TransportError, TrustError
from edgekit.node.disk import Disk, clear, make_folders, save
from edgekit.node.keeping import Share
from edgekit.node.log_policy import log_memory, policy_of
from edgekit.node.opened import Node
from edgekit.node.transparency import LOG
from edgekit.transparency.checkpoint import Checkpoint
from edgekit.transparency.log_reader import CHECKPOINT, LogReader
from edgekit.transparency.tiles import TILE_HEIGHT, TILE_WIDTH, tile_name, tile_width
from edgekit.transport.opening import opened
from edgekit.transport.transport import Transport

MOST_TILES = 1024
"""8 MiB, of a log of some 260,000 entries; of a larger one the head alone is copied."""


def copy_log(node: Node, share: Share, mirrors: Sequence[Transport]) -> None:
    """Bring the copy of the log that the node's policy names first up to the newest head that the node has verified.

    Raises:
        StorageError: The system refuses.
        EdgekitError: As `policy_of`.
    """
    settings = node.settings.transparency
    if settings is None:
        return
    log = policy_of(node).logs[0].key
    newest = log_memory(node.folder).newest(log)
    if newest is None or _text(share.log / CHECKPOINT) == newest.note:
        return
    with opened(settings.logs) as logs:
        readers = [LogReader(place, log, "" if logs else LOG) for place in logs or mirrors]
        for reader in readers:
            try:
                _copy(node.world.disk, share, reader, newest.checkpoint)
            except (TrustError, TransportError) as error:
                node.world.tell(f"the log is not copied for others: {reader.url}: {error}")
                continue
            save(node.world.disk, share.log / CHECKPOINT, newest.note)
            return


def copied_files(share: Share) -> dict[str, bytes]:
    """The files of the copy, by their names in a channel."""
    if not (share.log / CHECKPOINT).is_file():
        return {}
    paths = (path for path in sorted(share.log.rglob("*")) if path.is_file() and not path.name.endswith(".tmp"))
    return {f"{LOG}{path.relative_to(share.log).as_posix()}": path.read_bytes() for path in paths}


def _copy(disk: Disk, share: Share, reader: LogReader, head: Checkpoint) -> None:
    wanted: dict[Path, tuple[int, int]] = {}
    for level, index in _tiles(head.size):
        width = tile_width(level, index, head.size)
        wanted[share.log / tile_name(level, index, width)] = level, index
    if len(wanted) > MOST_TILES:
        wanted = {}
    tree = reader.tree(head)
    for path, (level, index) in wanted.items():
        if not path.is_file():
            data = tree.tile(level, index).to_bytes()
            make_folders(disk, path.parent, below=share.path)
            save(disk, path, data)
    make_folders(disk, share.log, below=share.path)
    for path in sorted(share.log.rglob("*")):
        if path.is_file() and path not in wanted and path != share.log / CHECKPOINT:
            clear(disk, path)


def _tiles(size: int) -> list[tuple[int, int]]:
    """Level and number of every tile of hashes of a log."""
    found: list[tuple[int, int]] = []
    level = 0
    while (count := size >> TILE_HEIGHT * level) > 0:
        found.extend((level, index) for index in range(-(-count // TILE_WIDTH)))
        if len(found) > MOST_TILES:
            break
        level += 1
    return found


def _text(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
