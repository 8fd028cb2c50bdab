"""A folder of images as a calibration set: which files, in which order, with which labels."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgekit.errors import CalibrationError
from edgekit.load.images import SUFFIXES
from edgekit.types.finding import Finding, Severity
from edgekit.types.qparams import Array

LABEL_FILES = ("labels.csv", "labels.txt")
MAX_LABEL_BYTES = 64 * 2**20


@dataclass(frozen=True, eq=False)
class ImageFolder:
    """The images under a folder.

    Attributes:
        root: The folder.
        paths: Every image, sorted by path relative to `root`.
        classes: int64 (len(paths),) labels, or None.
        findings: How labels were read.
    """

    root: Path
    paths: tuple[Path, ...]
    classes: Array | None
    findings: tuple[Finding, ...] = ()


def list_images(root: Path) -> ImageFolder:
    """Find the images under `root`, folders in folders included; hidden files and folders are left out.

    Labels come from `labels.csv` or `labels.txt` in `root` (one `file,label` or `file label` a line), else, when every
    image sits in a folder of its own class, from the folder names: the names themselves when all are whole numbers,
    otherwise their place in sorted order (as torchvision's ImageFolder counts).

    Raises:
        CalibrationError: No image is found, or a label file does not fit the images.
    """
    names = sorted(_walk(root))
    if not names:
        raise CalibrationError(
            f"no image in folder {root}", hint=f"looked, in all its folders, for {', '.join(sorted(SUFFIXES))}"
        )
    paths = tuple(root / name for name in names)
    for label_file in LABEL_FILES:
        if (root / label_file).is_file():
            return ImageFolder(root, paths, _read_labels(root / label_file, names))
    if all("/" in name for name in names):
        classes, finding = _folder_labels(names, root)
        return ImageFolder(root, paths, classes, (finding,))
    return ImageFolder(root, paths, None)


def _walk(root: Path) -> Iterable[str]:
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES:
                yield (Path(folder) / name).relative_to(root).as_posix()


def _folder_labels(names: list[str], root: Path) -> tuple[Array, Finding]:
    folders = [name.split("/", 1)[0] for name in names]
    labels = _numbered(folders)
    table = dict(sorted({folder: int(label) for folder, label in zip(folders, labels, strict=True)}.items()))
    shown = ", ".join(f"{folder}={label}" for folder, label in list(table.items())[:6])
    more = f" and {len(table) - 6} more" if len(table) > 6 else ""
    message = f"labels are taken from {len(table)} folder name(s): {shown}{more}"
    hint = "write a labels.csv (file,label) in the folder if the model counts its classes differently"
    return labels, Finding("labels-from-folders", message, Severity.NOTE, str(root), hint)


def _numbered(words: list[str]) -> Array:
    """Whole numbers as they are, other words by their place in sorted order; int64."""
    if all(word.isdecimal() and len(word) < 10 for word in words):
        return np.array([int(word) for word in words], np.int64)
    place = {word: index for index, word in enumerate(sorted(set(words)))}
    return np.array([place[word] for word in words], np.int64)


def _read_labels(path: Path, names: list[str]) -> Array:
    if path.stat().st_size > MAX_LABEL_BYTES:
        raise CalibrationError(f"{path} has {path.stat().st_size} bytes, at most {MAX_LABEL_BYTES} are read")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise CalibrationError(f"{path} is not UTF-8 text: {error}") from error
    table: dict[str, str] = {}
    for number, row in enumerate(_rows(text, path.suffix), start=1):
        if len(row) != 2:
            raise CalibrationError(f"{path}, row {number}: expected a file and a label, found {len(row)} column(s)")
        table[row[0].replace("\\", "/")] = row[1]
    missing = [name for name in names if name not in table]
    if missing:
        raise CalibrationError(
            f"{path} has no label for {len(missing)} of {len(names)} images, first {missing[0]}",
            hint="give one row per image: its path inside the folder, then its label",
        )
    return _numbered([table[name] for name in names])


def _rows(text: str, suffix: str) -> Iterable[list[str]]:
    """Rows of `file, label`; blank lines and a heading without an image suffix are left out."""
    if suffix == ".csv":
        rows = [[cell.strip() for cell in row] for row in csv.reader(text.splitlines())]
    else:
        rows = [line.rsplit(maxsplit=1) for line in text.splitlines()]
    rows = [row for row in rows if any(row)]
    if rows and Path(rows[0][0]).suffix.lower() not in SUFFIXES:
        rows = rows[1:]
    return rows
