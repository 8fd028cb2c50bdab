"""Disks that fail: at a step the process is killed, the disk is full, or what was not synced is lost."""

from __future__ import annotations

import errno
import os
import random
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from edgekit.node.disk import Disk


class Counting(Disk):
    """Counts steps; at number `at` it does something else instead."""

    def __init__(self, at: int = 0, then: Callable[[], None] = lambda: None, *, on: bool = False) -> None:
        """Do `then` before step `at`, and before each that follows where `on` says so."""
        self.steps: list[str] = []
        self.at = at
        self._then = then
        self._on = on

    def before(self, step: str, path: Path) -> None:
        self.steps.append(f"{step} {path.name}")
        if self.at and (len(self.steps) == self.at or (self._on and len(self.steps) > self.at)):
            self._then()


class Tearing(Counting):
    """Killed in the middle of a write or a copy."""

    def write(self, path: Path, data: bytes, *, mode: int = 0o644) -> None:
        if len(self.steps) + 1 == self.at:
            path.write_bytes(data[: len(data) // 2])
        super().write(path, data, mode=mode)

    def copy(self, source: Path, target: Path) -> None:
        if len(self.steps) + 1 == self.at:
            target.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
        super().copy(source, target)


def die() -> NoReturn:
    """As `kill -9`."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("still there")


def be_full() -> NoReturn:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@dataclass(eq=False)
class Item:
    """A file, a folder or a link: as programs see it, and as it is on the disk for good.

    Attributes:
        seen: Content, names or target, as programs see it.
        kept: The same on the disk; None where nothing is yet.
    """

    seen: bytes | dict[str, Item] | str
    kept: bytes | dict[str, Item] | str | None = None

    def sync(self) -> None:
        self.kept = dict(self.seen) if isinstance(self.seen, dict) else self.seen


Keep = Callable[[], bool]
"""Whether something that was not synced survives nevertheless: asked for each thing anew."""


@dataclass
class Journal(Disk):
    """Carries every step out, and remembers it, so that the disk can be shown as a power cut would leave it.

    What others write into the folder (`transport.fetch`) counts as written when a step first touches it.

    Attributes:
        root: The node's folder.
        log: Step, path below the root, and what it was done with.
        stop: Counts the steps, and may end the run before one.
    """

    root: Path
    log: list[tuple[str, Path, object]] = field(default_factory=list)
    stop: Counting = field(default_factory=Counting)

    def before(self, step: str, path: Path) -> None:
        self.stop.before(step, path)

    def _note(self, step: str, path: Path, argument: object = None) -> None:
        self.log.append((step, path.relative_to(self.root), argument))

    def make_folder(self, path: Path) -> None:
        super().make_folder(path)
        self._note("make folder", path)

    def write(self, path: Path, data: bytes, *, mode: int = 0o644) -> None:
        super().write(path, data, mode=mode)
        self._note("write", path, data)

    def copy(self, source: Path, target: Path) -> None:
        super().copy(source, target)
        self._note("write", target, target.read_bytes())

    def sync(self, path: Path) -> None:
        super().sync(path)
        self._note("sync", path, path.read_bytes() if path.is_file() else None)

    def rename(self, source: Path, target: Path) -> None:
        super().rename(source, target)
        self._note("rename", target, source.relative_to(self.root))

    def link(self, path: Path, target: str) -> None:
        super().link(path, target)
        self._note("link", path, target)

    def join(self, source: Path, target: Path) -> None:
        super().join(source, target)
        self._note("write", target, target.read_bytes())
        self._note("sync", target, target.read_bytes())  # the file is on the disk already; its name need not be

    def remove(self, path: Path) -> None:
        super().remove(path)
        self._note("remove", path)


def as_items(path: Path) -> Item:
    """A folder that is on the disk for good."""
    if path.is_symlink():
        item = Item(os.readlink(path))
    elif path.is_dir():
        item = Item({child.name: as_items(child) for child in path.iterdir()})
    else:
        item = Item(path.read_bytes())
    item.sync()
    return item


def apply(root: Item, step: str, path: Path, argument: object) -> None:
    """Do to items what was done to files."""
    if path == Path():
        root.sync()
        return
    parent = _find(root, path.parent)
    assert isinstance(parent.seen, dict)
    names = parent.seen
    if step == "make folder":
        names.setdefault(path.name, Item({}))
    elif step == "write":
        assert isinstance(argument, bytes)
        if path.name in names:
            names[path.name].seen = argument
        else:
            names[path.name] = Item(argument)
    elif step == "sync":
        if path.name not in names:
            assert isinstance(argument, bytes)
            names[path.name] = Item(argument)
        names[path.name].sync()
    elif step == "rename":
        assert isinstance(argument, Path)
        source = _find(root, argument.parent)
        assert isinstance(source.seen, dict)
        names[path.name] = source.seen.pop(argument.name)
    elif step == "link":
        assert isinstance(argument, str)
        names[path.name] = Item(argument, argument)
    else:
        names.pop(path.name, None)


def _find(root: Item, path: Path) -> Item:
    for part in path.parts:
        assert isinstance(root.seen, dict)
        root = root.seen.setdefault(part, Item({}))
    return root


def after_power_cut(root: Item, target: Path, *, names: Keep, contents: Keep) -> None:
    """Write what a power cut leaves.

    Args:
        root: The items.
        target: Where.
        names: For each folder: its names are those that programs saw last, though it was not synced.
        contents: The same for each file; one that was never synced is empty otherwise.
    """
    target.mkdir()
    entries = root.seen if names() or root.kept is None else root.kept
    assert isinstance(entries, dict)
    for name, item in entries.items():
        place = target / name
        if isinstance(item.seen, dict):
            after_power_cut(item, place, names=names, contents=contents)
        elif isinstance(item.seen, str):
            place.symlink_to(item.seen)
        else:
            left = item.seen if contents() else item.kept
            place.write_bytes(left if isinstance(left, bytes) else b"")
            place.chmod(0o600 if name == "identity.key" else 0o644)


def by_chance(seed: int) -> Keep:
    chance = random.Random(seed)
    return lambda: chance.random() < 0.5
