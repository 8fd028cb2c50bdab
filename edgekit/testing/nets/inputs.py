"""Inputs with the statistics of real signals: smooth and correlated, since white noise quantizes unlike photographs."""

from __future__ import annotations

import numpy as np

from edgekit.types.qparams import Array
from edgekit.types.spec import TensorSpec


def smooth(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Noise with a 1/f amplitude spectrum over all axes, zero mean, unit deviation, float32.

    Natural images have this spectrum (Field 1987, "Relations between the statistics of natural images and the
    response properties of cortical cells"); so, roughly, have sounds.

    Args:
        shape: Result shape without the batch axis.
        rng: Source of randomness.
    """
    if not shape:
        return np.asarray(rng.standard_normal(), np.float32)
    frequencies = np.meshgrid(*(np.fft.fftfreq(size) * size for size in shape), indexing="ij")
    radius = np.sqrt(sum(f * f for f in frequencies))
    spectrum = np.fft.fftn(rng.standard_normal(shape)) / np.maximum(radius, 1.0)
    field = np.fft.ifftn(spectrum).real
    scaled: Array = ((field - field.mean()) / max(float(field.std()), 1e-6)).astype(np.float32)
    return scaled


def tokens(shape: tuple[int, ...], rng: np.random.Generator, *, vocabulary: int) -> Array:
    """int64 ids in [0, vocabulary) with frequencies that fall as 1/rank (Zipf's law)."""
    weights = 1.0 / np.arange(1, vocabulary + 1)
    return rng.choice(vocabulary, size=shape, p=weights / weights.sum()).astype(np.int64)


def draw(spec: TensorSpec, rng: np.random.Generator, *, vocabulary: int) -> Array:
    """One sample of `spec`, its leading batch axis of 1 kept; images get one brightness and contrast per sample."""
    if "int" in spec.dtype:
        return tokens(spec.shape, rng, vocabulary=vocabulary).astype(spec.dtype)
    field = smooth(spec.shape[1:], rng)
    contrast, brightness = rng.uniform(0.6, 1.3), rng.normal(0.0, 0.3)
    return (field * contrast + brightness)[None].astype(spec.dtype)
