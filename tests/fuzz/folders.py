"""Trees of files as values: what a mutated folder holds, written down and read back."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from random import Random

from tests.fuzz import hostile


@dataclass(frozen=True)
class Link:
    """A symbolic link."""

    target: str


class Odd(Enum):
    """Something that is no file."""

    FOLDER = "folder"
    PIPE = "pipe"


Entry = bytes | Link | Odd
Tree = dict[str, Entry]
"""Path below the folder -> what is there."""

OUTSIDE = ("../../outside", "../../outside/secret", "/etc/passwd", "..", ".", "nowhere", "../../../../x")
"""Where links lead; `outside` lies beside every case's folder."""


def write_tree(folder: Path, tree: Mapping[str, Entry]) -> None:
    """Make a folder of it; what cannot be there because something else is in its way is left out."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, entry in tree.items():
        place = folder / name
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(entry, bytes):
                place.write_bytes(entry)
            elif isinstance(entry, Link):
                place.symlink_to(entry.target)
            elif entry is Odd.FOLDER:
                place.mkdir()
            else:
                os.mkfifo(place)
        except (OSError, ValueError):
            continue


def read_tree(folder: Path) -> Tree:
    """What a folder holds, at any depth; empty folders count for nothing."""
    found: Tree = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[name] = Link(os.readlink(path))
        elif path.is_file():
            found[name] = path.read_bytes()
    return found


def mutate_names(random: Random, tree: Tree, *, others: Mapping[str, Entry], is_foreign: bool = True) -> None:
    """Change what is where, and no content: entries go, come, move, and become something else.

    Args:
        random: Decides.
        tree: It.
        others: Another tree, of which entries may be taken.
        is_foreign: A stranger made the folder, who may have put links and pipes there; else it was only damaged.
    """
    names = sorted(tree)
    how = random.randrange(7)
    name = random.choice(names) if names else "x"
    if how == 0:
        tree.pop(name, None)
    elif how == 1 and len(names) > 1:
        other = random.choice(names)
        tree[name], tree[other] = tree[other], tree[name]
    elif how == 2 and others:
        taken = random.choice(sorted(others))
        tree[random.choice((taken, name))] = others[taken]
    elif how == 3:
        tree[file_name(random, name)] = tree[name] if names else b""
    elif how == 4:
        tree[file_name(random, name)] = random.randbytes(30)
    elif how == 5 and is_foreign:
        tree[name] = Link(random.choice((*OUTSIDE, os.path.basename(random.choice(names or ["x"])))))
    else:
        tree[name] = random.choice((*Odd, b"") if is_foreign else (Odd.FOLDER, b""))


def file_name(random: Random, beside: str) -> str:
    """A name that a file system takes, and a bundle or a node hardly, in the folder of another."""
    drawn = hostile.name(random).replace("\0", "?").replace("/", "_").encode("utf-8", "replace").decode()[:200]
    folder = beside.rpartition("/")[0]
    odd = random.choice((drawn, drawn, "0" * 64, beside.rpartition("/")[2].upper(), f".{beside.rpartition('/')[2]}"))
    return f"{folder}/{odd}" if folder and odd not in ("", ".", "..") else f"x{odd.strip('.')}"
