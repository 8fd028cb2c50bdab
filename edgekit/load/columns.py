"""One model input's share of a batch, an array or a file: how many samples it holds and how to read each.

This is the only place that decides whether an array fits an input: which axis counts samples, whether pixels become
an image, and which conversions of number types are allowed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from edgekit.errors import CalibrationError
from edgekit.load.images import from_pixels
from edgekit.types.finding import Finding, Severity
from edgekit.types.preprocessing import Preprocessing
from edgekit.types.qparams import Array
from edgekit.types.spec import TensorSpec


class Rows(Protocol):
    """An array that can be read a piece at a time: in memory, or an `ArrayFile`."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Full shape."""
        ...

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Element type."""
        ...

    def take(self, start: int, stop: int, *, axis: int = 0) -> Array:
        """Elements start..stop along `axis`."""
        ...


@dataclass(frozen=True, eq=False)
class MemoryRows:
    """An array in memory, as Rows."""

    array: Array

    @property
    def shape(self) -> tuple[int, ...]:
        """Full shape."""
        return tuple(self.array.shape)

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Element type."""
        return self.array.dtype

    def take(self, start: int, stop: int, *, axis: int = 0) -> Array:
        """A view of the elements start..stop along `axis`; a scalar is an array of one."""
        if self.array.ndim == 0:
            return self.array.reshape(1)
        index = [slice(None)] * self.array.ndim
        index[axis] = slice(start, stop)
        view: Array = self.array[tuple(index)]
        return view


@dataclass(frozen=True, eq=False)
class Column:
    """The samples of one input.

    Attributes:
        count: How many there are.
        read: index -> array of exactly the input's shape and dtype, writable, row-major.
        findings: What was noticed about them.
    """

    count: int
    read: Callable[[int], Array]
    findings: tuple[Finding, ...] = ()


def fit_column(rows: Rows, spec: TensorSpec, preprocessing: Preprocessing | None, *, where: str) -> Column:
    """Fit an array to a model input.

    The array may be one sample, a batch of samples along the input's batch axis, or samples stacked along a new first
    axis. With a preprocessing, uint8 arrays are images, (N, H, W, C), (N, C, H, W) or (N, H, W), of any size.

    Args:
        rows: The array.
        spec: The input; `spec.shape` has batch size 1.
        preprocessing: For uint8 images; None takes numbers as they are.
        where: What to call the array in messages.

    Raises:
        CalibrationError: The shape or the element type does not fit.
    """
    if preprocessing is not None and rows.dtype == np.uint8:
        return _images(rows, spec, preprocessing, where)
    findings = _check_dtype(rows.dtype, spec, preprocessing, where)
    shape, wanted = rows.shape, spec.shape
    axis = spec.batch_axis or 0
    if shape[1:] == wanted and len(shape) == len(wanted) + 1:
        return Column(shape[0], lambda index: _converted(rows.take(index, index + 1)[0], spec, where), findings)
    if wanted and len(shape) == len(wanted):
        others_fit = all(a == b for place, (a, b) in enumerate(zip(shape, wanted, strict=True)) if place != axis)
        step = wanted[axis]
        if others_fit and step and shape[axis] % step == 0:

            def read(index: int) -> Array:
                return _converted(rows.take(index * step, (index + 1) * step, axis=axis), spec, where)

            return Column(shape[axis] // step, read, findings)
    if not wanted and not shape:
        return Column(1, lambda _: _converted(_whole(rows).reshape(()), spec, where), findings)
    if wanted and wanted[axis] == 1 and shape == (*wanted[:axis], *wanted[axis + 1 :]):
        return Column(1, lambda _: _converted(_whole(rows).reshape(wanted), spec, where), findings)
    raise CalibrationError(f"{where} has shape {shape}, which does not fit input {spec}", hint=_shape_hint(rows, spec))


def check_preprocessing(preprocessing: Preprocessing, spec: TensorSpec) -> None:
    """Refuse a preprocessing whose result the input cannot take.

    Raises:
        CalibrationError: Another shape, or an input that is not float.
    """
    if preprocessing.shape != spec.shape or np.dtype(spec.dtype).kind != "f":
        raise CalibrationError(
            f"the preprocessing gives float32 of shape {preprocessing.shape}, the model's input is {spec}",
            hint="set size, layout and color to the input's: for example --preprocess imagenet,size=192,layout=NHWC",
        )


def _images(rows: Rows, spec: TensorSpec, preprocessing: Preprocessing, where: str) -> Column:
    check_preprocessing(preprocessing, spec)
    layout = _pixel_layout(rows.shape, preprocessing.channels)
    if layout is None:
        raise CalibrationError(
            f"{where} has uint8 shape {rows.shape}, which is no batch of images for input {spec}",
            hint="give images as (N, H, W, C), (N, C, H, W) or, gray, (N, H, W)",
        )
    is_single, is_first = layout

    def read(index: int) -> Array:
        pixels = _whole(rows) if is_single else rows.take(index, index + 1)[0]
        pixels = pixels.transpose(1, 2, 0) if is_first else pixels
        return from_pixels(pixels, preprocessing).astype(spec.dtype, copy=False)

    findings: tuple[Finding, ...] = ()
    if is_first != (preprocessing.layout == "NCHW"):
        held, wanted = ("first", "last") if is_first else ("last", "first")
        message = f"{where} holds images channels {held}; they are transposed to channels {wanted} for input {spec}"
        findings = (Finding("images-transposed", message, Severity.NOTE, spec.name),)
    return Column(1 if is_single else rows.shape[0], read, findings)


def _pixel_layout(shape: tuple[int, ...], channels: int) -> tuple[bool, bool] | None:
    """(is one image, is channels first) of an array of pixels; None when it is no image."""
    colors = (3, 4) if channels == 3 else (1, 3, 4)
    if len(shape) == 4:
        return (False, False) if shape[3] in colors else (False, True) if shape[1] in colors else None
    if len(shape) == 3:
        if shape[2] in colors:
            return True, False
        if channels == 1:
            return False, False
        return (True, True) if shape[0] in colors else None
    return (True, False) if len(shape) == 2 and channels == 1 else None


def _check_dtype(
    dtype: np.dtype[np.generic], spec: TensorSpec, preprocessing: Preprocessing | None, where: str
) -> tuple[Finding, ...]:
    wanted = np.dtype(spec.dtype)
    if dtype == wanted:
        if preprocessing is None:
            return ()
        message = f"{where} holds {dtype} numbers, taken as preprocessed already: only uint8 images are preprocessed"
        return (Finding("preprocessing-not-applied", message, Severity.NOTE, spec.name),)
    if (wanted.kind == "f" and dtype.kind == "f") or (wanted.kind in "iu" and dtype.kind in "iub"):
        return ()
    if wanted.kind == "f" and dtype.kind in "iub":
        return (
            Finding(
                "integer-samples",
                f"{where} holds {dtype} numbers for the {wanted} input '{spec.name}': they are fed as they are, "
                "without scaling",
                Severity.WARNING,
                spec.name,
                "for images give a preprocessing (--preprocess imagenet, lite, 0..1, ...); otherwise scale as the "
                "model was trained",
            ),
        )
    raise CalibrationError(
        f"{where} holds {dtype} numbers, which do not fit input {spec}", hint=f"convert them to {wanted}"
    )


def _converted(piece: Array, spec: TensorSpec, where: str) -> Array:
    """The input's dtype, row-major and writable; an integer that does not fit its type is an error."""
    wanted = np.dtype(spec.dtype)
    if wanted.kind in "iu" and piece.dtype != wanted and piece.size:
        limits = np.iinfo(wanted)
        low, high = int(piece.min()), int(piece.max())
        if low < limits.min or high > limits.max:
            raise CalibrationError(f"{where} holds {low}..{high}, outside the {wanted} of input '{spec.name}'")
    with np.errstate(over="ignore"):  # a float64 beyond float32 becomes inf, which the lint reports with its sample
        return np.require(piece, wanted, ["C", "W"])


def _whole(rows: Rows) -> Array:
    return rows.take(0, rows.shape[0]) if rows.shape else np.asarray(rows.take(0, 1))


def _shape_hint(rows: Rows, spec: TensorSpec) -> str:
    if not spec.shape:
        return "expected one number per sample: shape (N,), any N"
    expected = "x".join(
        ["N" if place == (spec.batch_axis or 0) else str(side) for place, side in enumerate(spec.shape)]
    )
    shape, wanted = rows.shape, spec.shape
    if len(wanted) == 4 and len(shape) in (3, 4):
        if (shape[-1], *shape[-3:-1]) == wanted[1:]:
            extra = ", or give uint8 pixels and a --preprocess" if rows.dtype == np.uint8 else ""
            return f"it fits when transposed from NHWC to NCHW: x.transpose(0, 3, 1, 2){extra}"
        if (*shape[-2:], shape[-3]) == wanted[1:]:
            return "it fits when transposed from NCHW to NHWC: x.transpose(0, 2, 3, 1)"
    return f"expected {expected}, any N"
