"""Preprocessing: how a photo becomes the model's input; kept in the metadata of every file."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Preprocessing:
    """Resize the short side, crop the centre, then `(pixel - mean) / std` per channel on 0..255 pixels.

    Attributes:
        size: Side of the square crop in pixels, (height, width).
        resize: Short side in pixels before the crop; None resizes to `size` directly without keeping the aspect.
        mean: Per channel (or one for all), in pixel units 0..255.
        std: Per channel (or one for all), in pixel units.
        layout: "NCHW" or "NHWC".
        color: "RGB", "BGR" or "L".
        interpolation: "bilinear" or "bicubic".
    """

    size: tuple[int, int]
    resize: int | None = None
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (255.0,)
    layout: str = "NCHW"
    color: str = "RGB"
    interpolation: str = "bilinear"
