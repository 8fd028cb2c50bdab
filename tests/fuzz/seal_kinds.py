"""Signed statements: model signatures, provenance, receipts; changed outside, inside, and signed again by the key."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any

from edgekit.bundle.release import Attachment, read_release
from edgekit.bundle.trusted import check_provenance
from edgekit.errors import EdgekitError
from edgekit.node.receipts import check_chain, open_receipt, seal_receipt
from edgekit.oci.documents import describe
from edgekit.oci.media_types import SIGSTORE_BUNDLE
from edgekit.seal.dsse import pae
from edgekit.seal.keys import PrivateKey
from edgekit.seal.oms import sign_files, verify_files
from edgekit.seal.statement import PAYLOAD_TYPE
from edgekit.types.receipt import Deployed, Event, Machine, Receipt, Trial
from tests.fuzz.byte_mutation import mutate_bytes
from tests.fuzz.forge import forge
from tests.fuzz.json_mutation import mutate_json
from tests.fuzz.kinds import Kind, hold
from tests.fuzz.specimens import Specimens

Json = dict[str, Any]


@dataclass(frozen=True)
class Sealed:
    """A mutant.

    Attributes:
        data: What is read.
        is_resigned: The right key signed what it says.
    """

    data: bytes
    is_resigned: bool = False


def seal_kinds(specimens: Specimens) -> Iterator[Kind[Any]]:
    """All of them."""
    maker = _Statements(specimens)
    yield Kind(
        "model-signature",
        "not signed again: it names the original's files; signed again: its files are sorted, safe names",
        maker.draw_signature,
        maker.judge_signature,
        1000,
    )
    yield Kind(
        "provenance",
        "signed by the key, and about this very bundle",
        maker.draw_provenance,
        maker.judge_provenance,
        400,
    )
    yield Kind(
        "receipt",
        "not signed again: it says what the original says; signed again: it names the node that signed it",
        maker.draw_receipt,
        maker.judge_receipt,
        600,
    )
    yield Kind(
        "receipt-chain",
        "a beginning of the original chain, or one that the node's key signed",
        maker.draw_chain,
        maker.judge_chain,
        300,
    )


class _Statements:
    def __init__(self, specimens: Specimens) -> None:
        self._specimens = specimens
        self._keys = [specimens.publisher.public]

    @cached_property
    def _signature(self) -> bytes:
        files = {
            "golden/inputs.npz": "aa" * 32,
            "golden.npz": "bb" * 32,
            "manifest.json": "cc" * 32,
            "model.onnx": "dd" * 32,
        }
        return sign_files(files, name="vision/lite0", key=self._specimens.publisher)

    @cached_property
    def _receipts(self) -> tuple[bytes, ...]:
        return tuple(_chain(self._specimens.node))

    def draw_signature(self, random: Random) -> Sealed:
        others = [self._specimens.bundle.signatures["v0"], self._specimens.bundle.provenance]
        return _mutate(random, self._signature, others, self._specimens.publisher, _inside_bundle)

    def judge_signature(self, mutant: Sealed, place: Path) -> None:
        del place
        signed = verify_files(mutant.data, self._keys)
        paths = list(signed.files)
        safe = all(not path.startswith(("/", ".")) and ".." not in path.split("/") and path.isascii() for path in paths)
        hold(safe and len({path.lower() for path in paths}) == len(paths), "unsafe names were accepted")
        hold(signed.key == self._keys[0], "another key is said to have signed")
        if not mutant.is_resigned:
            original = verify_files(self._signature, self._keys)
            known = [verify_files(one, self._keys) for one in (self._specimens.bundle.signatures["v0"],)]
            hold(signed in (original, *known), "files that nobody signed were accepted")

    def draw_provenance(self, random: Random) -> Sealed:
        others = [self._signature, self._specimens.successor.provenance]
        return _mutate(random, self._specimens.bundle.provenance, others, self._specimens.publisher, _inside_bundle)

    def judge_provenance(self, mutant: Sealed, place: Path) -> None:
        del place
        source = self._specimens.bundle
        opened = forge(source).opened()
        release = read_release(opened.blobs, opened.index_bytes)
        key = check_provenance(release, Attachment(describe(mutant.data, SIGSTORE_BUNDLE), mutant.data), self._keys)
        hold(key == self._keys[0], "another key is said to have signed")
        if not mutant.is_resigned:
            same = _payload(mutant.data, _inside_bundle) == _payload(source.provenance, _inside_bundle)
            hold(same, "a statement that nobody signed was accepted")

    def draw_receipt(self, random: Random) -> Sealed:
        return _mutate(random, random.choice(self._receipts), self._receipts, self._specimens.node, _inside_envelope)

    def judge_receipt(self, mutant: Sealed, place: Path) -> None:
        del place
        anybody, refusal = None, None
        try:
            anybody = open_receipt(mutant.data, where="it")
        except EdgekitError as error:
            refusal = error
        receipt, payload = open_receipt(mutant.data, where="it", node=self._specimens.node.public)
        hold(refusal is None and anybody == (receipt, payload), f"its node is known, and it is refused: {refusal}")
        hold(receipt.node == self._specimens.node.public.did, "a receipt of another node was accepted")
        if not mutant.is_resigned:
            known = [open_receipt(data, where="it") for data in self._receipts]
            hold((receipt, payload) in known, "a receipt that nobody signed was accepted")

    def draw_chain(self, random: Random) -> tuple[bytes, ...]:
        chain = list(self._receipts)
        for _ in range(random.choice((1, 1, 2))):
            how, place = random.randrange(5), random.randrange(len(chain)) if chain else 0
            if how == 0 and chain:
                del chain[place]
            elif how == 1 and chain:
                chain.insert(random.randrange(len(chain)), chain[place])
            elif how == 2:
                random.shuffle(chain)
            elif how == 3:
                del chain[random.randrange(len(chain) + 1) :]
            elif chain:
                chain[place] = self.draw_receipt(random).data
        return tuple(chain)

    def judge_chain(self, chain: tuple[bytes, ...], place: Path) -> None:
        del place
        found = check_chain(chain, node=self._specimens.node.public)
        counters = [receipt.counter for receipt in found]
        hold(counters == list(range(1, len(found) + 1)), "a chain with gaps was accepted")
        previous = ""
        for data, receipt in zip(chain, found, strict=True):
            hold(receipt.previous == previous, "a chain was accepted that is none")
            previous = open_receipt(data, where="it")[1]


def _mutate(
    random: Random,
    data: bytes,
    others: tuple[bytes, ...] | list[bytes],
    key: PrivateKey,
    inside: Callable[[Json], Json],
) -> Sealed:
    """Bytes, outer JSON, or the statement; the last signed again or not."""
    how = random.random()
    if how < 0.15:
        return Sealed(mutate_bytes(random, data, others))
    if how < 0.4:
        return Sealed(mutate_json(random, data, others, canonical=0.6))
    statements = [_payload(one, inside) for one in others]
    payload = mutate_json(random, _payload(data, inside), statements)
    document = json.loads(data)
    envelope = inside(document)
    envelope["payload"] = base64.b64encode(payload).decode()
    if how < 0.5:
        return Sealed(json.dumps(document).encode())
    kind = PAYLOAD_TYPE if random.random() < 0.95 else random.choice(("", "application/json", "a" * 300))
    envelope["payloadType"] = kind
    made = base64.b64encode(key.sign(pae(kind, payload))).decode()
    envelope["signatures"] = [{"sig": made}, *([{"sig": made}] if random.random() < 0.05 else [])]
    return Sealed(json.dumps(document).encode(), is_resigned=True)


def _inside_bundle(document: Json) -> Json:
    envelope: Json = document["dsseEnvelope"]
    return envelope


def _inside_envelope(document: Json) -> Json:
    return document


def _payload(data: bytes, inside: Callable[[Json], Json]) -> bytes:
    return base64.b64decode(inside(json.loads(data))["payload"])


def _chain(key: PrivateKey) -> Iterator[bytes]:
    """Three receipts that follow one another."""
    previous = ""
    deployed = Deployed(
        1,
        "1.0.0",
        "aa" * 32,
        "bb" * 32,
        "cc" * 32,
        "v0",
        {"manifest.json": "cc" * 32, "model.onnx": "dd" * 32},
        "ee" * 32,
    )
    for counter, event in enumerate((Event.INSTALLED, Event.REFUSED, Event.STOPPED), start=1):
        receipt = Receipt(
            key.public.did, counter, previous, event, "2026-11-01T12:00:00Z", "vision/lite0",
            Machine("linux", "amd64", ("avx2",)), {"root": 1, "vision": 2},
            None if event is Event.STOPPED else deployed,
            None if event is Event.STOPPED else Trial(event is Event.INSTALLED, "onnxruntime", "1.30.0", "ff" * 32, ""),
            "" if event is Event.INSTALLED else "it answers something else",
        )  # fmt: skip
        data = seal_receipt(receipt, key)
        previous = open_receipt(data, where="it")[1]
        yield data
