"""Metadata that the right keys signed and that is nonsense nevertheless: an error of ours, whatever it says."""

from __future__ import annotations

import json
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from securesystemslib.formats import encode_canonical

from edgekit.channel.client import follow
from edgekit.channel.mirror import check_root
from edgekit.errors import EdgekitError, MalformedError, SignatureError
from tests.channel.memory import MemoryTransport
from tests.channel.repository import Repository

MODEL = "vision/lite0"
FILES = {
    "root": "metadata/2.root.json",
    "timestamp": "metadata/timestamp.json",
    "snapshot": "metadata/2.snapshot.json",
    "targets": "metadata/1.targets.json",
    "vision": "metadata/2.vision.json",
}
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.sampled_from([-1, 0, 1, 2, 2**31, 2**53 - 1, "", "root", "vision", "sha256", "*", "2026-99-99T00:00:00Z"])
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)


def made() -> Repository:
    repository = Repository()
    repository.release(MODEL)
    repository.publish()
    repository.root.version = 2
    repository.write_root()
    return repository


REPOSITORY = made()


def signed(role: str, document: dict[str, Any]) -> bytes:
    """Any document as metadata, signed by the keys of a role: python-tuf's own objects would not hold nonsense."""
    payload = encode_canonical(document).encode()
    signatures = [signer.sign(payload).to_dict() for signer in REPOSITORY.signers[role]]
    return json.dumps({"signed": document, "signatures": signatures}).encode()


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Path of every value in a document."""
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        found += places(item, (*path, key))
    return found


@given(data=st.data(), role=st.sampled_from(list(FILES)))
def test_nonsense_that_is_signed(data: st.DataObject, role: str) -> None:
    files = dict(REPOSITORY.files)
    document = json.loads(files[FILES[role]])["signed"]
    *above, last = data.draw(st.sampled_from(places(document)), label="place")
    holder = document
    for key in above:
        holder = holder[key]
    if data.draw(st.booleans(), label="delete"):
        del holder[last]
    else:
        holder[last] = data.draw(JSON, label="value")
    try:
        files[FILES[role]] = signed(role, document)
    except Exception:  # what cannot be signed is not sent either
        return
    with tempfile.TemporaryDirectory() as folder, suppress(EdgekitError):
        follow(
            MODEL,
            [MemoryTransport(files)],
            Path(folder) / "inner",
            root=REPOSITORY.first_root,
            clock=lambda: REPOSITORY.now,
        )
    assert not Path(folder).exists()


@given(place=st.integers(0, 10_000), byte=st.integers(0, 255), role=st.sampled_from(list(FILES)))
def test_bytes_that_changed(place: int, byte: int, role: str) -> None:
    files = dict(REPOSITORY.files)
    content = bytearray(files[FILES[role]])
    content[place % len(content)] = byte
    files[FILES[role]] = bytes(content)
    with tempfile.TemporaryDirectory() as folder, suppress(EdgekitError):
        follow(MODEL, [MemoryTransport(files)], Path(folder), root=REPOSITORY.first_root, clock=lambda: REPOSITORY.now)


def test_check_root() -> None:
    assert check_root(REPOSITORY.first_root, where="it") == REPOSITORY.first_root
    with pytest.raises(MalformedError, match="it is metadata of the role targets"):
        check_root(REPOSITORY.files[FILES["targets"]], where="it")
    with pytest.raises(SignatureError):
        check_root(REPOSITORY.first_root.replace(b'"version":1', b'"version":3'), where="it")


def test_what_else_lies_in_the_trust_folder_is_not_taken_for_verified(tmp_path: Path) -> None:
    repository = made()
    mirror, root = MemoryTransport(repository.files), repository.files["metadata/1.root.json"]
    versions = follow(MODEL, [mirror], tmp_path, root=root).versions
    for name in ("audio.json", ".vision.json"):
        (tmp_path / "metadata" / name).write_bytes(b"no metadata")
    assert follow(MODEL, [mirror], tmp_path).versions == versions
