"""A lab: a channel in memory, founded, with no release."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.publish.lab import Lab


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    made = Lab(tmp_path / "bundles")
    made.found()
    return made
