"""Does the normalisation of calibration data fit the model, and if not, which one would?

Statistic: per output channel of the first layer, the Kullback-Leibler divergence of two normal distributions, data
from training, `(v/V + (m-M)^2/V - 1 - ln(v/V)) / 2` nats; over channels the median, so that dead channels and single
odd ones do not count. Measured with 16 to 200 photos: EfficientNet-Lite0 with its own (x-127)/128 gives 0.02, with
ImageNet mean and std 0.8, with 0..1 0.5, with 0..255 14,000; ResNet-20 on CIFAR-10 with its own ImageNet mean and std
0.03 to 0.11, with -1..1 0.35 to 0.6, with 0..1 0.8 to 1.1. A pure change of scale passes `THRESHOLD` at factors
below 0.55 and above 1.53.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgekit.load.first_layer import FirstLayer, PatchMoments
from edgekit.load.presets import PRESETS, Preset
from edgekit.types.preprocessing import Preprocessing
from edgekit.types.qparams import Array

THRESHOLD = 0.25
"""Median divergence, in nats, above which data does not fit."""
_ALIKE = 0.02
"""Two presets whose divergences differ by less cannot be told apart."""


@dataclass(frozen=True)
class Fit:
    """How data and first layer agree.

    Attributes:
        divergence: Median Kullback-Leibler divergence, nats.
        spread: Median over channels of standard deviation seen / expected.
        offset: Median over channels of |mean seen - expected| / expected standard deviation.
        better: Presets that would fit, best first; empty when none is known or needed.
        better_divergence: Of the best of them, nats.
    """

    divergence: float
    spread: float
    offset: float
    better: tuple[str, ...] = ()
    better_divergence: float = float("nan")

    @property
    def is_bad(self) -> bool:
        """Whether the data does not fit."""
        return self.divergence > THRESHOLD


def judge_fit(moments: PatchMoments, pixels: tuple[Array, Array] | None, sample_shape: tuple[int, ...]) -> Fit:
    """Compare what the first layer sees with what it was trained on, and look for a better preset.

    Args:
        moments: Of the data.
        pixels: (scale, shift), (C,) each, such that `scale * x + shift` are 0..255 pixels; None for no image.
        sample_shape: Shape of the model's input.
    """
    layer = moments.layer
    fit = _compare(layer, *moments.output())
    if not fit.is_bad or pixels is None or not layer.kernel:
        return fit
    candidates: dict[str, float] = {}
    for name, preset in PRESETS.items():
        scale, shift = renormalised_patches(layer, preset, pixels, sample_shape)
        candidates[name] = _compare(layer, *moments.output(scale, shift)).divergence
    best = min(candidates.values())
    if best > THRESHOLD:
        return fit
    names = sorted((name for name in candidates if candidates[name] < best + _ALIKE), key=lambda name: candidates[name])
    return Fit(fit.divergence, fit.spread, fit.offset, tuple(names), best)


def pixel_map(preprocessing: Preprocessing | None, low: Array, high: Array) -> tuple[Array, Array] | None:
    """(scale, shift) that turn preprocessed numbers back into 0..255 pixels.

    With the preprocessing known this is exact; otherwise the preset is taken under which the range of the data covers
    most of 0..255 without leaving it.

    Args:
        preprocessing: What was applied, or None.
        low: (C,) lowest number per channel.
        high: (C,) highest.
    """
    if preprocessing is not None:
        return np.asarray(preprocessing.std, np.float64), np.asarray(preprocessing.mean, np.float64)
    best: tuple[float, Preset] | None = None
    for preset in PRESETS.values():
        std, mean = _spread(preset.std, len(low)), _spread(preset.mean, len(low))
        bottom, top = (low * std + mean).min(), (high * std + mean).max()
        if bottom > -2 and top < 257 and (best is None or top - bottom > best[0]):
            best = float(top - bottom), preset
    if best is None:
        return None
    return _spread(best[1].std, len(low)), _spread(best[1].mean, len(low))


def _compare(layer: FirstLayer, mean: Array, variance: Array) -> Fit:
    live = layer.variance > 1e-6 * layer.variance.max()
    expected = layer.variance[live].astype(np.float64)
    ratio = np.maximum(variance[live] / expected, 1e-12)
    offset = (mean[live] - layer.mean[live]) ** 2 / expected
    divergence = float(np.median(0.5 * (ratio + offset - 1 - np.log(ratio))))
    return Fit(divergence, float(np.sqrt(np.median(ratio))), float(np.median(np.sqrt(offset))))


def renormalised_patches(
    layer: FirstLayer, preset: Preset, pixels: tuple[Array, Array], sample_shape: tuple[int, ...]
) -> tuple[Array, Array]:
    """What renormalising the pixels by `preset` does to the layer's patches: (scale, shift), (K,) each.

    The renormalisation is affine per channel, and so is the prefix, which two constant inputs therefore describe.
    """
    channels = len(np.broadcast_arrays(pixels[0], pixels[1], np.zeros(len(preset.mean)))[0])
    std, mean = _spread(preset.std, channels), _spread(preset.mean, channels)
    scale, shift = pixels[0] / std, (pixels[1] - mean) / std
    axis = 1 if sample_shape[1] in (1, channels) else len(sample_shape) - 1
    count = sample_shape[axis]
    old, new = (
        layer.entry(np.broadcast_to(_along(row, axis, count, len(sample_shape)), sample_shape).astype(np.float32))
        for row in (np.zeros(1), shift)
    )
    places = layer.weight.shape[1] // old.shape[1]
    at_zero, at_shift = (item.reshape(old.shape[1], -1)[:, 0].astype(np.float64) for item in (old, new))
    factor = np.broadcast_to(scale, (old.shape[1],))
    return np.repeat(factor, places), np.repeat(at_shift - factor * at_zero, places)


def _along(row: Array, axis: int, count: int, rank: int) -> Array:
    shape = [1] * rank
    shape[axis] = count
    return np.broadcast_to(row, (count,)).reshape(shape)


def _spread(values: tuple[float, ...], channels: int) -> Array:
    row = np.asarray(values, np.float64)
    return np.broadcast_to(row if len(row) in (1, channels) else row.mean(keepdims=True), (channels,))
