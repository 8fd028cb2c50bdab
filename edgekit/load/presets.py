"""The usual ways of normalising an image, by name, and the grammar that names them.

A wrong normalisation is the commonest cause of a bad int8 model: it costs accuracy without any error. The presets are
also the candidates that the lint of calibration data tries when the data does not fit the model.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgekit.errors import CalibrationError, RecipeError
from edgekit.types.finding import Finding, Severity
from edgekit.types.preprocessing import Preprocessing
from edgekit.types.spec import TensorSpec

SMALL_SIDE = 96
"""Up to this side (pixels), nets are trained on whole images: no resize-then-crop by default."""


@dataclass(frozen=True)
class Preset:
    """A named normalisation.

    Attributes:
        name: What `--preprocess` calls it.
        mean: Pixel units, one per channel or one for all.
        std: Pixel units, same length.
        interpolation: Of the resize.
        about: The formula on a pixel x in 0..255, for help texts and findings.
    """

    name: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str
    about: str


IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)
"""The torchvision constants (0.485, 0.456, 0.406) and (0.229, 0.224, 0.225), times 255."""

PRESETS: Mapping[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset("imagenet", IMAGENET_MEAN, IMAGENET_STD, "bilinear", "(x/255 - mean)/std of ImageNet"),
        Preset("lite", (127.0,), (128.0,), "bicubic", "(x - 127)/128, EfficientNet-Lite"),
        Preset("unit", (0.0,), (255.0,), "bilinear", "x/255, in 0..1"),
        Preset("symmetric", (127.5,), (127.5,), "bilinear", "x/127.5 - 1, in -1..1"),
        Preset("raw", (0.0,), (1.0,), "bilinear", "x, in 0..255"),
    )
}
ALIASES = {"efficientnet-lite": "lite", "0..1": "unit", "-1..1": "symmetric", "0..255": "raw"}


def preprocessing_of(preset: str, spec: TensorSpec) -> Preprocessing:
    """The preset made to fit an image input.

    Sides above `SMALL_SIDE` pixels get the usual resize of the short side to 8/7 of the crop (256 for 224).

    Args:
        preset: A name of `PRESETS` or `ALIASES`.
        spec: float32 input of shape (1, C, H, W) or (1, H, W, C) with C 1 or 3.

    Raises:
        RecipeError: No such preset.
        CalibrationError: The input is not an image.
    """
    row = PRESETS.get(ALIASES.get(preset, preset))
    if row is None:
        names = ", ".join([*PRESETS, *ALIASES])
        raise RecipeError(f"no preprocessing preset is called {preset!r}", hint=f"use one of: {names}")
    height, width, channels, layout = image_axes(spec)
    large = min(height, width) > SMALL_SIDE
    gray = channels == 1
    return Preprocessing(
        size=(height, width),
        resize=round(max(height, width) * 8 / 7) if large else None,
        mean=(_average(row.mean),) if gray else row.mean,
        std=(_average(row.std),) if gray else row.std,
        layout=layout,
        color="L" if gray else "RGB",
        interpolation=row.interpolation,
    )


def image_axes(spec: TensorSpec) -> tuple[int, int, int, str]:
    """Height, width, channels and layout of an image input.

    Raises:
        CalibrationError: The shape is not (N, C, H, W) or (N, H, W, C) with 1 or 3 channels.
    """
    if len(spec.shape) == 4:
        _, first, second, last = spec.shape
        if first in (1, 3):
            return second, last, first, "NCHW"
        if last in (1, 3):
            return first, second, last, "NHWC"
    raise CalibrationError(
        f"images cannot feed input {spec}: an image input is (N, C, H, W) or (N, H, W, C) with 1 or 3 channels",
        hint="hand over arrays instead: an .npz, an .npy, or module:function that yields batches",
    )


def default_preprocessing(spec: TensorSpec) -> tuple[Preprocessing, Finding]:
    """What is assumed about images when nobody says: ImageNet mean and std for 3 channels, 0..1 for 1.

    Returns:
        The preprocessing and the warning that it was a guess.
    """
    name = "imagenet" if image_axes(spec)[2] == 3 else "unit"
    preprocessing = preprocessing_of(name, spec)
    finding = Finding(
        "preprocessing-assumed",
        f"no preprocessing was given, so '{name}' is assumed: {PRESETS[name].about}; "
        "a model trained with another one loses accuracy without any error",
        Severity.WARNING,
        spec.name,
        "say how the model was trained: --preprocess imagenet, lite, 0..1, -1..1 or 0..255",
    )
    return preprocessing, finding


def parse_preprocessing(text: str, spec: TensorSpec | None = None) -> Preprocessing:
    """Read the one-line form of a preprocessing.

    Grammar: `[PRESET][,FIELD=VALUE]...`; a size is `224` or `224x192` (height x width), several numbers are joined by
    `/`, `resize=none` drops the resize. What is not said comes from the preset and from the input's shape.

    Args:
        text: For example "imagenet", "lite,size=240" or "mean=127,std=128,resize=256".
        spec: The model input the images feed; without it a size must be given.

    Raises:
        RecipeError: The text does not parse, or a value is impossible.

    >>> parse_preprocessing("-1..1,size=96").std
    (127.5,)
    """
    parts = [part.strip() for part in text.split(",")]
    preset = parts.pop(0) if parts and "=" not in parts[0] else None
    given = dict(_field(part) for part in parts if part)
    if len(given) < len([part for part in parts if part]):
        raise RecipeError(f"a field is given twice in preprocessing {text!r}")
    if preset is None and "std" not in given:
        raise RecipeError(f"preprocessing {text!r} names neither a preset nor mean and std", hint=_HINT)
    values = preprocessing_of("unit" if preset is None else preset, _image_spec(spec, given, text)).to_dict() | given
    return Preprocessing.from_dict({key: value for key, value in values.items() if value is not None})


def _image_spec(spec: TensorSpec | None, given: Mapping[str, Any], text: str) -> TensorSpec:
    """The input the preprocessing is for, with the size (and, without a spec, layout and color) that was asked."""
    if "size" not in given:
        if spec is None:
            raise RecipeError(f"preprocessing {text!r} does not say the image size", hint="add size=224")
        return spec
    height, width = given["size"]
    if spec is None:
        channels, layout = 1 if given.get("color") == "L" else 3, str(given.get("layout", "NCHW"))
    else:
        _, _, channels, layout = image_axes(spec)
    shape = (1, channels, height, width) if layout == "NCHW" else (1, height, width, channels)
    return TensorSpec(spec.name if spec else "image", shape)


_HINT = "for example: --preprocess imagenet, or --preprocess mean=127,std=128,size=224"


def _field(part: str) -> tuple[str, Any]:
    key, _, value = part.partition("=")
    key, value = key.strip(), value.strip()
    try:
        if key == "size":
            height, _, width = value.partition("x")
            return key, [int(height), int(width or height)]
        if key == "resize":
            return key, None if value == "none" else int(value)
        if key in ("mean", "std"):
            return key, [float(number) for number in value.split("/")]
    except ValueError:
        raise RecipeError(f"preprocessing field {part!r} is not made of numbers", hint=_HINT) from None
    if not value:
        raise RecipeError(f"preprocessing field {part!r} has no value", hint=_HINT)
    return key, value


def _average(values: tuple[float, ...]) -> float:
    return math.fsum(values) / len(values)
