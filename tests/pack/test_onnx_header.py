"""The header of an ONNX file, read without onnx; hostile files end in an error that names them."""

from __future__ import annotations

import contextlib
from pathlib import Path

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import InputError
from edgekit.pack.onnx_header import read_header


def test_says_what_onnx_says(made: Path) -> None:
    for path in made.glob("*.onnx"):
        model = onnx.load(path)
        found = read_header(path)
        assert found.ir_version == model.ir_version
        assert found.opset == next(entry.version for entry in model.opset_import if not entry.domain)
        assert found.metadata == {entry.key: entry.value for entry in model.metadata_props}


def test_metadata_behind_a_long_graph_is_found(made: Path, tmp_path: Path) -> None:
    model = onnx.load(made / "model.int8.onnx")
    model.doc_string = "x" * 5_000_000
    onnx.save(model, tmp_path / "long.onnx")
    assert "edgekit.scales" in read_header(tmp_path / "long.onnx").metadata


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty file"),
        (b"not a model at all", "ONNX file"),
        (b"\x08", "in the middle of a number"),
        (b"\x08" + b"\xff" * 11, "more than ten bytes"),
        (b"\x3a\xff\xff\xff\xff\x0f", "leads out of it"),
        (b"\x0b\x01", "a field of kind 3"),
        (b"\x08\x0a\x42\x00", "no number"),
        (b"\x08\x0a\x72\x02\x0a\x00", "no text"),
    ],
)
def test_what_is_no_onnx_file(data: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(data)
    with pytest.raises(InputError, match=message):
        read_header(tmp_path / "m.onnx")


@given(st.binary(max_size=200))
def test_any_bytes_give_a_header_or_an_error(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.onnx"
    path.write_bytes(data)
    with contextlib.suppress(InputError):
        assert read_header(path).opset > 0
