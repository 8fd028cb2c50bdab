"""Extensions of a 64-bit ARM processor, as the kernel tells every program in its auxiliary vector.

/proc/cpuinfo tells the same, but under qemu's user emulation it may be the file of another processor; getauxval(3) is
what C libraries decide by. Bits: Linux, arch/arm64/include/uapi/asm/hwcap.h.
"""

from __future__ import annotations

import ctypes

AT_HWCAP, AT_HWCAP2 = 16, 26
HWCAP = {"asimd": 1, "asimddp": 20, "sve": 22}
HWCAP2 = {"sve2": 1, "i8mm": 13}
"""Name in /proc/cpuinfo -> bit; those of `edgekit.types.cpu.ISA`."""


def read_features() -> frozenset[str]:
    """The extensions that this process may use; empty where the C library does not tell."""
    try:
        getauxval = ctypes.CDLL(None).getauxval
    except (OSError, AttributeError):
        return frozenset()
    getauxval.restype = ctypes.c_ulong
    getauxval.argtypes = (ctypes.c_ulong,)
    return feature_names(getauxval(AT_HWCAP), getauxval(AT_HWCAP2))


def feature_names(hwcap: int, hwcap2: int) -> frozenset[str]:
    """Names of the bits that are set.

    >>> sorted(feature_names(0b10, 1 << 13))
    ['asimd', 'i8mm']
    """
    first = {name for name, bit in HWCAP.items() if hwcap >> bit & 1}
    return frozenset(first | {name for name, bit in HWCAP2.items() if hwcap2 >> bit & 1})
