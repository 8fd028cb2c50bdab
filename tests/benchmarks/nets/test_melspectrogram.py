"""Log-mel features put a tone where it belongs."""

import numpy as np
import pytest

from benchmarks.nets.melspectrogram import BANDS, FLOOR, FRAMES, RATE, log_mel


def _tone(hertz: float, seconds: float = 1.0) -> np.ndarray:
    time = np.arange(int(RATE * seconds)) / RATE
    return (20000 * np.sin(2 * np.pi * hertz * time)).astype(np.int16)


def test_silence_is_the_floor_everywhere() -> None:
    features = log_mel(np.zeros(100, np.int16))
    assert features.shape == (FRAMES, BANDS)
    assert features.dtype == np.float32
    np.testing.assert_allclose(features, (np.log(FLOOR) + 5) / 5, rtol=1e-6)


@pytest.mark.parametrize("hertz", [300.0, 1000.0, 3000.0])
def test_a_tone_peaks_in_the_band_of_its_mel(hertz: float) -> None:
    mels = np.linspace(2595 * np.log10(1 + 60 / 700), 2595 * np.log10(1 + RATE / 2 / 700), BANDS + 2)[1:-1]
    nearest = int(np.abs(mels - 2595 * np.log10(1 + hertz / 700)).argmin())
    assert abs(int(log_mel(_tone(hertz))[FRAMES // 2].argmax()) - nearest) <= 1


def test_a_short_clip_is_followed_by_silence() -> None:
    features = log_mel(_tone(1000.0, seconds=0.2))
    assert features[0].max() > 0
    np.testing.assert_allclose(features[-1], (np.log(FLOOR) + 5) / 5, rtol=1e-6)
