"""Mutations of .npz and .npy files: the zip around the arrays, their headers, and claims that do not hold."""

from __future__ import annotations

import io
import warnings
import zipfile
from collections.abc import Sequence
from random import Random

import numpy as np

from edgekit.runtime.array_archive import write_arrays
from edgekit.types.qparams import Array
from tests.fuzz import hostile
from tests.fuzz.byte_mutation import mutate_bytes

SHAPES = (
    "()", "(0,)", "(1,)", "(4, 1, 10)", "(99999999999,)", "(2147483647, 2147483647)", "(-1,)", "(1, -5)", "(True,)",
    "(1.0,)", "[4, 1]", "4", "(" + "1, " * 40 + ")", "(" + "0, 9999999999, " * 9 + ")", "(65536, 0, 65536, 65536)",
    "None",
)  # fmt: skip
DTYPES = (
    "'<f4'", "'|i1'", "'>f8'", "'<f2'", "'|b1'", "'|O'", "'<U9999999'", "'|V99999999'", "'<M8'", "'<c16'", "'f4'",
    "'<f16'", "'<f3'", "[('a', '<f4')]", "'O'", "''", "None", "'<i8'",
)  # fmt: skip


def write_array(array: Array) -> bytes:
    """An .npy."""
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    return stream.getvalue()


def specimens_of_arrays() -> tuple[bytes, bytes]:
    """An .npz with two arrays, and an .npy."""
    array = (np.arange(2 * 192) % 7).astype(np.float32).reshape(2, 1, 3, 8, 8)
    stream = io.BytesIO()
    write_arrays(stream, {"image": array, "labels": np.arange(2)})
    return stream.getvalue(), write_array(array)


def mutate_array(random: Random, data: bytes) -> bytes:
    """A changed .npy."""
    if random.random() < 0.3:
        return mutate_bytes(random, data)
    order = random.choice(("False", "True", "0", "None"))
    header = f"{{'descr': {random.choice(DTYPES)}, 'fortran_order': {order}, 'shape': {random.choice(SHAPES)}, }}"
    if random.random() < 0.2:
        header = random.choice(
            (hostile.deep(3000, "["), "()" * 9000, "__import__('os').abort()", header + " " * 60_000)
        )
    text = header.encode() + b"\n"
    version = random.choice((1, 1, 1, 2, 3, 9))
    width = 2 if version == 1 else 4
    claimed = random.choice((len(text), len(text), len(text), 0, len(text) + 1, 2**15))
    content = random.choice((data[128:], b"", bytes(40), bytes(4000)))
    return b"\x93NUMPY" + bytes([version, 0]) + claimed.to_bytes(width, "little") + text + content


def mutate_archive(random: Random, data: bytes, others: Sequence[bytes] = ()) -> bytes:
    """A changed .npz."""
    if random.random() < 0.5:
        return mutate_bytes(random, data, others)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = [(entry.filename, archive.read(entry)) for entry in archive.infolist()]
    for _ in range(random.choice((1, 1, 2))):
        _change(random, entries)
    packed = _write(random, entries)
    return mutate_bytes(random, packed) if random.random() < 0.2 else packed


def _change(random: Random, entries: list[tuple[str, bytes]]) -> None:
    how = random.randrange(6)
    place = random.randrange(len(entries)) if entries else 0
    if how <= 2 and entries:
        entries[place] = (entries[place][0], mutate_array(random, entries[place][1]))
    elif how == 3 and entries:
        entries[place] = (hostile.name(random) + random.choice((".npy", "")), entries[place][1])
    elif how == 4 and entries:
        entries += [random.choice(entries)] * random.choice((1, 300))
    else:
        entries.append(
            (random.choice(("bomb.npy", "labels.npy", "x.txt")), bytes(random.choice((0, 10**6, 8 * 10**6))))
        )


def _write(random: Random, entries: Sequence[tuple[str, bytes]]) -> bytes:
    stream = io.BytesIO()
    method = random.choice(
        (zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that come twice, which is what is wanted here
        with zipfile.ZipFile(stream, "w", method) as archive:
            for name, data in entries:
                written = name.encode("utf-8", "replace").decode()
                archive.writestr(zipfile.ZipInfo(written or "x", (1980, 1, 1, 0, 0, 0)), data, method)
            if random.random() < 0.2:
                archive.comment = random.randbytes(300)
    return stream.getvalue()
