"""Log-mel features of a spoken digit: the usual input of keyword spotting, in NumPy so that no audio package is needed.

The mel scale is O'Shaughnessy's, 2595 log10(1 + f/700), as in HTK and librosa (htk=True).
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

RATE = 8000
WINDOW = 256
HOP = 128
FRAMES = 40
BANDS = 32
FLOOR = 1e-6
"""Power below which a band counts as silent; keeps the logarithm finite."""


def log_mel(clip: Array) -> Array:
    """Features of one clip.

    Args:
        clip: int16 (samples,) at 8 kHz; cut or padded with silence to 0.66 s.

    Returns:
        float32 (FRAMES, BANDS), about zero mean and unit deviation over speech.
    """
    length = WINDOW + HOP * (FRAMES - 1)
    signal = np.zeros(length, np.float64)
    signal[: min(length, len(clip))] = clip[:length] / 32768
    frames = np.lib.stride_tricks.sliding_window_view(signal, WINDOW)[::HOP] * np.hanning(WINDOW)
    power = np.abs(np.fft.rfft(frames, axis=1)) ** 2
    decibels = np.log(power @ _bank().T + FLOOR)
    return ((decibels + 5) / 5).astype(np.float32)


@functools.cache
def _bank() -> Array:
    """Triangular mel filters, float64 (BANDS, WINDOW // 2 + 1)."""
    mels = np.linspace(_mel(60.0), _mel(RATE / 2), BANDS + 2)
    corners = 700 * (10 ** (mels / 2595) - 1)
    bins = np.fft.rfftfreq(WINDOW, 1 / RATE)
    low, center, high = corners[:-2, None], corners[1:-1, None], corners[2:, None]
    return np.maximum(0, np.minimum((bins - low) / (center - low), (high - bins) / (high - center)))


def _mel(hertz: float) -> float:
    return float(2595 * np.log10(1 + hertz / 700))
