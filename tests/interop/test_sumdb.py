"""Go's golang.org/x/mod/sumdb, on which the checksum database of Go modules runs, on our logs, and we on its."""

from __future__ import annotations

import base64
from itertools import pairwise
from pathlib import Path

import pytest

from edgekit.seal.keys import generate
from edgekit.transparency.checkpoint import open_checkpoint
from edgekit.transparency.cosignature import cosign
from edgekit.transparency.log_reader import LogReader
from edgekit.transparency.note import COSIGNATURE, VerifierKey, check_signature, read_note, write_note
from edgekit.transparency.proof import LogProof, write_proof
from edgekit.transparency.tile_log import TileLog, found_log
from edgekit.transport.file import FileTransport
from tests.interop.sumdb_program import SumDB, signer_key

ORIGIN = "example.org/log"
KEY, WITNESS = generate("ed25519"), generate("ed25519")
LOG = VerifierKey(ORIGIN, KEY.public)
SIZES = (1, 255, 256, 257, 700, 65_536, 65_537)


def entries(start: int, stop: int) -> list[bytes]:
    return [b"entry %d" % number for number in range(start, stop)]


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.fixture(scope="module")
def sumdb(tmp_path_factory: pytest.TempPathFactory) -> SumDB:
    return SumDB(tmp_path_factory.mktemp("sumdb"))


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> TileLog:
    """A log that had a head at each of SIZES."""
    made = found_log(tmp_path_factory.mktemp("log") / "log", ORIGIN, KEY)
    for old, new in pairwise((0, *SIZES)):
        made.append(entries(old, new), KEY)
    return made


def test_it_reads_our_logs(sumdb: SumDB, tmp_path: Path) -> None:
    """At each size, whole: signature, root hash, every tile, every entry, and that it continues each size before."""
    made = found_log(tmp_path / "log", ORIGIN, KEY)
    for at, (old, new) in enumerate(pairwise((0, *SIZES))):
        head = made.append(entries(old, new), KEY)
        found = sumdb.says("log", LOG, made.folder, *SIZES[: at + 1])
        assert found == {"origin": ORIGIN, "size": new, "root": base64_of(head.root)}
    place = made.folder / "tile" / "0" / "003"
    good = place.read_bytes()
    place.write_bytes(good[:5] + bytes([good[5] ^ 1]) + good[6:])
    assert "inconsistent tile" in sumdb.refuses("log", LOG, made.folder)


def test_it_writes_the_same_files(sumdb: SumDB, log: TileLog, tmp_path: Path) -> None:
    """Byte for byte, the signatures too; we remove partial tiles that full ones replaced, it leaves them."""
    sumdb.says("make", signer_key(ORIGIN, KEY), tmp_path / "go", *SIZES)
    ours = {path.relative_to(log.folder) for path in log.folder.rglob("*") if path.is_file() and path.name != ".lock"}
    its = {path.relative_to(tmp_path / "go") for path in (tmp_path / "go").rglob("*") if path.is_file()}
    assert ours <= its
    assert {path.parent.suffix for path in its - ours} == {".p"}
    for path in ours:
        assert (log.folder / path).read_bytes() == (tmp_path / "go" / path).read_bytes()


def test_we_read_its_logs(sumdb: SumDB, tmp_path: Path) -> None:
    sumdb.says("make", signer_key(ORIGIN, KEY), tmp_path, 300, 70_000)
    reader = LogReader(FileTransport(tmp_path), LOG)
    head = reader.head()
    assert head.size == 70_000
    assert list(reader.entries(0, 70_000, head)) == entries(0, 70_000)
    assert reader.root_at(300, head)


def test_it_takes_our_proofs(sumdb: SumDB, log: TileLog, tmp_path: Path) -> None:
    """Of entries at the edges of tiles, with cosignatures and extra data; and no other entry by them."""
    note = read_note(log.note).signed_also([cosign(read_note(log.note).text, "w.example", WITNESS, 7)])
    for index in (0, 255, 256, 65_535, 65_536):
        proof = LogProof(index, tuple(log.prove(index)), note, b"more" if index else None)
        file, leaf = tmp_path / f"{index}.tlog-proof", tmp_path / "leaf"
        file.write_bytes(write_proof(proof))
        leaf.write_bytes(b"entry %d" % index)
        assert sumdb.says("proof", LOG, file, leaf) == {"origin": ORIGIN, "index": index, "size": 65_537}
        leaf.write_bytes(b"entry %d" % (index + 1))
        assert "invalid transparency proof" in sumdb.refuses("proof", LOG, file, leaf)


def test_it_takes_our_consistency_proofs_and_no_fork(sumdb: SumDB, log: TileLog) -> None:
    for old, new in ((1, 255), (255, 256), (256, 257), (700, 65_536), (65_536, 65_537), (1, 65_537), (700, 700)):
        heads = [new, base64_of(log.root_at(new)), old, base64_of(log.root_at(old))]
        hashes = [base64_of(each) for each in log.prove_consistency(old, new)]
        assert sumdb.says("tree", *heads, *hashes) == "ok"
        heads[3] = base64_of(log.root_at(new - old))
        if old * 2 != new:
            assert "invalid transparency proof" in sumdb.refuses("tree", *heads, *hashes)


def test_notes_both_ways(sumdb: SumDB) -> None:
    text = "Ognuno sta solo sul cuor della terra\n\ned è subito sera.\n"
    signed = sumdb.says("sign", signer_key("quasimodo.example/salvatore", KEY), stdin=text.encode())
    note = read_note(signed.encode())
    key = VerifierKey("quasimodo.example/salvatore", KEY.public)
    check_signature(note, key)
    assert (note.text, write_note(note)) == (text, signed.encode())
    assert "invalid signature" in sumdb.refuses("note", key, stdin=signed.replace("sera", "Sera").encode())
    assert "no verifiable" in sumdb.refuses("note", LOG, stdin=signed.encode())


def test_it_verifies_our_checkpoints_and_cosignatures(sumdb: SumDB, log: TileLog) -> None:
    witness = VerifierKey("w.example/a", WITNESS.public, COSIGNATURE)
    note = read_note(log.note)
    cosigned = write_note(note.signed_also([cosign(note.text, witness.name, WITNESS, 1_700_000_000)]))
    assert sumdb.says("note", LOG, witness, stdin=cosigned) == {
        "text": open_checkpoint(log.note, LOG).text,
        "signed": [ORIGIN, "w.example/a"],
        "others": 0,
    }
    assert sumdb.says("note", LOG, stdin=cosigned)["others"] == 1
    assert "invalid signature" in sumdb.refuses("note", LOG, witness, stdin=cosigned.replace(b"AABlU", b"AABlV"))
