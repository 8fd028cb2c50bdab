"""What is read before and after each inference: a clock, or the processor's counter of executed instructions."""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import time

from edgekit.agent.events import RefusalError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

WALL_NS = "wall_ns"
INSTRUCTIONS = "instructions"

_SYSCALLS = {"x86_64": 298, "aarch64": 241, "armv7l": 364, "riscv64": 241}
"""Number of perf_event_open(2): arch/*/syscall tables of Linux."""
_HARDWARE, _COUNT_INSTRUCTIONS = 0, 1
_ATTRIBUTE_BYTES = 112  # PERF_ATTR_SIZE_VER5
_INHERIT, _EXCLUDE_KERNEL, _EXCLUDE_HYPERVISOR = 1 << 1, 1 << 5, 1 << 6
_TIMES = 1 | 2  # read_format: the times that the counter was wanted, and that it ran
_READ_BYTES = 24


def open_counter(kind: str) -> tuple[Callable[[], int], Callable[[], None]]:
    """A function that reads the counter, costs are differences of its results; and one to call in the end.

    The second refuses what was counted when the processor had not counted all the time: it has few counters, and one
    of a core of another kind does not count what runs elsewhere.

    Raises:
        RefusalError: The kernel or the processor gives no count of instructions.
    """
    if kind == WALL_NS:
        return time.perf_counter_ns, lambda: None
    descriptor = _open_instructions()
    read, from_bytes = os.read, int.from_bytes

    def count() -> int:
        return from_bytes(read(descriptor, _READ_BYTES)[:8], "little")

    def check() -> None:
        counted, enabled_ns, running_ns = struct.unpack("<QQQ", read(descriptor, _READ_BYTES).ljust(_READ_BYTES, b"\0"))
        if not counted or enabled_ns != running_ns:
            message = "the processor counted only {} of {} ms".format(running_ns // 10**6, enabled_ns // 10**6)
            raise RefusalError("no-counter", message + ": others use its counters, or its cores are of several kinds")

    return count, check


def own_cost(counter: Callable[[], int], repeats: int = 200) -> int:
    """What two readings with nothing between them differ by, at least; subtracted from counts of instructions."""
    return min(-(counter() - counter()) for _ in range(repeats))


def _open_instructions() -> int:
    """File descriptor of the user-mode instructions of this process; see perf_event_open(2).

    Only the calling thread is counted: `inherit` covers threads made later, but not those of a pool that a runtime
    already has. So the counter is opened before the runtime is loaded.
    """
    number = _SYSCALLS.get(platform.machine())
    if number is None:
        raise RefusalError("no-counter", "instructions cannot be counted on " + platform.machine())
    attribute = bytearray(_ATTRIBUTE_BYTES)
    struct.pack_into("<IIQ", attribute, 0, _HARDWARE, _ATTRIBUTE_BYTES, _COUNT_INSTRUCTIONS)
    struct.pack_into("<QQ", attribute, 32, _TIMES, _INHERIT | _EXCLUDE_KERNEL | _EXCLUDE_HYPERVISOR)
    library = ctypes.CDLL(None, use_errno=True)
    place = (ctypes.c_char * _ATTRIBUTE_BYTES).from_buffer(attribute)
    descriptor = int(library.syscall(ctypes.c_long(number), place, 0, -1, -1, ctypes.c_ulong(0)))
    if descriptor < 0:
        reason = os.strerror(ctypes.get_errno())
        raise RefusalError("no-counter", "the kernel gives no count of instructions (perf_event_open: " + reason + ")")
    return descriptor
