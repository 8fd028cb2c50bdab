"""What all tests share: quiet determinism, and the two things a machine may lack, each skipped by name.

- `../shared/data`: labelled data and weights outside the repository; marker `data`, fixture `shared_data`.
- a second environment with tflite-runtime 2.14, made by `make tflite-env`; fixture `tflite_runtime_python`. In CI
  (CI=true) it has to be there.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).parents[1]
SHARED_DATA = ROOT.parent / "shared" / "data"

# A deadline measures the machine, not the code; examples are the same on every run in CI.
settings.register_profile(
    "edgekit",
    deadline=None,
    max_examples=30,
    derandomize=os.environ.get("CI") == "true",
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("edgekit")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs the labelled data where there is none."""
    if SHARED_DATA.is_dir():
        return
    for item in items:
        if item.get_closest_marker("data"):
            item.add_marker(pytest.mark.skip(reason="needs ../shared/data, which is not part of the repository"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the labelled data."""
    if not SHARED_DATA.is_dir():
        pytest.skip("needs ../shared/data, which is not part of the repository")
    return SHARED_DATA


@pytest.fixture(scope="session")
def tflite_runtime_python() -> Path:
    """Interpreter of the environment that has tflite-runtime 2.14 and numpy 1."""
    place = os.environ.get("EDGEKIT_TFLITE_RUNTIME_PYTHON", "")
    if place and Path(place).is_file():
        return Path(place)
    assert os.environ.get("CI") != "true", "CI must have the tflite-runtime environment: make tflite-env"
    pytest.skip("needs tflite-runtime 2.14 in its own environment: make tflite-env")
