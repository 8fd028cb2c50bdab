"""The end of the world at each step of an append: the log goes on, and no two heads of one size are ever signed.

`Stopping` ends a process at a step; with `power`, what was not synced is lost as a disk may lose it. The key remembers
everything that it signed: also a head that nobody ever saw counts.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgekit.errors import InputError, MalformedError, SignatureError, StorageError
from edgekit.seal.key_files import write_key
from edgekit.seal.keys import MemoryKey, PrivateKey, generate
from edgekit.transparency.checkpoint import Checkpoint, open_checkpoint, read_checkpoint
from edgekit.transparency.growth import Growth
from edgekit.transparency.log_files import LogFiles
from edgekit.transparency.merkle import leaf_hash
from edgekit.transparency.note import SignedNote, VerifierKey, check_signature, read_note, sign, write_note
from edgekit.transparency.tile_log import TileLog, found_log
from edgekit.transparency.tile_reader import TileReader
from edgekit.transparency.tile_source import StoredTiles
from edgekit.transport.file import FileTransport
from tests.transparency.recursive_tree import mth

ORIGIN = "example.org/log"
MOST_STEPS = 200
BEGUN = [b"entry %d" % number for number in range(250)]
MORE = [b"more %d" % number for number in range(10)]
"""Fills a tile, and begins the next one, on two levels."""
OTHER = [b"other %d" % number for number in range(8)]
"""What is appended after the end of the world instead: fewer, and different."""


class RememberingKey(PrivateKey):
    """Remembers what it signed."""

    def __init__(self, key: MemoryKey) -> None:
        self._key = key
        self.public = key.public
        self.signed: list[Checkpoint] = []

    def sign(self, data: bytes) -> bytes:
        if not data.startswith(b"edgekit.decided/1\n"):  # says what will be signed, and is no checkpoint
            self.signed.append(read_checkpoint(data.decode()))
        return self._key.sign(data)


class EndOfTheWorld(BaseException):
    """Nothing catches it."""


class Stopping(LogFiles):
    """Ends the world before a step.

    Attributes:
        left: Steps until then.
    """

    def __init__(self, folder: Path, left: int, *, power: bool) -> None:
        super().__init__(folder)
        self.left = left
        self._power = power
        self._unsynced: list[Path] = []
        self._unnamed: dict[Path, bytes | None] = {}
        """What a name stood for before its folder was synced."""

    def before(self, step: str, path: Path) -> None:
        if not self.left:
            if self._power:
                self._lose()
            raise EndOfTheWorld
        self.left -= 1
        if step == "write":
            if not path.exists():
                self._unnamed[path] = None
            self._unsynced.append(path)
        elif step == "sync" and path.is_file():
            self._unsynced = [other for other in self._unsynced if other != path]
        elif step == "sync":
            self._unnamed = {name: old for name, old in self._unnamed.items() if name.parent != path}
        elif step == "rename" or (step == "remove" and path.is_file()):
            self._unnamed.setdefault(path, path.read_bytes() if path.is_file() else None)

    def _lose(self) -> None:
        """Content that was not synced is cut, names in folders that were not are what they were."""
        for path in self._unsynced:
            if path.is_file():
                os.truncate(path, path.stat().st_size // 2)
        for path, old in self._unnamed.items():
            if old is None:
                path.unlink(missing_ok=True)
            elif path.parent.is_dir():
                path.write_bytes(old)


@pytest.fixture
def key() -> RememberingKey:
    return RememberingKey(generate("ed25519"))


def ends(folder: Path, key: RememberingKey, *, power: bool) -> Iterator[tuple[int, TileLog, bool]]:
    """A fresh log of BEGUN for each step of appending MORE: the step, the log after the end, and whether it ended."""
    for step in range(MOST_STEPS):
        key.signed.clear()
        place = folder / str(step)
        found_log(place, ORIGIN, key).append(BEGUN, key)
        ended = False
        try:
            TileLog(Stopping(place, step, power=power)).append(MORE, key)
        except EndOfTheWorld:
            ended = True
        yield step, TileLog.open(place), ended
        if not ended:
            return
    raise AssertionError("the append has more steps than anybody counted")


def check_signed(key: RememberingKey, entries: list[bytes]) -> None:
    """Everything ever signed is a beginning of what the log now holds."""
    for head in key.signed:
        assert head.root == mth(entries[: head.size]), head
    assert len({head.size: head for head in key.signed}) == len(set(key.signed))


@pytest.mark.parametrize("power", [False, True], ids=["kill", "power cut"])
def test_the_end_at_each_step_and_then_other_entries(tmp_path: Path, key: RememberingKey, power: bool) -> None:
    outcomes = set()
    for _, log, ended in ends(tmp_path, key, power=power):
        held = list(log.entries())
        assert held in (BEGUN, BEGUN + MORE)
        decided = log.is_unfinished
        assert not (decided and held != BEGUN)
        outcomes.add((len(held), decided, ended))
        expected = (BEGUN + MORE if decided else held) + OTHER
        log.append(OTHER, key)
        assert list(TileLog.open(log.folder).entries()) == expected
        assert not log.is_unfinished
        check_signed(key, expected)
        assert log.append([b"last"], key).root == mth([*expected, b"last"])
    assert (250, False, True) in outcomes
    assert (250, True, True) in outcomes
    assert (260, False, False) in outcomes


def test_what_was_decided_is_finished(tmp_path: Path, key: RememberingKey) -> None:
    """A publisher who asks first whether the entry is there does not log it twice."""
    seen = 0
    for _, log, _ in ends(tmp_path, key, power=False):
        seen += log.is_unfinished
        log.finish(key)
        if log.find(leaf_hash(MORE[-1])) is None:
            log.append(MORE, key)
        assert list(log.entries()) == BEGUN + MORE
        check_signed(key, BEGUN + MORE)
    assert seen > 1


def test_a_head_that_somebody_else_decided_is_not_signed(tmp_path: Path, key: RememberingKey) -> None:
    """Whoever may write to the folder, and lacks the key, gets no signature by it: not of this log, nor of another."""
    folder = tmp_path / "log"
    log = found_log(folder, ORIGIN, key).open(folder)
    log.append(BEGUN, key)
    signed, head = list(key.signed), log.checkpoint
    growth = Growth(LogFiles(folder), TileReader(head.size, head.root, StoredTiles(FileTransport(folder))))
    growth.add(b"evil")
    root = growth.end()
    forger = generate("ed25519")
    for origin in (ORIGIN, "victim.example/log"):
        text = Checkpoint(origin, growth.size, root).text
        decided = f"edgekit.decided/1\n{text}"
        for planted in (
            text.encode(),
            write_note(SignedNote(decided, (sign(decided, ORIGIN, forger),))),
            write_note(SignedNote(decided, read_note(log.note).signatures)),
            write_note(SignedNote(text, read_note(log.note).signatures)),
            bytes(10**6),
        ):
            (folder / ".next").write_bytes(planted)
            with pytest.raises((SignatureError, MalformedError), match=r"no head that this log decided"):
                log.append([b"good"], key)
            assert (key.signed, list(TileLog.open(folder).entries())) == (signed, BEGUN)
    (folder / ".next").unlink()
    assert log.append([b"good"], key).size == len(BEGUN) + 1


def test_what_is_left_of_a_log_is_not_begun_again(tmp_path: Path, key: RememberingKey) -> None:
    """Its key had decided something, and a second log by that name would be the other history."""
    for name in ("checkpoint", ".next", "tile"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / name).write_bytes(b"")
        with pytest.raises(InputError, match="holds a log already"):
            found_log(folder, ORIGIN, key)


def test_what_is_decided_is_no_checkpoint(tmp_path: Path, key: RememberingKey) -> None:
    """What lies in `.next` before a head is signed convinces nobody, whatever is cut off of it."""
    vkey = VerifierKey(ORIGIN, key.public)
    for _, log, _ in ends(tmp_path, key, power=False):
        if log.is_unfinished:
            break
    note = (log.folder / ".next").read_bytes()
    check_signature(read_note(note), vkey)
    for data in (note, note.removeprefix(b"edgekit.decided/1\n")):
        with pytest.raises((SignatureError, MalformedError)):
            open_checkpoint(data, vkey)
    assert all(head.size != 260 for head in key.signed)


def test_the_end_while_finishing(tmp_path: Path, key: RememberingKey) -> None:
    """Twice in a row: at each step of the finishing, and of the append after it."""
    for _, log, _ in ends(tmp_path, key, power=True):
        if log.is_unfinished:
            break
    for step in range(MOST_STEPS):
        try:
            TileLog(Stopping(log.folder, step, power=True)).append([b"x"] * (step + 1), key)
        except EndOfTheWorld:
            continue
        break
    entries = list(TileLog.open(log.folder).entries())
    assert entries[:260] == BEGUN + MORE
    check_signed(key, entries)


def test_the_end_while_a_log_is_founded(tmp_path: Path, key: RememberingKey) -> None:
    """What is left is no log yet, and it is founded again."""
    for step in range(4):
        folder = tmp_path / str(step)
        folder.mkdir()
        with pytest.raises(EndOfTheWorld):
            Stopping(folder, min(step, 2), power=True).replace("checkpoint", b"half")
        assert found_log(folder, ORIGIN, key).append([b"a"], key).size == 1


def test_a_disk_that_is_full_changes_nothing(tmp_path: Path, key: RememberingKey) -> None:
    class Full(LogFiles):
        left = 3

        def before(self, step: str, path: Path) -> None:
            self.left -= step == "write"
            if not self.left:
                raise OSError(28, "No space left on device")

    found_log(tmp_path / "log", ORIGIN, key).append(BEGUN, key)
    with pytest.raises(StorageError, match="No space left") as caught:
        TileLog(Full(tmp_path / "log")).append(MORE, key)
    assert caught.value.hint == "free some space"
    log = TileLog.open(tmp_path / "log")
    assert log.append(OTHER, key).size == 258
    check_signed(key, BEGUN + OTHER)


KILLED = """
import os, signal, sys
from pathlib import Path
from edgekit.seal.key_files import read_private
from edgekit.transparency.log_files import LogFiles
from edgekit.transparency.tile_log import TileLog

class Killed(LogFiles):
    left = int(sys.argv[2])
    def before(self, step, path):
        if not self.left:
            os.kill(os.getpid(), signal.SIGKILL)
        self.left -= 1

folder = Path(sys.argv[1])
key = read_private(folder.with_name("log.key"), lambda: b"")
log = TileLog(Killed(folder))
while True:
    log.append([b"killed %d" % number for number in range(100)], key)
"""


@pytest.mark.parametrize("step", [0, 17, 44, 90])
def test_a_process_that_is_killed(tmp_path: Path, step: int) -> None:
    """Really, with SIGKILL, wherever it is in its appends; its lock is gone with it."""
    key = generate("ed25519")
    write_key(key, tmp_path / "log.key", None)
    log = found_log(tmp_path / "log", ORIGIN, key)
    done = subprocess.run([sys.executable, "-c", KILLED, str(log.folder), str(step)], timeout=60)
    assert done.returncode == -signal.SIGKILL
    remembering = RememberingKey(key)
    log = TileLog.open(log.folder)
    assert log.checkpoint.size % 100 == 0
    log.append(OTHER, remembering)
    entries = list(log.entries())
    assert entries == [b"killed %d" % number for number in range(100)] * (len(entries) // 100) + OTHER
    check_signed(remembering, entries)
