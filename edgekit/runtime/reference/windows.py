"""Windows: the geometry shared by convolutions and pools of any spatial rank.

Everything is expressed in taps: for one position inside the kernel, the strided view of the padded map that this
position reads at every output position. Sums and maxima over taps need no copies, and stacked taps are im2col.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np

from edgekit.types.graph import Node
from edgekit.types.qparams import Array


@dataclass(frozen=True)
class Window:
    """A sliding window over the trailing spatial axes of a (N, C, *spatial) map.

    Attributes:
        kernel: Taps per spatial axis.
        strides: Steps per spatial axis.
        dilations: Distance between taps per spatial axis.
        begins: Padding before each spatial axis.
        ends: Padding after each spatial axis.
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    begins: tuple[int, ...]
    ends: tuple[int, ...]

    @classmethod
    def of(cls, node: Node, kernel: tuple[int, ...]) -> Window:
        """The window of a Conv, ConvTranspose or pool node."""
        rank, pads = len(kernel), tuple(node.attributes["pads"])
        dilations = tuple(node.attributes.get("dilations", (1,) * rank))
        return cls(kernel, tuple(node.attributes["strides"]), dilations, pads[:rank], pads[rank:])

    @property
    def extents(self) -> tuple[int, ...]:
        """Size of the dilated kernel per spatial axis."""
        return tuple(step * (size - 1) + 1 for size, step in zip(self.kernel, self.dilations, strict=True))

    @property
    def is_pointwise(self) -> bool:
        """Whether the window reads exactly the position it writes."""
        return set(self.kernel) == set(self.strides) == {1} and not any((*self.begins, *self.ends))

    def pad(self, maps: Array, value: float) -> Array:
        """The (N, C, *spatial) map with its borders added."""
        borders = list(zip(self.begins, self.ends, strict=True))
        if not any((*self.begins, *self.ends)):
            return maps
        return np.pad(maps, [(0, 0), (0, 0), *borders], constant_values=value)

    def positions(self, spatial: tuple[int, ...]) -> tuple[int, ...]:
        """Output size per spatial axis of an already padded map."""
        return tuple(
            (size - extent) // stride + 1
            for size, extent, stride in zip(spatial, self.extents, self.strides, strict=True)
        )

    def slices(self, tap: tuple[int, ...], positions: tuple[int, ...]) -> tuple[slice, ...]:
        """Where in (N, C, *spatial) one tap reads (or, transposed, writes) at every position."""
        spatial = (
            slice(index * dilation, index * dilation + (count - 1) * stride + 1, stride)
            for index, dilation, count, stride in zip(tap, self.dilations, positions, self.strides, strict=True)
        )
        return (slice(None), slice(None), *spatial)

    def tap_indices(self) -> Iterator[tuple[int, ...]]:
        """Every position inside the kernel, in row-major order."""
        return product(*(range(size) for size in self.kernel))

    def taps(self, padded: Array) -> Iterator[Array]:
        """For each position inside the kernel, the view (N, C, *positions) of what it reads."""
        positions = self.positions(padded.shape[2:])
        for tap in self.tap_indices():
            yield padded[self.slices(tap, positions)]
