"""The example report, its page on disk, and a real browser where there is one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgekit.report.bench.page import render_page
from edgekit.types.bench import BenchReport
from edgekit.types.gate import GateReport
from tests.report.bench.example import make_gate, make_report

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
TIMEOUT_MS = 60_000
"""Two workers share two cores with the browser."""


@pytest.fixture(scope="session")
def report() -> BenchReport:
    return make_report()


@pytest.fixture(scope="session")
def gate() -> GateReport:
    return make_gate()


@pytest.fixture(scope="session")
def page_path(report: BenchReport, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "index.html"
    path.write_text(render_page(report), encoding="utf-8")
    return path


def missing(what: str, how: str) -> None:
    """Skip by name; where all devices are required, fail."""
    text = f"needs {what}: {how}"
    if os.environ.get("EDGEKIT_DEVICES") == "required":
        pytest.fail(text)
    pytest.skip(text)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Headless Chromium, the system's own; playwright only drives it.

    Not for the whole session: while it is there, an event loop runs in this thread, and no other can.
    """
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("playwright", "pip install playwright")
    executable = shutil.which("chromium") or shutil.which("chromium-browser")
    if executable is None:
        missing("chromium", "apt-get install chromium")
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=executable, args=list(FLAGS), timeout=TIMEOUT_MS)
        yield found
        found.close()
