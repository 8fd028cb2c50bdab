"""Files by their digests, whole and in pieces."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekit import digest
from edgekit.addressing.addressing import addresses_of
from edgekit.errors import InputError
from edgekit.pack.inventory import store_bytes, store_file
from edgekit.types.blob import piece_length
from edgekit.types.manifest import Role

MIB = 2**20


@pytest.mark.parametrize("size", [1, MIB - 1, MIB, MIB + 1, 3 * MIB, 65 * MIB + 7])
def test_digests_of_a_file_and_its_pieces(size: int, tmp_path: Path) -> None:
    data = bytes(range(251)) * (size // 251 + 1)
    data = data[:size]
    (tmp_path / "m.onnx").write_bytes(data)
    found = store_file("m.onnx", Role.MODEL, tmp_path / "m.onnx").file
    assert found == store_bytes("m.onnx", Role.MODEL, data).file
    assert (found.sha256, found.size_bytes) == (digest.of_bytes(data), size)
    assert found.media_type == "application/vnd.onnx"
    assert found.addresses == addresses_of(data)
    length = piece_length(size)
    if size <= length:
        assert found.pieces is None
    else:
        assert found.pieces
        assert found.pieces.length_bytes == length
        parts = [digest.of_bytes(data[start : start + length]) for start in range(0, size, length)]
        assert list(found.pieces.sha256) == parts


def test_what_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    for name, message in (("empty", "is empty"), ("absent", "cannot read")):
        with pytest.raises(InputError, match=message):
            store_file(name, Role.MODEL, tmp_path / name)


def test_an_empty_file_that_was_made_in_memory_has_no_addresses() -> None:
    found = store_bytes("LICENSE", Role.LICENSE, b"").file
    assert (found.sha256, found.size_bytes) == (digest.of_bytes(b""), 0)
    assert found.pieces is found.addresses is None
