import pytest

from tests.targets.nets import calibrate


@pytest.fixture
def calibrated():
    """calibrated(name, count): a small net and what calibration saw of it, made once."""
    return calibrate
