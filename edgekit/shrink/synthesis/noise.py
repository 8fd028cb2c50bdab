"""Where synthesis starts: noise with the spectrum of natural signals.

Photographs, and sound to a lesser degree, have amplitudes that fall as 1/f (Field 1987, J. Opt. Soc. Am. A 4, 2379),
and their colors go largely together. Starting there instead of at white noise, a third of the way is gone.
"""

from __future__ import annotations

import numpy as np

from edgekit.types.qparams import Array

CHROMA = 0.35
"""Amplitude of what each color has for itself, over what all colors share."""


def natural_noise(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Noise of mean 0 and variance 1 over the whole array.

    Args:
        rng: Source of randomness.
        shape: (N, C, *spatial): 1/f over the spatial axes; (N, K): white.

    Returns:
        float32 of `shape`.
    """
    count, channels, *spatial = shape
    if not spatial or max(spatial) == 1:
        return rng.standard_normal(shape, np.float32)
    fields = _fields(rng, (count, 1, *spatial)) + CHROMA * _fields(rng, (count, channels, *spatial))
    return np.asarray((fields - fields.mean()) / max(float(fields.std()), 1e-6), np.float32)


def _fields(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """1/f fields, each of variance 1."""
    spatial = shape[2:]
    axes = tuple(range(2, len(shape)))
    grids = np.meshgrid(*[np.fft.fftfreq(side) for side in spatial], indexing="ij")
    frequency = np.sqrt(sum(grid**2 for grid in grids))
    frequency[(0,) * len(spatial)] = 1 / max(spatial)
    spectrum = np.fft.fftn(rng.standard_normal(shape), axes=axes) / frequency
    field = np.fft.ifftn(spectrum, axes=axes).real
    return np.asarray(field / np.maximum(field.std(axis=axes, keepdims=True), 1e-9))
