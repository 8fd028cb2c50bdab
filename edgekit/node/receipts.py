"""Receipts: what a node did, each signed by its ed25519 key, numbered, and naming the one before by its digest.

A receipt is a DSSE envelope around an in-toto Statement v1 with the predicate type PREDICATE_TYPE; `docs/node.md` has
the format. The chain runs over payloads and not over envelopes, whose JSON may be written in more than one way.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgekit import digest
from edgekit.errors import InputError, KeyFileError, MalformedError, SignatureError, TrustError
from edgekit.node.disk import Disk, make_folders, save
from edgekit.node.folder import NodeFolder
from edgekit.seal.dsse import Envelope, read_envelope
from edgekit.seal.keys import PrivateKey, PublicKey
from edgekit.seal.statement import Statement, Subject, open_statement, sign_statement
from edgekit.types.plain import from_plain, to_plain
from edgekit.types.receipt import Event, Receipt
from edgekit.types.strict_json import read_strict

PREDICATE_TYPE = "https://edgekit.dev/receipt/v1"
LARGEST_BYTES = 1_000_000
_FILE_NAME = re.compile(r"(\d{8})\.json")
SERVING = (Event.INSTALLED, Event.ROLLED_BACK, Event.STOPPED)
"""Events after which something else runs than before."""


def seal_receipt(receipt: Receipt, key: PrivateKey) -> bytes:
    """A receipt as a signed envelope, canonical JSON.

    Raises:
        ValueError: `key` is not the node's.
    """
    if key.public.did != receipt.node:
        raise ValueError("a receipt is signed by the node that it is of")
    deployed = receipt.deployed
    subject = Subject(receipt.target, deployed.bundle) if deployed else Subject(receipt.node, _name_digest(receipt))
    return sign_statement(Statement((subject,), PREDICATE_TYPE, to_plain(receipt)), key).to_json()


def open_receipt(data: bytes, *, where: str, node: PublicKey | None = None) -> tuple[Receipt, str]:
    """Read a receipt and verify its signature.

    Args:
        data: The envelope.
        where: What it is, for messages.
        node: Whose it must be; None accepts the node that it names.

    Returns:
        The receipt, and the sha256 of its payload, which the next one names.

    Raises:
        MalformedError: It is no receipt.
        SignatureError: The node that it names did not sign it, or it names another node.
    """
    if len(data) > LARGEST_BYTES:
        raise MalformedError(f"{where} has more than {LARGEST_BYTES} bytes")
    envelope = read_envelope(data, where=where)
    try:
        claimed = node or PublicKey.from_did(_claimed_node(envelope, where))
    except KeyFileError as error:
        raise MalformedError(f"{where} names no did:key that can be read: {error}") from error
    statement, _ = open_statement(envelope, [claimed], where=where)
    receipt = _read(statement, where)
    if receipt.node != claimed.did:
        raise SignatureError(f"{where} is signed by {claimed.did} and says that it is of {receipt.node}")
    return receipt, digest.of_bytes(envelope.payload)


def check_chain(envelopes: Sequence[bytes], *, node: PublicKey | None = None) -> tuple[Receipt, ...]:
    """All receipts of a node, verified: signatures, numbers without a gap, and each naming the one before.

    Args:
        envelopes: In order, from the first on.
        node: Whose they must be; None takes the node of the first.

    Raises:
        MalformedError: One is no receipt, is missing, comes twice, or names another before it.
        SignatureError: One is not signed by the node.
    """
    found: list[Receipt] = []
    previous = ""
    for number, data in enumerate(envelopes, start=1):
        receipt, payload = open_receipt(data, where=f"receipt {number}", node=node)
        if receipt.counter != number:
            raise MalformedError(f"where receipt {number} should be stands receipt {receipt.counter}")
        if receipt.previous != previous:
            raise MalformedError(f"receipt {number} does not follow the one before it")
        node = node or PublicKey.from_did(receipt.node)
        found.append(receipt)
        previous = payload
    return tuple(found)


class ReceiptBook:
    """The receipts in a node's folder."""

    def __init__(self, folder: NodeFolder, node: PublicKey) -> None:
        """Read from `folder`; only receipts that `node` signed count."""
        self._folder = folder
        self._node = node

    def files(self) -> tuple[Path, ...]:
        """Their files, in order."""
        if not self._folder.receipts.is_dir():
            return ()
        return tuple(sorted(path for path in self._folder.receipts.iterdir() if _FILE_NAME.fullmatch(path.name)))

    def read(self, path: Path) -> tuple[Receipt, str]:
        """One receipt and the digest of its payload.

        Raises:
            TrustError: It is damaged.
        """
        try:
            with path.open("rb") as stream:
                data = stream.read(LARGEST_BYTES + 1)
        except OSError as error:
            raise MalformedError(f"{path} cannot be read: {error.strerror}") from error
        return open_receipt(data, where=path.name, node=self._node)

    def readable(self, *events: Event) -> Iterator[Receipt]:
        """The receipts that can be read, of these events, the last one first."""
        for path in reversed(self.files()):
            try:
                receipt, _ = self.read(path)
            except TrustError:
                continue
            if receipt.event in events:
                yield receipt

    def last(self, *events: Event) -> Receipt | None:
        """The last receipt that can be read, of these events; None where there is none."""
        return next(self.readable(*events), None)

    def add(self, disk: Disk, receipt: Receipt, key: PrivateKey) -> Receipt:
        """Number a receipt, chain it to the last one, sign it and keep it.

        Where the last one is damaged, `previous` is empty: the number goes on, and whoever checks the chain sees the
        break.

        Raises:
            StorageError: The system refuses.
        """
        files = self.files()
        counter, previous = 1, ""
        if files:
            counter = int(files[-1].stem) + 1
            try:
                previous = self.read(files[-1])[1]
            except TrustError:
                previous = ""
        numbered = replace(receipt, counter=counter, previous=previous)
        make_folders(disk, self._folder.receipts, below=self._folder.path)
        save(disk, self._folder.receipts / f"{counter:08d}.json", seal_receipt(numbered, key))
        return numbered

    def fault(self) -> str:
        """What is wrong with the chain as it lies there; "" when nothing is."""
        try:
            check_chain([path.read_bytes() for path in self.files()], node=self._node)
        except TrustError as error:
            return str(error)
        except OSError as error:
            return error.strerror or str(error)
        return ""


def _claimed_node(envelope: Envelope, where: str) -> str:
    """Who a receipt says it is of, before that is verified."""
    found: Any = read_strict(envelope.payload, where=where, limit_bytes=LARGEST_BYTES)
    predicate = found.get("predicate") if isinstance(found, dict) else None
    node = predicate.get("node") if isinstance(predicate, dict) else None
    if not isinstance(node, str):
        raise MalformedError(f"{where} does not say which node it is of")
    return node


def _read(statement: Statement, where: str) -> Receipt:
    if statement.predicate_type != PREDICATE_TYPE:
        raise MalformedError(f"{where} is no receipt but a '{statement.predicate_type[:80]}'")
    try:
        receipt = from_plain(Receipt, statement.predicate, where=where)
    except InputError as error:
        raise MalformedError(str(error)) from error
    if receipt.counter < 1:
        raise MalformedError(f"{where} has the number {receipt.counter}")
    return receipt


def _name_digest(receipt: Receipt) -> str:
    """The subject of a receipt about no release is the node's own name."""
    return digest.of_bytes(receipt.node.encode())
