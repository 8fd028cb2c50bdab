"""Hostile data files: nothing is unpickled, nothing is unpacked beyond reason, every lie in a header is caught."""

from __future__ import annotations

import io
import os
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from edgekit.errors import CalibrationError, StorageError
from edgekit.load import array_files
from edgekit.load.samples import open_samples
from edgekit.types.spec import TensorSpec

SPEC = TensorSpec("x", (1, 4), batch_axis=0)


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("unpickled",)


def refuse(path: Path, message: str, error: type[Exception] = CalibrationError) -> None:
    with pytest.raises(error, match=message):
        list(open_samples(path, inputs=[SPEC], workdir=path.parent / "work"))


def header(shape: str, descr: str = "<f4", pad: int = 0) -> bytes:
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".encode() + b" " * pad + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def test_pickles_are_never_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    hostile = np.array([Bomb()], dtype=object)
    np.save(tmp_path / "p.npy", hostile, allow_pickle=True)
    refuse(tmp_path / "p.npy", "pickled Python objects")
    np.savez(tmp_path / "p.npz", x=hostile)
    refuse(tmp_path / "p.npz", "pickled Python objects")
    np.savez_compressed(tmp_path / "c.npz", x=hostile)
    refuse(tmp_path / "c.npz", "pickled Python objects")
    (tmp_path / "raw.npy").write_bytes(pickle.dumps(Bomb()))
    refuse(tmp_path / "raw.npy", "not a readable .npy")
    np.save(tmp_path / "records.npy", np.zeros(3, [("é", "f4")]))
    refuse(tmp_path / "records.npy", "not numbers")
    assert not (tmp_path / "unpickled").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a readable"),
        (header("(1000000000000, 4)") + b"\0" * 64, "declares shape"),
        (header("(-1, 4)") + b"\0" * 64, "declares shape|not a readable"),
        (header("(" + "9" * 4000 + ", 4)") + b"\0" * 64, "declares shape|not a readable"),
        (header("(2, 4)") + b"\0" * 31, "cut short or forged|declares shape"),
        (header("(2, 4)", pad=20000) + b"\0" * 32, "not a readable"),
        (header("__import__('os').mkdir('unpickled')") + b"\0" * 32, "not a readable"),
        (header("(" * 3000 + ")" * 3000), "not a readable"),
        (header("(2, 4)").replace(b"'descr'", b"'descr\x00"), "not a readable"),
        (header("(2, 4)").replace(b"(2, 4), }", b"(2, 4),  "), "not a readable"),
        (header("(2, 4)", descr="|V4") + b"\0" * 32, "not numbers"),
        (b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**32 - 1) + b" " * 100, "not a readable"),
        (b"\x93NUMPY\x09\x00" + b" " * 100, "version"),
    ],
)
def test_forged_headers(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(content)
    refuse(tmp_path / "a.npy", message)
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        with zipfile.ZipFile(tmp_path / "a.npz", "w", method) as archive:
            archive.writestr("x.npy", content)
            archive.writestr("z.npy", header("(9, 4)") + b"\0" * 144)  # bytes behind a member are not its own
        refuse(tmp_path / "a.npz", message + "|the model takes")


def test_a_zip_bomb_is_refused_before_it_unpacks(tmp_path: Path) -> None:
    head, zeros = header("(1610612736, 4)", "|i1"), 6 * 2**30
    with (
        zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("x.npy", "w", force_zip64=True) as member,
    ):
        member.write(head)
        block = bytes(2**24)
        for _ in range(2**30 // len(block) + 1):
            member.write(block)
    assert zeros > array_files.SUSPECT_BYTES
    refuse(tmp_path / "bomb.npz", "refused as a zip bomb")
    assert not (tmp_path / "work").exists()


def test_a_member_larger_than_the_disk_is_an_error_before_it_is_written(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", x=np.ones((9, 4), np.float32))
    full = type("Usage", (), {"free": 100})()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(array_files.shutil, "disk_usage", lambda _: full)
        refuse(tmp_path / "a.npz", "100 bytes free", StorageError)


def test_damaged_archives(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    good = io.BytesIO()
    np.savez_compressed(good, x=rng.normal(size=(50, 4)).astype(np.float32))
    raw = bytearray(good.getvalue())
    (tmp_path / "not.npz").write_bytes(b"PK nothing")
    refuse(tmp_path / "not.npz", "not a readable .npz")
    (tmp_path / "cut.npz").write_bytes(raw[:300])
    refuse(tmp_path / "cut.npz", "not a readable .npz")
    raw[200] ^= 0xFF
    (tmp_path / "flipped.npz").write_bytes(raw)
    refuse(tmp_path / "flipped.npz", "not a readable .npz")
    with zipfile.ZipFile(tmp_path / "twice.npz", "w") as archive:
        archive.writestr("x.npy", header("(1, 4)") + b"\0" * 16)
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("x.npy", header("(2, 4)") + b"\0" * 32)
    refuse(tmp_path / "twice.npz", "two members of one name")
    with zipfile.ZipFile(tmp_path / "none.npz", "w") as archive:
        archive.writestr("readme.txt", "no arrays")
    refuse(tmp_path / "none.npz", "holds no array")


def test_member_names_are_never_paths(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../escape.npy", header("(2, 4)") + b"\0" * 32)
    samples = open_samples(tmp_path / "a.npz", inputs=[SPEC], workdir=tmp_path / "deep" / "work")
    assert samples.count == 2
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert all(path.name == "a.npz" or path.parent == tmp_path / "deep" / "work" for path in written)


def test_a_file_that_shrinks_while_it_is_read_is_an_error_not_a_crash(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((100, 4), np.float32))
    samples = open_samples(tmp_path / "a.npy", inputs=[SPEC], workdir=tmp_path)
    os.truncate(tmp_path / "a.npy", 500)
    with pytest.raises(CalibrationError, match="became shorter"):
        list(samples)
