"""A log in a folder: what it holds at every size, what it proves, and what it refuses."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import InputError, MalformedError, ProofError, SignatureError, StorageError
from edgekit.seal.key_files import write_key
from edgekit.seal.keys import generate
from edgekit.transparency.checkpoint import open_checkpoint
from edgekit.transparency.cosignature import cosign
from edgekit.transparency.log_files import LogFiles
from edgekit.transparency.merkle import EMPTY_ROOT, check_consistency, check_inclusion, leaf_hash
from edgekit.transparency.note import SignedNote, VerifierKey, read_note, write_note
from edgekit.transparency.tile_log import TileLog, found_log
from edgekit.transparency.tiles import LARGEST_ENTRY_BYTES, TILE_WIDTH, tile_name, tile_width
from tests.transparency.recursive_tree import mth

KEY = generate("ed25519")
ORIGIN = "example.org/log"
LOG = VerifierKey(ORIGIN, KEY.public)
SIZES = (1, 255, 256, 257, 65_536, 65_537)
"""Where tiles are partial, just full, and just begun, on one level and on two."""


def entries(start: int, stop: int) -> list[bytes]:
    return [b"entry %d" % number for number in range(start, stop)]


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> tuple[TileLog, dict[int, bytes]]:
    """A log that had a head at each of SIZES, and the files of its present one; signed heads by size."""
    log = found_log(tmp_path_factory.mktemp("large") / "log", ORIGIN, KEY)
    heads = {}
    for old, new in pairwise((0, *SIZES)):
        log.append(entries(old, new), KEY)
        heads[new] = log.note
    return log, heads


def test_a_new_log(tmp_path: Path) -> None:
    log = found_log(tmp_path / "a" / "log", ORIGIN, KEY)
    head = open_checkpoint(log.note, LOG)
    assert (head.size, head.root) == (0, EMPTY_ROOT)
    assert files(log.folder) == {"checkpoint"}
    assert list(log.entries()) == []
    assert log.find(leaf_hash(b"x")) is None
    with pytest.raises(InputError):
        log.prove(0)
    with pytest.raises(InputError, match="holds a log"):
        found_log(log.folder, ORIGIN, KEY)
    with pytest.raises(InputError, match="no log"):
        TileLog.open(tmp_path)
    with pytest.raises(InputError):
        found_log(tmp_path / "b", "no name", KEY)
    with pytest.raises(InputError):
        found_log(tmp_path / "b", ORIGIN, generate("p256"))
    assert not (tmp_path / "b").exists()


def test_roots_at_the_edges_of_tiles(large: tuple[TileLog, dict[int, bytes]]) -> None:
    log, heads = large
    everything = entries(0, SIZES[-1])
    for size, note in heads.items():
        head = open_checkpoint(note, LOG)
        assert (head.size, head.root) == (size, mth(everything[:size]))
        assert log.root_at(size) == head.root


def test_the_files_are_those_of_the_specification(large: tuple[TileLog, dict[int, bytes]]) -> None:
    """Every full tile, and the partial ones of every head that no full one has replaced."""
    wanted = {"checkpoint"}
    for size in SIZES:
        for level in range(3):
            for index in range(300):
                width = tile_width(level, index, size)
                if width and (width == TILE_WIDTH or tile_width(level, index, SIZES[-1]) < TILE_WIDTH):
                    wanted.add(tile_name(level, index, width))
                    wanted |= {tile_name("entries", index, width)} if level == 0 else set()
    assert files(large[0].folder) == wanted
    assert tile_name(0, 256, 1) in wanted
    assert tile_name(2, 0, 1) in wanted


def test_proofs_against_every_head(large: tuple[TileLog, dict[int, bytes]]) -> None:
    log, heads = large
    roots = {size: open_checkpoint(note, LOG).root for size, note in heads.items()}
    for size, root in roots.items():
        for index in {0, 1, 254, 255, 256, size // 2, size - 2, size - 1}:
            if 0 <= index < size:
                check_inclusion(leaf_hash(b"entry %d" % index), index, size, log.prove(index, size), root)
        for old, old_root in roots.items():
            if old <= size:
                check_consistency(old, old_root, size, root, log.prove_consistency(old, size))
    for bad in (-1, SIZES[-1] + 1):
        with pytest.raises(InputError):
            log.prove(0, bad)
        with pytest.raises(InputError):
            log.root_at(bad)


def test_entries_are_found_and_read(large: tuple[TileLog, dict[int, bytes]]) -> None:
    log, _ = large
    for index in (0, 255, 256, 65_535, 65_536):
        assert log.entry(index) == b"entry %d" % index
        assert log.find(leaf_hash(b"entry %d" % index)) == index
    assert log.find(leaf_hash(b"nothing")) is None
    assert list(log.entries(65_500)) == entries(65_500, 65_537)


@given(batches=st.lists(st.integers(0, 300), max_size=6))
def test_batches_of_any_sizes_give_one_tree(tmp_path_factory: pytest.TempPathFactory, batches: list[int]) -> None:
    log = found_log(tmp_path_factory.mktemp("batches") / "log", ORIGIN, KEY)
    size = 0
    for count in batches:
        log.append(entries(size, size + count), KEY)
        size += count
        again = TileLog.open(log.folder)
        assert again.checkpoint.root == mth(entries(0, size))
        assert list(again.entries()) == entries(0, size)


def test_of_equal_entries_the_newest_is_found(tmp_path: Path) -> None:
    log = found_log(tmp_path / "log", ORIGIN, KEY)
    log.append([b"a", b"b", b"a", b"c"], KEY)
    assert log.find(leaf_hash(b"a")) == 2


def test_an_append_is_whole_or_nothing(tmp_path: Path) -> None:
    log = found_log(tmp_path / "log", ORIGIN, KEY)
    log.append([b"a"], KEY)
    before = files(log.folder)
    with pytest.raises(InputError, match="65536 bytes"):
        log.append([b"b", bytes(LARGEST_ENTRY_BYTES + 1)], KEY)
    with pytest.raises(SignatureError):
        log.append([b"b"], generate("ed25519"))
    assert (files(log.folder), TileLog.open(log.folder).checkpoint.size) == (before, 1)
    assert log.append([], KEY).size == 1
    assert log.append([bytes(LARGEST_ENTRY_BYTES)], KEY).size == 2


@pytest.mark.parametrize(
    "name", ["tile/0/001.p/44", "tile/1/000.p/1", "tile/entries/001.p/44", "checkpoint"], ids=lambda name: str(name)
)
def test_a_damaged_log_is_not_appended_to(tmp_path: Path, name: str) -> None:
    """Every bit of the files that an append goes on from; a bit of the checkpoint may make it no checkpoint."""
    log = found_log(tmp_path / "log", ORIGIN, KEY)
    log.append(entries(0, 300), KEY)
    place, head = log.folder / name, log.note
    good = place.read_bytes()
    for bit in range(0, 8 * len(good), 97):
        place.write_bytes(bytes(byte ^ (1 << bit % 8 if at == bit // 8 else 0) for at, byte in enumerate(good)))
        with pytest.raises((ProofError, MalformedError, SignatureError)):
            TileLog.open(log.folder).append([b"more"], KEY)
        if "entries" not in name:
            with pytest.raises((ProofError, MalformedError, SignatureError)):
                TileLog.open(log.folder).finish(KEY)
    place.write_bytes(good[:-1])
    with pytest.raises((ProofError, MalformedError)):
        TileLog.open(log.folder).append([b"more"], KEY)
    place.write_bytes(good)
    assert (log.folder / "checkpoint").read_bytes() == head
    assert TileLog.open(log.folder).append([b"more"], KEY).size == 301


def test_damage_further_back_is_found_by_who_reads_it(tmp_path: Path) -> None:
    log = found_log(tmp_path / "log", ORIGIN, KEY)
    log.append(entries(0, 600), KEY)
    for name in ("tile/0/000", "tile/entries/000"):
        place = log.folder / name
        good = place.read_bytes()
        place.write_bytes(good[:40] + bytes([good[40] ^ 1]) + good[41:])
        with pytest.raises((ProofError, MalformedError)):
            list(TileLog.open(log.folder).entries(0, 10))
        place.write_bytes(good)
    assert list(TileLog.open(log.folder).entries()) == entries(0, 600)


def test_a_checkpoint_with_cosignatures_is_kept(tmp_path: Path) -> None:
    log, witness = found_log(tmp_path / "log", ORIGIN, KEY), generate("ed25519")
    log.append([b"a"], KEY)
    plain = read_note(log.note)
    cosigned = plain.signed_also([cosign(plain.text, "w.example", witness, 5)])
    log.keep(write_note(cosigned))
    assert TileLog.open(log.folder).note == write_note(cosigned)
    spoiled = replace(plain.signatures[0], signature=bytes(64))
    for fewer in (plain, SignedNote(plain.text, (spoiled,))):
        log.keep(write_note(fewer))
        assert TileLog.open(log.folder).note == write_note(cosigned)
    log.append([b"b"], KEY)
    with pytest.raises(InputError, match="not the log's checkpoint"):
        log.keep(write_note(cosigned))
    assert len(read_note(log.note).signatures) == 1


def test_cosignatures_from_two_sides_are_all_kept(tmp_path: Path) -> None:
    """Two processes asked different witnesses about one head, and neither knows what the other one got."""
    log = found_log(tmp_path / "log", ORIGIN, KEY)
    plain = read_note(log.note)
    for name in ("ada", "bob"):
        log.keep(write_note(plain.signed_also([cosign(plain.text, name, generate("ed25519"), 5)])))
    assert [each.name for each in read_note(TileLog.open(log.folder).note).signatures] == [ORIGIN, "ada", "bob"]


def test_another_key_is_told_as_such(tmp_path: Path) -> None:
    log = found_log(tmp_path / "log", ORIGIN, KEY)
    with pytest.raises(SignatureError, match=r"this is not the key of the log example\.org/log") as caught:
        log.append([b"a"], generate("ed25519"))
    assert "that the log was begun with" in caught.value.hint


@pytest.mark.parametrize("what", ["pipe", "folder", "link"])
def test_what_is_no_file_is_not_read(tmp_path: Path, what: str) -> None:
    """In the place of `.next` of a log that somebody handed over: nobody waits for what never comes."""
    log = found_log(tmp_path / "log", ORIGIN, KEY)
    place = log.folder / ".next"
    if what == "pipe":
        os.mkfifo(place)
    elif what == "folder":
        place.mkdir()
    else:
        place.symlink_to(log.folder / "checkpoint")
    told: list[str] = []

    def look() -> None:
        try:
            told.append(str(log.is_unfinished))
        except StorageError as error:
            told.append(str(error))

    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    looking.join(10.0)
    assert str(place) in told[0]


def test_two_writers_exclude_one_another(tmp_path: Path) -> None:
    log = found_log(tmp_path / "log", ORIGIN, KEY)
    with LogFiles(log.folder).locked():
        for write in (lambda: log.append([b"a"], KEY), lambda: log.keep(log.note)):
            with pytest.raises(StorageError, match="another process"):
                write()
        assert list(log.entries()) == []
    other = TileLog.open(log.folder)
    log.append([b"a"], KEY)
    assert other.append([b"b"], KEY).root == mth([b"a", b"b"])


WRITER = """
import os, sys
from pathlib import Path
from edgekit.errors import StorageError
from edgekit.seal.key_files import read_private
from edgekit.transparency.tile_log import TileLog
folder, number = Path(sys.argv[1]), int(sys.argv[2])
key = read_private(folder.with_name("log.key"), lambda: b"")
for at in range(20):
    while True:
        try:
            TileLog.open(folder).append([b"%d %d" % (number, at)], key)
            break
        except StorageError:
            os.sched_yield()
"""


def test_writers_in_processes_of_their_own(tmp_path: Path) -> None:
    """Each entry lands once, whoever comes first."""
    write_key(KEY, tmp_path / "log.key", None)
    log = found_log(tmp_path / "log", ORIGIN, KEY)
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(log.folder), str(number)]) for number in range(3)]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    assert sorted(TileLog.open(log.folder).entries()) == sorted(
        b"%d %d" % (number, at) for number in range(3) for at in range(20)
    )


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        found_log(tmp_path / "file" / "log", ORIGIN, KEY)
    log = found_log(tmp_path / "log", ORIGIN, KEY)
    (log.folder / "tile").write_text("in the way")
    with pytest.raises(StorageError, match="cannot make folder"):
        log.append([b"a"], KEY)
    (log.folder / "tile").unlink()
    assert log.append([b"a"], KEY).size == 1


def test_no_link_is_followed_when_writing(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    log = found_log(tmp_path / "log", ORIGIN, KEY)
    (log.folder / "tile" / "0" / "000.p").mkdir(parents=True)
    (log.folder / "tile" / "0" / "000.p" / "1").symlink_to(victim)
    with pytest.raises(StorageError):
        log.append([b"a"], KEY)
    assert victim.read_text() == "mine"
