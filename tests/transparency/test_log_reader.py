"""Reading a log from a mirror that may be anything: damaged, stale, forked, endless, silent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import (
    AbsentError,
    InputError,
    LengthError,
    MalformedError,
    ProofError,
    SignatureError,
    TransferError,
    TrustError,
)
from edgekit.seal.keys import generate
from edgekit.transparency.checkpoint import Checkpoint, open_checkpoint
from edgekit.transparency.log_reader import LogReader
from edgekit.transparency.merkle import check_consistency, check_inclusion, leaf_hash
from edgekit.transparency.note import VerifierKey
from edgekit.transparency.tile_log import TileLog, found_log
from edgekit.transport.file import FileTransport
from tests.channel.memory import MemoryTransport
from tests.transparency.recursive_tree import mth

KEY = generate("ed25519")
ORIGIN = "example.org/log"
LOG = VerifierKey(ORIGIN, KEY.public)
ENTRIES = [b"entry %d" % number for number in range(600)]
SIZES = (100, 300, 600)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> TileLog:
    """A log of ENTRIES, which had a head at each of SIZES."""
    made = found_log(tmp_path_factory.mktemp("reader") / "log", ORIGIN, KEY)
    for old, new in zip((0, *SIZES), SIZES, strict=False):
        made.append(ENTRIES[old:new], KEY)
    return made


@pytest.fixture
def mirror(log: TileLog) -> MemoryTransport:
    """A copy of it, to be spoiled."""
    files = [path for path in log.folder.rglob("*") if path.is_file() and path.name != ".lock"]
    return MemoryTransport({str(path.relative_to(log.folder)): path.read_bytes() for path in files})


def everything(reader: LogReader) -> tuple[list[bytes], list[list[bytes]]]:
    """All that a mirror can be asked."""
    head = reader.head()
    proofs = [reader.prove(index, head) for index in (0, 99, 256, 599)]
    proofs += [reader.prove_consistency(old, head) for old in SIZES]
    return list(reader.entries(0, head.size, head)), proofs


def test_what_a_good_mirror_shows(log: TileLog, mirror: MemoryTransport) -> None:
    reader = LogReader(mirror, LOG)
    head = reader.head()
    assert (head, reader.read_head()) == (log.checkpoint, log.note)
    for index in (0, 255, 256, 599):
        check_inclusion(leaf_hash(ENTRIES[index]), index, 600, reader.prove(index, head), head.root)
    for old in (0, *SIZES):
        assert reader.root_at(old, head) == mth(ENTRIES[:old])
        check_consistency(old, mth(ENTRIES[:old]), 600, head.root, reader.prove_consistency(old, head))
    assert list(reader.entries(250, 600, head)) == ENTRIES[250:]
    for ask in (lambda: reader.prove(600, head), lambda: reader.prove_consistency(601, head)):
        with pytest.raises(InputError):
            ask()
    with pytest.raises(InputError):
        reader.root_at(601, head)


def test_in_a_folder_and_below_a_channel(log: TileLog, mirror: MemoryTransport) -> None:
    assert everything(LogReader(FileTransport(log.folder), LOG)) == everything(LogReader(mirror, LOG))
    below = LogReader(FileTransport(log.folder.parent), LOG, prefix=f"{log.folder.name}/")
    assert everything(below) == everything(LogReader(mirror, LOG))


def test_a_proof_reads_few_tiles(mirror: MemoryTransport) -> None:
    reader = LogReader(mirror, LOG)
    reader.prove(5, reader.head())
    assert [name for name, _ in mirror.reads] == ["checkpoint", "tile/0/002.p/88", "tile/1/000.p/2", "tile/0/000"]


@pytest.mark.parametrize("status", [404, 403])
def test_partial_tiles_that_full_ones_replaced(mirror: MemoryTransport, status: int) -> None:
    """A reader that knows an older head finds the partial tiles of then gone, and cuts the full ones.

    An object store that does not let strangers list it says 403 of what is absent.
    """
    reader = LogReader(mirror, LOG)
    assert "tile/0/000.p/100" not in mirror.files
    if status == 403:
        gone = ("tile/0/000.p/100", "tile/entries/000.p/100", "tile/0/001.p/44", "tile/entries/001.p/44")
        mirror.faults = {name: TransferError("forbidden", status=403) for name in gone}
    for old in SIZES:
        head = Checkpoint(ORIGIN, old, mth(ENTRIES[:old]))
        assert list(reader.entries(0, old, head)) == ENTRIES[:old]
        check_inclusion(leaf_hash(ENTRIES[7]), 7, old, reader.prove(7, head), head.root)


@given(data=st.data())
def test_any_flipped_bit_of_any_file_is_noticed(log: TileLog, data: st.DataObject) -> None:
    names = ["checkpoint", "tile/0/000", "tile/0/001", "tile/0/002.p/88", "tile/1/000.p/2", "tile/entries/000"]
    files = {str(path.relative_to(log.folder)): path.read_bytes() for path in log.folder.rglob("*") if path.is_file()}
    name = data.draw(st.sampled_from([*names, "tile/entries/002.p/88"]))
    changed = bytearray(files[name])
    bit = data.draw(st.integers(0, 8 * len(changed) - 1))
    changed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(TrustError):
        everything(LogReader(MemoryTransport(files | {name: bytes(changed)}), LOG))


def _cut(mirror: MemoryTransport, name: str) -> None:
    mirror.files[name] = mirror.files[name][:-1]


FAULTS: list[tuple[str, Callable[[MemoryTransport], object], type[Exception]]] = [
    ("no checkpoint", lambda mirror: mirror.files.pop("checkpoint"), AbsentError),
    ("no partial tile", lambda mirror: mirror.files.pop("tile/0/002.p/88"), AbsentError),
    ("no full tile", lambda mirror: mirror.files.pop("tile/0/000"), AbsentError),
    ("no entries", lambda mirror: mirror.files.pop("tile/entries/001"), AbsentError),
    ("a cut checkpoint", lambda mirror: _cut(mirror, "checkpoint"), MalformedError),
    ("a cut tile", lambda mirror: _cut(mirror, "tile/0/001"), MalformedError),
    ("a cut partial tile", lambda mirror: _cut(mirror, "tile/1/000.p/2"), MalformedError),
    ("cut entries", lambda mirror: _cut(mirror, "tile/entries/001"), MalformedError),
    ("an empty tile", lambda mirror: mirror.files.update({"tile/0/001": b""}), MalformedError),
    ("an endless checkpoint", lambda mirror: mirror.endless.add("checkpoint"), LengthError),
    ("an endless tile", lambda mirror: mirror.endless.add("tile/0/001"), LengthError),
    ("endless entries", lambda mirror: mirror.endless.add("tile/entries/001"), LengthError),
    ("swapped tiles", lambda mirror: mirror.files.update({"tile/0/001": mirror.files["tile/0/000"]}), ProofError),
    ("swapped entries", lambda m: m.files.update({"tile/entries/001": m.files["tile/entries/000"]}), ProofError),
    ("a refusal", lambda mirror: mirror.faults.update({"tile/0/001": TransferError("no", status=500)}), TransferError),
]


@pytest.mark.parametrize(("spoil", "error"), [fault[1:] for fault in FAULTS], ids=[fault[0] for fault in FAULTS])
def test_what_a_bad_mirror_shows(
    mirror: MemoryTransport, spoil: Callable[[MemoryTransport], object], error: type[Exception]
) -> None:
    spoil(mirror)
    with pytest.raises(error):
        everything(LogReader(mirror, LOG))


def test_a_log_of_another_key(mirror: MemoryTransport) -> None:
    for key in (VerifierKey(ORIGIN, generate("ed25519").public), VerifierKey("example.org/other", KEY.public)):
        with pytest.raises(SignatureError):
            LogReader(mirror, key).head()


@pytest.fixture
def forks(tmp_path: Path) -> tuple[TileLog, TileLog]:
    """Two histories by one key: the same up to 300."""
    made = []
    for name in ("a", "b"):
        fork = found_log(tmp_path / name, ORIGIN, KEY)
        fork.append(ENTRIES[:300], KEY)
        fork.append([name.encode()] * 50, KEY)
        made.append(fork)
    return made[0], made[1]


def test_a_fork_cannot_be_proved_away(forks: tuple[TileLog, TileLog]) -> None:
    """Each is consistent in itself and with the common past; neither continues the other."""
    one, two = forks
    two.append([b"c"], KEY)
    reader = LogReader(FileTransport(two.folder), LOG)
    head = reader.head()
    known = open_checkpoint(one.note, LOG)
    common = reader.prove_consistency(300, head)
    check_consistency(300, mth(ENTRIES[:300]), head.size, head.root, common)
    with pytest.raises(ProofError):
        check_consistency(known.size, known.root, head.size, head.root, reader.prove_consistency(known.size, head))
    assert reader.root_at(known.size, head) != known.root


def test_the_head_of_one_fork_with_the_tiles_of_the_other(forks: tuple[TileLog, TileLog]) -> None:
    one, two = forks
    reader = LogReader(FileTransport(two.folder), LOG)
    with pytest.raises(ProofError):
        reader.prove(0, one.checkpoint)
    assert reader.prove(0, two.checkpoint)


def test_a_stale_mirror_is_consistent_and_smaller(log: TileLog, tmp_path: Path) -> None:
    """That it is behind, only who remembers more can know; that it is the same log, anybody."""
    stale = found_log(tmp_path / "log", ORIGIN, KEY)
    stale.append(ENTRIES[:300], KEY)
    head = LogReader(FileTransport(stale.folder), LOG).head()
    assert head.size < log.checkpoint.size
    check_consistency(head.size, head.root, 600, log.checkpoint.root, log.prove_consistency(head.size))


def test_a_huge_head_asks_for_little(mirror: MemoryTransport) -> None:
    """A log may sign any size: nothing is allocated or read for it but a few tiles, which are not there."""
    head = Checkpoint(ORIGIN, 2**63 - 1, bytes(32))
    with pytest.raises((TrustError, AbsentError)):
        LogReader(mirror, LOG).prove(2**62, head)
    assert len(mirror.reads) < 20
