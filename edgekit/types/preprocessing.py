"""Preprocessing: how a photo becomes the model's input; kept in the metadata of every file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from edgekit.errors import RecipeError

LAYOUTS = ("NCHW", "NHWC")
COLORS = {"RGB": 3, "BGR": 3, "L": 1}
INTERPOLATIONS = ("bilinear", "bicubic")
MAX_SIDE = 16384
"""Largest side of a preprocessed image, in pixels: a bound on what a metadata field can make us allocate."""


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

    Raises:
        RecipeError: A field has an impossible value.
    """

    size: tuple[int, int]
    resize: int | None = None
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (255.0,)
    layout: str = "NCHW"
    color: str = "RGB"
    interpolation: str = "bilinear"

    def __post_init__(self) -> None:
        _require(self.layout in LAYOUTS, f"layout must be one of {LAYOUTS}, found {self.layout!r}")
        _require(self.color in COLORS, f"color must be one of {tuple(COLORS)}, found {self.color!r}")
        _require(
            self.interpolation in INTERPOLATIONS,
            f"interpolation must be one of {INTERPOLATIONS}, found {self.interpolation!r}",
        )
        sides = len(self.size) == 2 and all(0 < side <= MAX_SIDE for side in self.size)
        _require(sides, f"size must be (height, width) in 1..{MAX_SIDE} pixels, found {self.size}")
        if self.resize is not None:
            fits = max(self.size) <= self.resize <= MAX_SIDE
            _require(
                fits, f"resize must be in {max(self.size)}..{MAX_SIDE} pixels to hold the crop, found {self.resize}"
            )
        for name, values in (("mean", self.mean), ("std", self.std)):
            _require(
                len(values) in (1, self.channels), f"{name} needs 1 or {self.channels} values, found {len(values)}"
            )
            _require(all(math.isfinite(value) for value in values), f"{name} must be finite, found {values}")
        _require(all(value > 0 for value in self.std), f"std must be positive, found {self.std}")

    @property
    def channels(self) -> int:
        """Channels of the result: 3, or 1 for "L"."""
        return COLORS[self.color]

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Shape of one preprocessed sample, batch axis of size 1 first, in `layout`."""
        height, width = self.size
        return (1, self.channels, height, width) if self.layout == "NCHW" else (1, height, width, self.channels)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON metadata and TOML; `resize` is left out when None.

        Law: `Preprocessing.from_dict(p.to_dict()) == p`.
        """
        values = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}
        return {key: value for key, value in values.items() if value is not None}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Preprocessing:
        """Read what `to_dict` wrote, or a hand-written TOML table; a single number stands for a list of one.

        Raises:
            RecipeError: A key is unknown or missing, or a value has the wrong type.
        """
        known = {item.name for item in fields(cls)}
        unknown = sorted(set(values) - known)
        _require(not unknown, f"unknown preprocessing field(s) {unknown}; known are {sorted(known)}")
        _require("size" in values, "preprocessing needs a size")
        read: dict[str, Any] = {}
        for key, value in values.items():
            read[key] = _READERS[key](key, value)
        return cls(**read)


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise RecipeError(message, hint="see `edgekit.types.preprocessing.Preprocessing` for the fields")


def _whole(key: str, value: object) -> int:
    _require(isinstance(value, int) and not isinstance(value, bool), f"{key} must be a whole number, found {value!r}")
    assert isinstance(value, int)
    return value


def _text(key: str, value: object) -> str:
    _require(isinstance(value, str), f"{key} must be text, found {value!r}")
    return str(value)


def _numbers(key: str, value: Any) -> tuple[float, ...]:
    items = value if isinstance(value, list | tuple) else [value]
    good = all(isinstance(item, int | float) and not isinstance(item, bool) for item in items)
    _require(good, f"{key} must be a number or a list of numbers, found {value!r}")
    return tuple(float(item) for item in items)


def _sides(key: str, value: Any) -> tuple[int, ...]:
    items = value if isinstance(value, list | tuple) else [value, value]
    return tuple(_whole(key, item) for item in items)


_READERS = {
    "size": _sides,
    "resize": _whole,
    "mean": _numbers,
    "std": _numbers,
    "layout": _text,
    "color": _text,
    "interpolation": _text,
}
