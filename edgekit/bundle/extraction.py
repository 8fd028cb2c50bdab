"""Takes the files out of a verified bundle, as other tools want them: a folder that appears whole or not at all.

Beside a variant's files lie `manifest.json` and `model.sig`, so that stock `model_signing verify key` accepts the
folder as it is.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from edgekit.bundle.blobs import Blobs
from edgekit.bundle.hashing import check_stream
from edgekit.bundle.manifest_rules import SIGNATURE_FILE
from edgekit.bundle.opening import open_bundle
from edgekit.bundle.release import Image
from edgekit.bundle.verify import Verdict
from edgekit.errors import InputError, StorageError


def extract(path: Path, verdict: Verdict, folder: Path, *, variant: str | None = None) -> Sequence[Path]:
    """Write a variant's files into a folder, or each variant's into a folder of its name.

    The files are hashed again on the way: what was verified is what is written, also where the bundle changed since.

    Args:
        path: The bundle that was verified.
        verdict: What `verify_bundle` said of it.
        folder: Where to; it must not be there, or be empty.
        variant: Of which variant; None for all.

    Returns:
        The folders of the variants.

    Raises:
        InputError: No such variant, or the folder is in use.
        DigestError: The bundle changed since it was verified.
        StorageError: The disk is full, or the place not writable.
    """
    chosen = _choose(verdict, variant)
    unfinished: Path | None = None
    try:
        _check_place(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        with open_bundle(path) as bundle:
            for image in chosen:
                _write(bundle.blobs, image, unfinished if variant else unfinished / image.variant.name)
        unfinished.chmod(0o755)
        unfinished.replace(folder)
    except OSError as error:
        raise StorageError(
            f"cannot write {folder}: {error.strerror or error}", hint="free some space, or choose another place"
        ) from error
    finally:
        if unfinished is not None:
            shutil.rmtree(unfinished, ignore_errors=True)
    return [folder if variant else folder / image.variant.name for image in chosen]


def _check_place(folder: Path) -> None:
    """Nothing is there, or an empty folder."""
    if folder.name in ("", ".."):
        raise InputError(f"{str(folder)!r} names no new folder", hint="name the folder that is to be written")
    if folder.is_symlink() or (folder.exists() and not (folder.is_dir() and not any(folder.iterdir()))):
        raise InputError(f"{folder} exists already", hint="files are only put into a new or an empty folder")


def _choose(verdict: Verdict, variant: str | None) -> Sequence[Image]:
    if variant is None:
        return list(verdict.images.values())
    if variant not in verdict.images:
        known = ", ".join(verdict.images)
        raise InputError(f"{verdict.name} has no variant {variant!r}", hint=f"its variants are: {known}")
    return [verdict.images[variant]]


def _write(blobs: Blobs, image: Image, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, layer in image.layers.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with blobs.open(layer.blob) as source, target.open("xb") as stream:
            check_stream(source, layer.blob, what=name, write=stream.write)
            stream.flush()
            os.fsync(stream.fileno())
    (folder / SIGNATURE_FILE).write_bytes(image.signature)
