"""A file tree in the format that Linux unpacks into memory when it boots: cpio, "newc".

See Documentation/driver-api/early-userspace/buffer-format.rst of Linux.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import IO

ALIGNMENT = 4
CONSOLE = (5, 1)
"""Device number of /dev/console, which the kernel opens for the first process."""


class CpioWriter:
    """Writes entries, all owned by root; a folder has to come before what is in it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._entries = 0

    def add(self, name: str, mode: int, contents: bytes = b"", *, device: tuple[int, int] = (0, 0)) -> None:
        """Write one entry.

        Args:
            name: Path from the root, without a slash before it.
            mode: Kind and permissions, as in `stat`.
            contents: Of a file, or the target of a symbolic link.
            device: Major and minor number of a device node.
        """
        self._entries += 1
        path = name.encode() + b"\0"
        fields = (self._entries, mode, 0, 0, 1, 0, len(contents), 0, 0, *device, len(path), 0)
        self._pad(b"070701" + b"".join(b"%08X" % field for field in fields) + path)
        self._pad(contents)

    def add_tree(self, folder: Path, inside: str = "") -> None:
        """Write everything in a folder, sorted.

        Args:
            folder: Its files, folders and symbolic links.
            inside: Path from the root that it is put at; "" for the root itself.
        """
        if inside:
            self.add(inside, stat.S_IFDIR | 0o755)
        for path in sorted(folder.rglob("*")):
            name = (Path(inside) / path.relative_to(folder)).as_posix()
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode):
                self.add(name, stat.S_IFLNK | 0o777, os.readlink(path).encode())
            elif stat.S_ISDIR(mode):
                self.add(name, stat.S_IFDIR | 0o755)
            else:
                self.add(name, stat.S_IFREG | (mode & 0o755), path.read_bytes())

    def finish(self) -> None:
        """Write what marks the end."""
        self.add("TRAILER!!!", 0)

    def _pad(self, part: bytes) -> None:
        self._stream.write(part + bytes(-len(part) % ALIGNMENT))


def write_initramfs(out: Path, trees: dict[str, Path]) -> None:
    """Write an initramfs with a console.

    Args:
        out: The file to write.
        trees: Path from the root -> folder whose contents go there; "" is the root, and comes first.

    Raises:
        OSError: Something cannot be read or written.
    """
    with out.open("wb") as stream:
        writer = CpioWriter(stream)
        writer.add("dev", stat.S_IFDIR | 0o755)
        writer.add("dev/console", stat.S_IFCHR | 0o600, device=CONSOLE)
        for inside, folder in trees.items():
            writer.add_tree(folder, inside)
        writer.finish()
