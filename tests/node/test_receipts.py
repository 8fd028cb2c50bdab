from __future__ import annotations

import base64
import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import EdgekitError, MalformedError, SignatureError
from edgekit.node.disk import Disk
from edgekit.node.folder import NodeFolder
from edgekit.node.receipts import PREDICATE_TYPE, ReceiptBook, check_chain, open_receipt, seal_receipt
from edgekit.seal.keys import MemoryKey, PublicKey, generate
from edgekit.types.receipt import Deployed, Event, Machine, Receipt, Trial
from tests.node.scene import flip

KEY = generate("ed25519")
DEPLOYED = Deployed(2, "2.0.0", "aa" * 32, "bb" * 32, "cc" * 32, "onnx-vnni", {"model.onnx": "dd" * 32}, "ee" * 32)


def receipt(key: MemoryKey = KEY, **fields: object) -> Receipt:
    found = Receipt(
        key.public.did, 1, "", Event.INSTALLED, "2026-11-29T12:00:00Z", "vision/resnet8",
        Machine("linux", "amd64", ("avx2",)), {"root": 1, "timestamp": 7}, DEPLOYED,
        Trial(True, "onnxruntime", "1.30.0", "ff" * 32),
    )  # fmt: skip
    return dataclasses.replace(found, **fields)  # type: ignore[arg-type]


@pytest.fixture
def book(tmp_path: Path) -> ReceiptBook:
    return ReceiptBook(NodeFolder(tmp_path), KEY.public)


def chain(book: ReceiptBook, count: int) -> list[bytes]:
    for _ in range(count):
        book.add(Disk(), receipt(), KEY)
    return [path.read_bytes() for path in book.files()]


def test_round_trip() -> None:
    for one in (
        receipt(),
        receipt(event=Event.STOPPED, deployed=None, tested=None, reason="revoked"),
        receipt(event=Event.REFUSED, tested=Trial(False, reason="differs")),
    ):
        assert open_receipt(seal_receipt(one, KEY), where="it")[0] == one


def test_what_a_second_implementation_reads() -> None:
    """As docs/node.md has it, with nothing but json and a library for ed25519."""
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    envelope = json.loads(seal_receipt(receipt(), KEY))
    payload, kind = base64.b64decode(envelope["payload"]), envelope["payloadType"]
    assert kind == "application/vnd.in-toto+json"
    encoded = f"DSSEv1 {len(kind)} {kind} {len(payload)} ".encode() + payload
    signature = base64.b64decode(envelope["signatures"][0]["sig"])
    load_pem_public_key(KEY.public.pem.encode()).verify(signature, encoded)  # type: ignore[union-attr, call-arg]
    statement = json.loads(payload)
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == PREDICATE_TYPE == "https://edgekit.dev/receipt/v1"
    assert statement["subject"] == [{"name": "vision/resnet8", "digest": {"sha256": "bb" * 32}}]
    assert statement["predicate"]["node"] == KEY.public.did
    assert statement["predicate"]["deployed"]["files"] == {"model.onnx": "dd" * 32}
    assert statement["predicate"]["event"] == "installed"


def test_a_chain(book: ReceiptBook) -> None:
    envelopes = chain(book, 4)
    found = check_chain(envelopes)
    assert [one.counter for one in found] == [1, 2, 3, 4]
    assert found[0].previous == ""
    assert len({one.previous for one in found}) == 4
    assert check_chain([]) == ()
    assert book.fault() == ""
    assert [path.name for path in book.files()][:2] == ["00000001.json", "00000002.json"]


@pytest.mark.parametrize("order", [[1, 2, 3], [0, 2, 3], [0, 1, 1, 2], [1, 0, 2], [0, 1, 3]])
def test_a_receipt_that_is_missing_or_moved(book: ReceiptBook, order: list[int]) -> None:
    envelopes = chain(book, 4)
    with pytest.raises(MalformedError, match="where receipt"):
        check_chain([envelopes[index] for index in order])


def test_a_chain_cut_at_its_end_is_a_chain(book: ReceiptBook) -> None:
    """Whoever keeps the last number sees it: docs/node.md."""
    assert len(check_chain(chain(book, 3)[:2])) == 2


def test_a_fork_is_seen(book: ReceiptBook, tmp_path: Path) -> None:
    other = ReceiptBook(NodeFolder(tmp_path / "fork"), KEY.public)
    (tmp_path / "fork").mkdir()
    envelopes = chain(book, 3)
    other.add(Disk(), receipt(time="2026-11-30T12:00:00Z"), KEY)
    other.add(Disk(), receipt(), KEY)
    forked = [path.read_bytes() for path in other.files()]
    with pytest.raises(MalformedError, match="does not follow"):
        check_chain([envelopes[0], forked[1]])


def test_another_nodes_receipt(book: ReceiptBook) -> None:
    stranger = generate("ed25519")
    envelopes = chain(book, 2)
    sealed = seal_receipt(receipt(stranger), stranger)
    assert open_receipt(sealed, where="it")[0].node == stranger.public.did
    with pytest.raises(SignatureError):
        open_receipt(sealed, where="it", node=KEY.public)
    with pytest.raises(SignatureError):
        check_chain([sealed, envelopes[1]])
    with pytest.raises(ValueError, match="signed by the node"):
        seal_receipt(receipt(stranger), KEY)


def test_a_receipt_that_says_it_is_of_another_node() -> None:
    """Signed by a stranger, in the name of this node."""
    stranger = generate("ed25519")

    class Liar(MemoryKey):
        @property
        def public(self) -> PublicKey:
            return KEY.public

        def sign(self, data: bytes) -> bytes:
            return stranger.sign(data)

    sealed = seal_receipt(receipt(), Liar.__new__(Liar))
    with pytest.raises(SignatureError):
        open_receipt(sealed, where="it")


@given(at=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_a_flipped_bit(at: int, bit: int) -> None:
    data = bytearray(SEALED)
    data[at % len(data)] ^= 1 << bit
    with pytest.raises((MalformedError, SignatureError)):
        open_receipt(bytes(data), where="it", node=KEY.public)


SEALED = seal_receipt(receipt(), KEY)


@given(st.binary(max_size=300))
def test_noise(data: bytes) -> None:
    with pytest.raises(EdgekitError):
        open_receipt(data, where="it")


def test_a_damaged_receipt_does_not_stop_the_node(book: ReceiptBook) -> None:
    chain(book, 2)
    flip(book.files()[-1])
    last = book.last(Event.INSTALLED)
    assert last is not None
    assert last.counter == 1
    added = book.add(Disk(), receipt(), KEY)
    assert (added.counter, added.previous) == (3, "")
    assert book.fault() != ""


def test_names_in_the_folder_that_are_no_receipts(book: ReceiptBook, tmp_path: Path) -> None:
    chain(book, 1)
    for name in ("00000009.json.tmp", "9.json", "notes.txt", "00000009.jsonl"):
        (tmp_path / "receipts" / name).write_text("x")
    assert book.add(Disk(), receipt(), KEY).counter == 2
