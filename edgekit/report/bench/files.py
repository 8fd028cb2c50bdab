"""Writes everything a benchmark or a gate is told in, each file whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from edgekit.errors import StorageError
from edgekit.report.bench.document import render_gate_json, render_json
from edgekit.report.bench.gate_markdown import render_gate_markdown
from edgekit.report.bench.github_action import render_github_action
from edgekit.report.bench.junit import render_gate_junit, render_junit
from edgekit.report.bench.markdown import render_markdown
from edgekit.report.bench.page import render_page
from edgekit.report.files import write_text
from edgekit.types.bench import BenchReport
from edgekit.types.gate import GateReport

T = TypeVar("T")
BENCH_FILES: Mapping[str, Callable[[BenchReport], str]] = {
    "report.json": render_json,
    "report.md": render_markdown,
    "junit.xml": render_junit,
    "benchmark-action.json": render_github_action,
    "index.html": render_page,
}
"""File name -> what writes its text."""
GATE_FILES: Mapping[str, Callable[[GateReport], str]] = {
    "gate.json": render_gate_json,
    "gate.md": render_gate_markdown,
    "gate-junit.xml": render_gate_junit,
}


def write_bench(report: BenchReport, out: Path) -> list[Path]:
    """Write report.json, report.md, junit.xml, benchmark-action.json and index.html.

    Args:
        report: What to tell.
        out: The folder; it is made where it is missing.

    Returns:
        The paths, in this order.

    Raises:
        StorageError: The disk is full or the folder not writable.
    """
    return _write(BENCH_FILES, report, out)


def write_gate(report: GateReport, out: Path) -> list[Path]:
    """Write gate.json, gate.md and gate-junit.xml in the same way."""
    return _write(GATE_FILES, report, out)


def _write(files: Mapping[str, Callable[[T], str]], report: T, out: Path) -> list[Path]:
    """All texts are made before the first is written."""
    texts = {out / name: render(report) for name, render in files.items()}
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"cannot make the folder {out.name}: {error.strerror or error}", hint="choose another one with --out"
        ) from error
    for path, text in texts.items():
        write_text(path, text.encode("utf-8", "replace").decode())
    return list(texts)
