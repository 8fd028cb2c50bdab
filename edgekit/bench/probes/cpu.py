"""Which CPU, and which cores it has: /proc/cpuinfo, the device tree's model, and the scheduler's capacities.

ARM kernels number implementers and parts (MIDR_EL1); the names are those of the ARM manuals, the Linux kernel's
arch/arm64/include/asm/cputype.h and util-linux's lscpu.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from edgekit.bench.probes.reading import Commands, Reading, number
from edgekit.types.cpu import ISA, read_cpuinfo

CPUINFO = "/proc/cpuinfo"
MODEL = "/proc/device-tree/model"
FILES = (
    CPUINFO,
    MODEL,
    "/sys/devices/system/cpu/cpu[0-9]*/cpu_capacity",
    "/sys/devices/cpu_core/cpus",
    "/sys/devices/cpu_atom/cpus",
)
COMMANDS: Commands = ()

_ARM = {
    0xB76: "ARM1176", 0xC05: "Cortex-A5", 0xC07: "Cortex-A7", 0xC08: "Cortex-A8", 0xC09: "Cortex-A9",
    0xC0D: "Cortex-A17", 0xC0E: "Cortex-A17", 0xC0F: "Cortex-A15", 0xD01: "Cortex-A32", 0xD02: "Cortex-A34",
    0xD03: "Cortex-A53", 0xD04: "Cortex-A35", 0xD05: "Cortex-A55", 0xD06: "Cortex-A65", 0xD07: "Cortex-A57",
    0xD08: "Cortex-A72", 0xD09: "Cortex-A73", 0xD0A: "Cortex-A75", 0xD0B: "Cortex-A76", 0xD0C: "Neoverse-N1",
    0xD0D: "Cortex-A77", 0xD0E: "Cortex-A76AE", 0xD40: "Neoverse-V1", 0xD41: "Cortex-A78", 0xD42: "Cortex-A78AE",
    0xD43: "Cortex-A65AE", 0xD44: "Cortex-X1", 0xD46: "Cortex-A510", 0xD47: "Cortex-A710", 0xD48: "Cortex-X2",
    0xD49: "Neoverse-N2", 0xD4A: "Neoverse-E1", 0xD4B: "Cortex-A78C", 0xD4C: "Cortex-X1C", 0xD4D: "Cortex-A715",
    0xD4E: "Cortex-X3", 0xD4F: "Neoverse-V2", 0xD80: "Cortex-A520", 0xD81: "Cortex-A720", 0xD82: "Cortex-X4",
    0xD83: "Neoverse-V3AE", 0xD84: "Neoverse-V3", 0xD85: "Cortex-X925", 0xD87: "Cortex-A725", 0xD8E: "Neoverse-N3",
}  # fmt: skip
_PARTS = {
    0x41: _ARM,
    0x42: {0x516: "ThunderX2"},
    0x43: {0x0A1: "ThunderX", 0x0AF: "ThunderX2"},
    0x46: {0x001: "A64FX"},
    0x48: {0xD01: "Kunpeng-920", 0xD40: "Cortex-A76"},
    0x4E: {0x000: "Denver", 0x003: "Denver 2", 0x004: "Carmel"},
    0x51: {
        0x201: "Kryo", 0x205: "Kryo", 0x211: "Kryo", 0x800: "Kryo-2xx-Gold", 0x801: "Kryo-2xx-Silver",
        0x802: "Kryo-3xx-Gold", 0x803: "Kryo-3xx-Silver", 0x804: "Kryo-4xx-Gold", 0x805: "Kryo-4xx-Silver",
        0xC00: "Falkor", 0xC01: "Saphira",
    },
    0x53: {0x001: "Exynos-M1", 0x002: "Exynos-M3", 0x003: "Exynos-M4", 0x004: "Exynos-M5"},
    0x61: {0x022: "Icestorm-M1", 0x023: "Firestorm-M1", 0x032: "Blizzard-M2", 0x033: "Avalanche-M2"},
    0xC0: {0xAC3: "Ampere-1", 0xAC4: "Ampere-1a"},
}  # fmt: skip
_MOST_CORES, _MOST_RANGES = 4096, 64
_NO_NAMES = ("ARM implementer", "ARMv", "AArch64 Processor")
"""What stands for a name where the kernel knows none."""


def read_isa(reading: Reading) -> tuple[str, ...]:
    """Extensions that decide int8 kernels, in the order of `ISA`."""
    _, flags = read_cpuinfo(reading.file(CPUINFO))
    return tuple(name for name in ISA if name in flags)


def read_name(reading: Reading) -> str:
    """Model name on x86; on ARM the board and its cores, for example "Raspberry Pi 5 Model B (4x Cortex-A76)"."""
    name, _ = read_cpuinfo(reading.file(CPUINFO))
    cores = describe_cores(read_cores(reading.file(CPUINFO)))
    board = reading.file(MODEL) or ("" if name.startswith(_NO_NAMES) else name)
    return f"{board} ({cores})" if board and cores else board or cores


def read_cores(cpuinfo: str) -> dict[int, str]:
    """ARM: number of each core -> its name, for example "Cortex-A76"; empty on other architectures."""
    cores: dict[int, str] = {}
    current, implementer = 0, 0x41
    for line in cpuinfo.splitlines():
        key, _, text = line.partition(":")
        match key.strip().lower():
            case "processor":
                current = _whole(text, 10, current)
            case "cpu implementer":
                implementer = _whole(text, 16, implementer)
            case "cpu part":
                part = _whole(text, 16, -1)
                fallback = f"implementer 0x{implementer:02x} part 0x{part:03x}"
                if part >= 0:
                    cores[current] = _PARTS.get(implementer, {}).get(part, fallback)
    return cores


def describe_cores(cores: Mapping[int, str]) -> str:
    """Counts and names in the order of the core numbers: "4x Cortex-A55 + 2x Cortex-A76 + 2x Cortex-X1"."""
    return " + ".join(f"{count}x {name}" for name, count in Counter(name for _, name in sorted(cores.items())).items())


def read_kinds(reading: Reading) -> dict[int, str]:
    """Number of each core -> what sets it apart from other cores of the same device.

    ARM tells by part and by the scheduler's capacity (1024 is the strongest), Intel's hybrids by two lists of cores.
    """
    kinds = read_cores(reading.file(CPUINFO))
    for folder, files in reading.folders("/sys/devices/system/cpu/cpu[0-9]*").items():
        core, capacity = _whole(folder.rpartition("cpu")[2], 10, -1), number(files.get("cpu_capacity"))
        if core >= 0 and capacity is not None:
            kinds[core] = f"{kinds.get(core, 'core')} of capacity {capacity:g}"
    for name, path in (
        ("performance core", "/sys/devices/cpu_core/cpus"),
        ("efficiency core", "/sys/devices/cpu_atom/cpus"),
    ):
        kinds.update(dict.fromkeys(_parse_list(reading.file(path)), name))
    return kinds


def _parse_list(text: str) -> list[int]:
    """Linux's lists of cores: "0-3,8" is 0, 1, 2, 3, 8."""
    found: list[int] = []
    for part in text.split(",")[:_MOST_RANGES]:
        first, _, last = part.partition("-")
        low = _whole(first, 10, -1)
        high = _whole(last, 10, -1) if last else low
        if 0 <= low <= high < _MOST_CORES:
            found.extend(range(low, high + 1))
    return found


def _whole(text: str, base: int, otherwise: int) -> int:
    try:
        value = int(text.strip(), base)
    except ValueError:
        return otherwise
    return value if 0 <= value < 1 << 32 else otherwise
