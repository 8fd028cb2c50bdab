"""Running tallies over samples: ranges, constant channels, duplicates. One cheap update per sample, nothing kept.

Per sample of 3x224x224 float32 an update costs about 1 ms; what stays is 16 bytes of hash and, for images, 768 bytes
of thumbnail per sample.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np

from edgekit.errors import CalibrationError
from edgekit.types.qparams import Array
from edgekit.types.spec import TensorSpec

THUMBNAIL = 8
"""Side of the thumbnails that near duplicates are found by, in cells."""
MOST_THUMBNAILS = 4096
"""Only so many samples are compared with each other: the comparison is quadratic."""
NEAR_COSINE = 0.997
"""Two thumbnails closer than this are one photo again. Measured: distinct photos stay below 0.93 (1000 of ImageNet)
and 0.98 (2000 of CIFAR-10), one pair of 1667 MNIST digits exceeds it; a re-encoded, rescaled or brightened copy is
above 0.999."""


class RangeTally:
    """Lowest and highest number per channel of one input.

    Attributes:
        low: float64 (C,) after the first update.
        high: float64 (C,).
    """

    def __init__(self, spec: TensorSpec, channel_axis: int) -> None:
        """Tally the input `spec` along `channel_axis`."""
        self.spec = spec
        self.axes = tuple(axis for axis in range(len(spec.shape)) if axis != channel_axis)
        self.low = np.array(np.inf)
        self.high = np.array(-np.inf)

    def update(self, array: Array, index: int) -> None:
        """Add sample number `index`.

        Raises:
            CalibrationError: It holds NaN or an infinity.
        """
        if array.size == 0:
            raise CalibrationError(f"sample {index} of input '{self.spec.name}' is empty, shape {array.shape}")
        low, high = array.min(axis=self.axes), array.max(axis=self.axes)
        if not (np.isfinite(low).all() and np.isfinite(high).all()):
            bad = int(np.size(array) - np.isfinite(array).sum())
            kind = "NaN" if np.isnan(array).any() else "infinite"
            raise CalibrationError(
                f"sample {index} of input '{self.spec.name}' holds {bad} number(s) that are {kind} of {array.size}",
                hint="clean the calibration data: int8 ranges cannot be chosen from it",
            )
        self.low, self.high = np.minimum(self.low, low), np.maximum(self.high, high)


class DuplicateTally:
    """Which samples came before, exactly or nearly.

    Attributes:
        exact: How many samples repeat an earlier one bit for bit.
    """

    def __init__(self, image_axes: tuple[int, int] | None) -> None:
        """Tally samples; `image_axes` are height and width of the image input, None without one."""
        self.image_axes = image_axes
        self.exact = 0
        self._seen: set[bytes] = set()
        self._thumbnails: list[Array] = []

    def update(self, sample: Mapping[str, Array], image: str) -> None:
        """Add a sample; `image` is the input to make the thumbnail of."""
        digest = hashlib.sha256()
        for name in sorted(sample):
            digest.update(np.ascontiguousarray(sample[name]).data)
        key = digest.digest()[:16]
        if key in self._seen:
            self.exact += 1
            return
        self._seen.add(key)
        if self.image_axes is not None and len(self._thumbnails) < MOST_THUMBNAILS:
            self._thumbnails.append(_thumbnail(sample[image], *self.image_axes))

    def near(self) -> int:
        """How many of the (first `MOST_THUMBNAILS`) distinct images look like an earlier one."""
        if len(self._thumbnails) < 2:
            return 0
        rows = np.stack(self._thumbnails)
        found = 0
        for start in range(0, len(rows), 512):
            close = rows[start : start + 512] @ rows.T > NEAR_COSINE
            found += int(np.tril(close, start - 1).any(axis=1).sum())
        return found


def _thumbnail(image: Array, height_axis: int, width_axis: int) -> Array:
    """Block means on an 8x8 grid, less their mean, of unit length; float32. Zeros for a blank image."""
    cells: Array = image.astype(np.float32, copy=False)
    for axis in (height_axis, width_axis):
        side = image.shape[axis]
        edges = np.unique(np.arange(THUMBNAIL) * side // THUMBNAIL)
        shape = [1] * image.ndim
        shape[axis] = len(edges)
        cells = np.add.reduceat(cells, edges, axis=axis) / np.diff([*edges, side]).reshape(shape).astype(np.float32)
    flat = cells.ravel() - cells.mean()
    length = float(np.linalg.norm(flat))
    return np.asarray(flat / length if length > 1e-6 * max(1.0, float(np.abs(cells).max())) else flat * 0, np.float32)
