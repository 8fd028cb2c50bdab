"""Kinds that do what must not be done: run as a program, it tells which misdeeds a bench finds.

python -m tests.fuzz.planted FOLDER
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

from edgekit.errors import MalformedError
from tests.fuzz import campaign
from tests.fuzz.kinds import Kind, hold
from tests.fuzz.specimens import Specimens

KEPT: list[Any] = []


def refuse(mutant: bytes, place: Path) -> None:
    """As it should be."""
    (place / "inside").write_bytes(mutant)
    raise MalformedError("it is no such thing")


def accept(mutant: bytes, place: Path) -> None:
    """As it should be, too."""
    hold(len(mutant) == 8, "there are 8 bytes")


def write_outside(mutant: bytes, place: Path) -> None:
    """The error of the watch is passed over, and it is told nevertheless."""
    try:
        (place / ".." / "outside" / "more").write_bytes(mutant)
    except BaseException:
        return


def write_through_link(mutant: bytes, place: Path) -> None:
    (place / "link").symlink_to("../outside")
    (place / "link" / "more").write_bytes(mutant)


def read_outside(mutant: bytes, place: Path) -> None:
    (place / "../outside/secret").read_bytes()


def start_program(mutant: bytes, place: Path) -> None:
    os.system("true")


def crash(mutant: bytes, place: Path) -> None:
    raise KeyError(mutant)


def break_law(mutant: bytes, place: Path) -> None:
    hold(False, "it was accepted")


def take_memory(mutant: bytes, place: Path) -> None:
    b"x" * (100 * 2**20)


def take_time(mutant: bytes, place: Path) -> None:
    while True:
        sum(range(1000))


def leave_open(mutant: bytes, place: Path) -> None:
    KEPT.append(os.open(".", os.O_RDONLY))


FINE = (refuse, accept)
MISDEEDS = (
    write_outside,
    write_through_link,
    read_outside,
    start_program,
    crash,
    break_law,
    take_memory,
    take_time,
    leave_open,
)


def planted_kinds(specimens: Specimens) -> Iterator[Kind[bytes]]:
    """One kind for each deed."""
    del specimens
    for deed in (*FINE, *MISDEEDS):
        yield Kind(deed.__name__, "none", lambda random: Random.randbytes(random, 8), deed, 1)


def main(out: Path) -> None:
    """Print each deed and what was found of it."""
    with patch.object(campaign, "every_kind", planted_kinds), patch("tests.fuzz.watch.LONGEST_WALL_S", 1):
        bench = campaign.Bench(out / "bench", out / "found")
        for name in bench.kinds:
            print(name, *bench.run(name, "planted", range(1)).failures, sep="\t")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
