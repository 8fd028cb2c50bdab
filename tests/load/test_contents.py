"""What a file holds is seen whatever it is called, and what is no model is called by its name."""

from __future__ import annotations

import gzip
import io
import pickle
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
import safetensors.torch
import torch
from onnx import TensorProto, helper
from PIL import Image
from torch import nn

from edgekit.errors import ModelLoadError
from edgekit.load.contents import Contents, contents_of


def onnx_bytes() -> bytes:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 2]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [x], [y])
    return helper.make_model(graph).SerializeToString()


def saved(value: object, *, is_zip: bool = True) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream, _use_new_zipfile_serialization=is_zip)
    return stream.getvalue()


def script() -> bytes:
    stream = io.BytesIO()
    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), stream)
    return stream.getvalue()


def zipped(**members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        for name, data in members.items():
            file.writestr(name, data)
    return stream.getvalue()


def tarred() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as file:
        file.addfile(tarfile.TarInfo("weights.pt"), io.BytesIO())
    return stream.getvalue()


def image() -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (4, 4)).save(stream, "PNG")
    return stream.getvalue()


def array() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.zeros(3))
    return stream.getvalue()


STATE = nn.Linear(2, 2).state_dict()

MODELS = {
    "torch.save": (lambda: saved(STATE), Contents.SAVED),
    "old torch.save": (lambda: saved(STATE, is_zip=False), Contents.LEGACY),
    "pickled module": (lambda: saved(nn.Linear(2, 2)), Contents.SAVED),
    "TorchScript": (script, Contents.SCRIPT),
    "safetensors": (lambda: safetensors.torch.save(STATE), Contents.SAFETENSORS),
    "pickle": (lambda: pickle.dumps({"a": 1}), Contents.PICKLE),
    "text pickle": (lambda: pickle.dumps({"a": 1}, 0), Contents.PICKLE),
    "ONNX": (onnx_bytes, Contents.ONNX),
    "cut ONNX": (lambda: onnx_bytes()[:-3], Contents.ONNX),
    "torch.export": (lambda: zipped(**{"a/models/model.json": b"{}", "a/archive_format": b"pt2"}), Contents.PROGRAM),
    "torch.export 2.4": (lambda: zipped(**{"serialized_exported_program.json": b"{}"}), Contents.PROGRAM),
}

OTHERS = {
    "empty": (lambda: b"", r"is empty \(0 bytes\)"),
    "web page": (lambda: b"\n<!DOCTYPE html><title>Sign in</title>", r"is a web page \(\d+ bytes\)"),
    "XML": (lambda: b"<?xml version='1.0'?><Error>AccessDenied</Error>", "is a web page"),
    "LFS": (lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 9\n", "is a Git LFS pointer"),
    "zeros": (lambda: bytes(5000), "holds only zero bytes"),
    "text": (lambda: b"accuracy: 0.93\n", r"no model that can be recognized; it starts with b'accuracy"),
    "gzip": (lambda: gzip.compress(b"x"), "is a gzip archive"),
    "tar": (tarred, "is a tar archive"),
    "PNG": (image, "is a PNG image"),
    "npy": (array, "is a NumPy array"),
    "HDF5": (lambda: b"\x89HDF\r\n\x1a\n" + bytes(90), "is an HDF5 file"),
    "TFLite": (lambda: b"\x1c\0\0\0TFL3" + bytes(90), "is a TFLite file"),
    "zip": (
        lambda: zipped(**{"notes.txt": b"hello", "data.csv": b"1,2"}),
        "a zip archive without a model in it, but ",
    ),
    "empty zip": (lambda: zipped(), "a zip archive without a model in it, but nothing"),
    "AOTInductor": (lambda: zipped(**{"a/data/aotinductor/model/x.so": b""}), "compiled machine code"),
    "torch.package": (lambda: zipped(**{"a/.data/extern_modules": b"", "a/x.pkl": b""}), "is a torch.package"),
}


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("name", ["model.pt", "model.onnx", "model"])
def test_the_bytes_tell_what_it_is(kind: str, name: str, tmp_path: Path) -> None:
    make, contents = MODELS[kind]
    (tmp_path / name).write_bytes(make())
    assert contents_of(tmp_path / name) is contents


@pytest.mark.parametrize("kind", OTHERS)
def test_what_is_no_model_is_named(kind: str, tmp_path: Path) -> None:
    make, message = OTHERS[kind]
    (tmp_path / "model.pt").write_bytes(make())
    with pytest.raises(ModelLoadError, match=f"model.pt {message}" if message[0] == "i" else message):
        contents_of(tmp_path / "model.pt")


def test_a_real_program_is_recognized(tmp_path: Path) -> None:
    program = torch.export.export(nn.Linear(2, 2), (torch.ones(1, 2),))
    torch.export.save(program, tmp_path / "x.pt2")
    (tmp_path / "x.pt2").rename(tmp_path / "weights.pth")
    assert contents_of(tmp_path / "weights.pth") is Contents.PROGRAM


def test_missing_files_and_folders(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(b"x")
    with pytest.raises(ModelLoadError, match=r"there is no file .*net.pt") as caught:
        contents_of(tmp_path / "net.pt")
    assert caught.value.hint == "there is net.onnx"
    with pytest.raises(ModelLoadError, match="is a folder"):
        contents_of(tmp_path)
    (tmp_path / "saved_model.pb").write_bytes(b"x")
    with pytest.raises(ModelLoadError, match="is a folder") as caught:
        contents_of(tmp_path)
    assert "SavedModel" in caught.value.hint


def test_onnx_that_begins_with_another_field_is_parsed(tmp_path: Path) -> None:
    model = onnx.load_from_string(onnx_bytes())
    model.ClearField("ir_version")
    (tmp_path / "m").write_bytes(model.SerializeToString())
    assert contents_of(tmp_path / "m") is Contents.ONNX


@pytest.mark.parametrize("share", [0.3, 0.7, 0.99])
def test_cut_zips_are_damaged(share: float, tmp_path: Path) -> None:
    data = saved(STATE)
    (tmp_path / "m.pt").write_bytes(data[: int(share * len(data))])
    with pytest.raises(ModelLoadError, match=r"m.pt is a damaged or truncated zip archive \(\d+ bytes\)"):
        contents_of(tmp_path / "m.pt")
