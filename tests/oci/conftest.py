"""The valid bundle of tests/bundle."""

from __future__ import annotations

from tests.bundle.conftest import key, valid

__all__ = ["key", "valid"]
