"""Writes report.json and report.md beside the artifacts: whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from edgekit.errors import StorageError
from edgekit.report.json_report import render_json
from edgekit.report.markdown import render_markdown
from edgekit.types.report import Report

JSON_NAME, MARKDOWN_NAME = "report.json", "report.md"


def write_reports(report: Report, folder: Path) -> tuple[Path, Path]:
    """Write both files into an existing folder.

    Returns:
        The paths of report.json and report.md.

    Raises:
        StorageError: The disk is full or the folder not writable.
    """
    paths = folder / JSON_NAME, folder / MARKDOWN_NAME
    for path, text in zip(paths, (render_json(report), render_markdown(report)), strict=True):
        write_text(path, text)
    return paths


def write_text(path: Path, text: str) -> None:
    """Write beside the target, flush, rename: a reader never sees half a report.

    Raises:
        StorageError: The disk is full or the folder not writable.
    """
    temporary: Path | None = None
    try:
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", newline="\n", dir=path.parent, prefix=f".{path.name}.", delete=False
        ) as stream:
            temporary = Path(stream.name)
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        raise StorageError(
            f"cannot write {path.name}: {error.strerror or error}",
            hint="free some space, or choose another folder with --out",
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
