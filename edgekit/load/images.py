"""Images made into model inputs: decoding with Pillow, then the geometry and normalisation of a Preprocessing.

Decoding is exact (no JPEG draft mode, no chroma shortcuts), so that what calibrates is what a deployed program that
follows the same Preprocessing computes. Geometry follows torchvision's Resize and CenterCrop.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from edgekit.errors import CalibrationError
from edgekit.types.preprocessing import Preprocessing
from edgekit.types.qparams import Array

FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "PPM", "GIF")
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".gif"})
MAX_RESIZED_PIXELS = 2**26
"""Bound on an image after its resize: a 1-pixel-high strip must not become gigabytes."""
_RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def read_image(path: Path, preprocessing: Preprocessing) -> Array:
    """Decode one image file into one sample.

    Args:
        path: A file in one of `FORMATS`; only the first frame of an animation is read.
        preprocessing: What to do to it.

    Returns:
        float32 of shape `preprocessing.shape`.

    Raises:
        CalibrationError: The file is missing, truncated, not an image, or larger than Pillow's decompression-bomb
            limit (about 89 million pixels).
    """
    return normalise(fit_geometry(decode(path, preprocessing.color), preprocessing), preprocessing)


def decode(path: Path, color: str) -> Image.Image:
    """Decode a file to mode "RGB" or "L", turned upright by its EXIF orientation.

    Args:
        path: The image file.
        color: "RGB" and "BGR" give an RGB image (`normalise` swaps), "L" a gray one.

    Raises:
        CalibrationError: As `read_image`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as image:
                image.load()
                return to_mode(ImageOps.exif_transpose(image), color)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise CalibrationError(
            f"image {path} is refused: {error}", hint="shrink the photo, or leave it out of the calibration set"
        ) from error
    except CalibrationError as error:
        raise CalibrationError(f"image {path}: {error}", hint=error.hint) from None
    except Exception as error:  # Pillow's decoders raise whatever their parsing trips over
        raise CalibrationError(
            f"image {path} cannot be decoded: {error}", hint="remove the file from the calibration set, or repair it"
        ) from error


def to_mode(image: Image.Image, color: str) -> Image.Image:
    """Convert any Pillow mode to "RGB" or "L"; 16-bit gray keeps its high byte, transparency is dropped.

    Raises:
        CalibrationError: A float image, whose range nobody knows.
    """
    target = "L" if color == "L" else "RGB"
    if image.mode == target:
        return image
    if image.mode == "F":
        raise CalibrationError("it holds float pixels", hint="hand over float data as .npz or .npy")
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8))
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    return image.convert(target)


def fit_geometry(image: Image.Image, preprocessing: Preprocessing) -> Image.Image:
    """Resize the short side and crop the centre, or resize straight to the size.

    The long side of a resize is rounded down and the crop offset to the nearest pixel, as torchvision does.
    """
    height, width = preprocessing.size
    resample = _RESAMPLING[preprocessing.interpolation]
    if preprocessing.resize is None:
        return image if image.size == (width, height) else image.resize((width, height), resample)
    short = min(image.size)
    if short != preprocessing.resize:
        scaled = [max(1, side * preprocessing.resize // short) for side in image.size]
        if scaled[0] * scaled[1] > MAX_RESIZED_PIXELS:
            raise CalibrationError(
                f"an image of {image.width}x{image.height} pixels would be resized to {scaled[0]}x{scaled[1]}",
                hint="leave out panoramas and strips, or crop them",
            )
        image = image.resize((scaled[0], scaled[1]), resample)
    left, top = round((image.width - width) / 2), round((image.height - height) / 2)
    return image.crop((left, top, left + width, top + height))


def normalise(image: Image.Image, preprocessing: Preprocessing) -> Array:
    """`(pixel - mean) / std` in float32.

    Args:
        image: Mode "RGB" or "L", already of `preprocessing.size`.
        preprocessing: mean, std, layout and color order.

    Returns:
        float32 of shape `preprocessing.shape`.
    """
    pixels = np.asarray(image).reshape(*preprocessing.size, preprocessing.channels)
    if preprocessing.color == "BGR":
        pixels = pixels[:, :, ::-1]
    if preprocessing.layout == "NCHW":
        planes = np.ascontiguousarray(pixels.transpose(2, 0, 1)).astype(np.float32)
        spread: tuple[int, ...] = (-1, 1, 1)
    else:
        planes, spread = np.ascontiguousarray(pixels).astype(np.float32), (-1,)
    planes -= np.asarray(preprocessing.mean, np.float32).reshape(spread)
    planes /= np.asarray(preprocessing.std, np.float32).reshape(spread)
    return planes[np.newaxis]


def from_pixels(pixels: Array, preprocessing: Preprocessing) -> Array:
    """Make a sample of an image that is already an array.

    Arrays that have the asked size are taken as cropped already: only other sizes are resized and cropped.

    Args:
        pixels: uint8 (H, W, C) in RGB order, or (H, W), C 1, 3 or 4.
        preprocessing: What to do to it.

    Returns:
        float32 of shape `preprocessing.shape`.
    """
    flat = pixels[:, :, 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
    image = to_mode(Image.fromarray(np.ascontiguousarray(flat)), preprocessing.color)
    if (image.height, image.width) != preprocessing.size:
        image = fit_geometry(image, preprocessing)
    return normalise(image, preprocessing)
