"""Natural noise has the spectrum it promises."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.shrink.synthesis.noise import natural_noise


@pytest.mark.parametrize("shape", [(4, 3, 64, 48), (4, 1, 1024), (5, 16), (3, 2, 1, 1)])
def test_shape_and_unit_variance(shape: tuple[int, ...]) -> None:
    noise = natural_noise(np.random.default_rng(0), shape)
    assert noise.shape == shape
    assert noise.dtype == np.float32
    if np.prod(shape) > 1000:
        assert abs(noise.mean()) < 0.01
        assert abs(noise.std() - 1) < 0.01


def test_amplitude_falls_as_one_over_frequency() -> None:
    noise = natural_noise(np.random.default_rng(0), (64, 1, 128, 128))[:, 0]
    amplitude = np.sqrt((np.abs(np.fft.fft2(noise)) ** 2).mean(0))
    along = amplitude[0, 2:50]
    slope = np.polyfit(np.log(np.arange(2, 50)), np.log(along), 1)[0]
    assert slope == pytest.approx(-1.0, abs=0.1)  # 64 fields leave about 0.03 of spread


def test_colors_go_together() -> None:
    noise = natural_noise(np.random.default_rng(0), (8, 3, 64, 64))
    correlation = np.corrcoef(noise.transpose(1, 0, 2, 3).reshape(3, -1))
    assert correlation[np.triu_indices(3, 1)].min() > 0.7
