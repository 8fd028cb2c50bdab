"""Codecs: the ways to say a file as a change to an older one, by name. Which is best depends on what changed.

    zstd      parts are new or have moved, the rest is the same to the byte      edgekit.delta.zstd_patch
    bsdiff    many bytes changed by little                                       edgekit.delta.bsdiff_patch
    residual  weights of an int8 net changed, or the scales that they stand on   edgekit.delta.residual

Making tries them all, see `edgekit.delta.making`. What a codec needs is imported when it is first used: a node that
finds nothing new imports none of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Protocol

from edgekit.errors import MissingExtraError

LARGEST_BYTES = 2**27
"""Largest file that deltas are made of or for, 128 MiB: both ends hold it in memory."""
_LARGEST_SORTED_BYTES = 2**26
"""bsdiff sorts every suffix of the base, in 17 times its memory."""
_MIB = 2**20


class Applier(Protocol):
    """What makes the new file of the old one."""

    def __call__(self, old: memoryview, delta: memoryview, *, size_bytes: int) -> bytes:
        """The new file, of exactly that size.

        Raises:
            MalformedError: The delta is none, or not one for this base.
        """
        ...


@dataclass(frozen=True)
class Codec:
    """One way.

    Attributes:
        name: As a delta index writes it.
        module: Where `make_NAME` and `apply_NAME` are.
        maker_needs: Package that making needs; "" where it needs none.
        applier_needs: The same of applying.
        largest_bytes: Of a file that it is tried on.
        memory: Sizes of the old file, of the new one and of the delta, bytes -> what applying allocates at most, the
            program itself apart.
    """

    name: str
    module: str
    maker_needs: str
    applier_needs: str
    largest_bytes: int
    memory: Callable[[int, int, int], int]

    def make(self, old: bytes, new: bytes) -> bytes | None:
        """The delta; None where the codec has nothing to say about such files."""
        delta: bytes | None = getattr(import_module(self.module), f"make_{self.name}")(old, new)
        return delta

    @property
    def applier(self) -> Applier:
        """What applies it.

        Raises:
            MissingExtraError: A package is not installed.
        """
        if not _is_installed(self.applier_needs):
            raise MissingExtraError(self.applier_needs, extra="delta")
        applier: Applier = getattr(import_module(self.module), f"apply_{self.name}")
        return applier


def _zstd_memory(old_bytes: int, new_bytes: int, delta_bytes: int) -> int:
    return old_bytes + new_bytes + delta_bytes + 8 * _MIB


def _bsdiff_memory(old_bytes: int, new_bytes: int, delta_bytes: int) -> int:
    return 24 * new_bytes + delta_bytes + 48 * _MIB


def _residual_memory(old_bytes: int, new_bytes: int, delta_bytes: int) -> int:
    from edgekit.delta.residual import residual_memory_bytes  # numpy, which only a codec at work needs

    return residual_memory_bytes(old_bytes, new_bytes) + delta_bytes


CODECS: Mapping[str, Codec] = {
    codec.name: codec
    for codec in (
        Codec("zstd", "edgekit.delta.zstd_patch", "zstandard", "zstandard", LARGEST_BYTES, _zstd_memory),
        Codec("bsdiff", "edgekit.delta.bsdiff_patch", "bsdiff4", "", _LARGEST_SORTED_BYTES, _bsdiff_memory),
        Codec("residual", "edgekit.delta.residual", "", "", LARGEST_BYTES, _residual_memory),
    )
}


def available() -> frozenset[str]:
    """Codecs that this installation can apply."""
    return frozenset(name for name, codec in CODECS.items() if _is_installed(codec.applier_needs))


def makers() -> frozenset[str]:
    """Codecs that this installation can make."""
    return frozenset(name for name, codec in CODECS.items() if _is_installed(codec.maker_needs))


def _is_installed(package: str) -> bool:
    return not package or find_spec(package) is not None
