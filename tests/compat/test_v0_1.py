"""What version 0.1 wrote is read for ever: a bundle, a channel, a receipt. These files are never made anew."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from edgekit import digest
from edgekit.bundle.verify import verify_bundle
from edgekit.channel.client import follow
from edgekit.errors import SignatureError
from edgekit.node.receipts import open_receipt
from edgekit.seal.key_files import read_public
from edgekit.transport.opening import open_transport

FILES = Path(__file__).parent / "v0.1"
NOW = datetime(2026, 12, 1, tzinfo=UTC)


def test_its_bundle_verifies() -> None:
    verdict = verify_bundle(FILES / "net.edgekit.tar", [read_public(FILES / "publisher.pub")])
    assert (verdict.name, verdict.version) == ("lab/net", 1)


def test_its_channel_is_followed(tmp_path: Path) -> None:
    root = (FILES / "channel" / "metadata" / "1.root.json").read_bytes()
    found = follow("lab/net", [open_transport(str(FILES / "channel"))], tmp_path, root=root, clock=lambda: NOW)
    assert found.notice.keys == (read_public(FILES / "publisher.pub"),)
    assert found.release_digest == digest.of_bytes(found.index)


def test_its_receipt_is_opened() -> None:
    data, node = (FILES / "receipt.json").read_bytes(), read_public(FILES / "node.pub")
    receipt, _ = open_receipt(data, where="it", node=node)
    assert receipt.target == "demo/resnet8"
    assert receipt.node == node.did


def test_another_key_is_not_theirs() -> None:
    """The three above can fail."""
    with pytest.raises(SignatureError):
        verify_bundle(FILES / "net.edgekit.tar", [read_public(FILES / "node.pub")])
    with pytest.raises(SignatureError):
        open_receipt((FILES / "receipt.json").read_bytes(), where="it", node=read_public(FILES / "publisher.pub"))
