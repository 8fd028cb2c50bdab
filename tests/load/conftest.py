"""Tests run beside one another: torch with a pool of threads in each only makes all of them slow."""

from __future__ import annotations

import sys

import pytest


@pytest.fixture(autouse=True)
def one_torch_thread() -> None:
    """One thread, where a test has torch at all."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.get_num_threads() != 1:
        torch.set_num_threads(1)
