"""The files of the benchmarks' tests."""

from __future__ import annotations

from tests.bench.conftest import artifacts

__all__ = ["artifacts"]
