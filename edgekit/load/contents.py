"""What a model file holds, found by looking at its bytes. Names and suffixes are not asked."""

from __future__ import annotations

from enum import Enum
from pathlib import Path

from edgekit.errors import ModelLoadError
from edgekit.load.archive import open_archive
from edgekit.load.pickles import is_pickle
from edgekit.load.protobuf import PROTOBUF_LIMIT, read_proto

HEAD_BYTES = 1 << 16
LEGACY_MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""How torch.save began before its zip format (torch 1.6): a pickle of the number 0x1950a86a20f9469cfc6c."""

_SAFETENSORS_HEADER_LIMIT = 100 << 20


class Contents(Enum):
    """Kinds of files that can be opened; the value is what reports call it."""

    PROGRAM = "torch.export program"
    SCRIPT = "TorchScript"
    SAVED = "torch.save file"
    LEGACY = "torch.save file (before torch 1.6)"
    SAFETENSORS = "safetensors state dict"
    PICKLE = "bare pickle"
    ONNX = "ONNX"


_SIGNATURES = (
    (0, b"\x1f\x8b", "a gzip archive", "unpack it first"),
    (0, b"BZh", "a bzip2 archive", "unpack it first"),
    (0, b"7z\xbc\xaf", "a 7-Zip archive", "unpack it first"),
    (0, b"\xfd7zXZ", "an xz archive", "unpack it first"),
    (257, b"ustar", "a tar archive", "unpack it first"),
    (0, b"\x89HDF", "an HDF5 file (Keras)", "edgekit starts from torch or ONNX; convert with tf2onnx"),
    (4, b"TFL3", "a TFLite file", "that is already converted; start from the torch model"),
    (4, b"ET1", "an ExecuTorch program", "that is already converted; start from the torch model"),
    (0, b"GGUF", "a GGUF file (llama.cpp)", "start from the torch model"),
    (0, b"\x93NUMPY", "a NumPy array", "if it is calibration data, pass it as --calibration"),
    (0, b"\x89PNG", "a PNG image", "if it is calibration data, pass its folder as --calibration"),
    (0, b"\xff\xd8\xff", "a JPEG image", "if it is calibration data, pass its folder as --calibration"),
    (0, b"%PDF", "a PDF document", ""),
    (0, b"\x7fELF", "a program or shared library", ""),
)
_WAYS = "edgekit opens torch.export programs, TorchScript, state dicts (.pt, .pth, .safetensors) and ONNX"


def contents_of(path: Path) -> Contents:
    """Look at a file.

    Raises:
        ModelLoadError: It is missing, empty, unreadable, damaged, or something else; the message says what.
    """
    head, size = _head(path)
    if head.startswith(b"PK"):
        return _in_zip(path)
    if head.startswith(LEGACY_MAGIC):
        return Contents.LEGACY
    _refuse_known(path, head, size)
    if head[8:9] == b"{" and 2 <= int.from_bytes(head[:8], "little") <= min(size - 8, _SAFETENSORS_HEADER_LIMIT):
        return Contents.SAFETENSORS
    if head[:1] == b"\x80" and head[1:2] in b"\x02\x03\x04\x05":
        return Contents.PICKLE
    if _is_onnx(path, head, size):
        return Contents.ONNX
    if size <= HEAD_BYTES and is_pickle(head):
        return Contents.PICKLE
    raise ModelLoadError(f"{path.name} is no model that can be recognized; it starts with {head[:16]!r}", hint=_WAYS)


def _head(path: Path) -> tuple[bytes, int]:
    """The first bytes of a file, and its size."""
    if path.is_dir():
        hint = "an unpacked TensorFlow SavedModel must be converted with tf2onnx" if list(path.glob("*.pb")) else _WAYS
        raise ModelLoadError(f"{path} is a folder, not a model file", hint=hint)
    try:
        with path.open("rb") as stream:
            head = stream.read(HEAD_BYTES)
    except FileNotFoundError as error:
        beside = sorted(p.name for p in path.parent.glob(f"{path.stem}.*"))[:5] if path.parent.is_dir() else []
        hint = f"there is {', '.join(beside)}" if beside else f"the current folder is {Path.cwd()}"
        raise ModelLoadError(f"there is no file {path}", hint=hint) from error
    except OSError as error:
        raise ModelLoadError(f"cannot read {path}: {error.strerror}") from error
    if not head:
        raise ModelLoadError(f"{path.name} is empty (0 bytes)", hint="the copy or download that made it failed")
    return head, path.stat().st_size


def _refuse_known(path: Path, head: bytes, size: int) -> None:
    """Say what else a file is, when it shows."""
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:512].lower()
    if text.startswith((b"<!doctype html", b"<html", b"<?xml", b"<head")):
        raise ModelLoadError(
            f"{path.name} is a web page ({size} bytes), not a model",
            hint="the download saved a login or error page; open the link in a browser, or use its 'raw' address",
        )
    if text.startswith(b"version https://git-lfs"):
        raise ModelLoadError(
            f"{path.name} is a Git LFS pointer ({size} bytes), not the model itself", hint="run: git lfs pull"
        )
    if not head.strip(b"\0"):
        raise ModelLoadError(f"{path.name} holds only zero bytes ({size} of them)", hint="copy or download it again")
    for offset, signature, what, hint in _SIGNATURES:
        if head[offset : offset + len(signature)] == signature:
            raise ModelLoadError(f"{path.name} is {what}, not a model", hint=hint or _WAYS)


def _in_zip(path: Path) -> Contents:
    archive = open_archive(path)
    names = archive.sizes
    if archive.has("data/aotinductor/"):
        hint = "hand over the torch.export program it was compiled from"
        raise ModelLoadError(f"{path.name} holds compiled machine code (AOTInductor), which is never loaded", hint=hint)
    if archive.has("models/") or "serialized_exported_program.json" in names:
        return Contents.PROGRAM
    if archive.has("code/") and "constants.pkl" in names:
        return Contents.SCRIPT
    if ".data/extern_modules" in names:
        raise ModelLoadError(f"{path.name} is a torch.package, which runs its own code", hint=_WAYS)
    if "data.pkl" in names:
        return Contents.SAVED
    members = ", ".join(list(names)[:5]) + (", ..." if len(names) > 5 else "")
    raise ModelLoadError(f"{path.name} is a zip archive without a model in it, but {members or 'nothing'}", hint=_WAYS)


def _is_onnx(path: Path, head: bytes, size: int) -> bool:
    """Whether it parses as an ONNX model, or begins as one (`ir_version` comes first) and is broken further on."""
    if head[0] == 0x08 and len(head) > 2 and 0 < head[1] < 32 and head[2] in (0x12, 0x1A, 0x22, 0x28, 0x32, 0x3A, 0x42):
        return True
    if size >= PROTOBUF_LIMIT or head[0] & 0x07 not in (0, 2):
        return False
    try:
        model = read_proto(path)
    except ModelLoadError:
        return False
    return bool(model.graph.node) and bool(model.opset_import)
