"""Whether the CPU is one of silicon: evidence of QEMU's and others' translation of instructions.

A virtual machine under KVM, Xen, Hyper-V or Firecracker runs on a real CPU and is none. Evidence is taken only where
it is beyond doubt, since emulated time is refused:

- a user-mode emulator is the process itself, by its name, or runs code of one architecture on another's kernel;
- QEMU's own CPU models carry QEMU's name (x86) or implementer 0, part 0x051 (ARM "max");
- under QEMU, an ARM timer of 62.5 MHz, which Linux shows as 125 BogoMIPS, is that of the translator (target/arm,
  GTIMER_SCALE): KVM hands the host's through, and the usual boards have others;
- under QEMU, an x86 kernel that found no clock of a hypervisor.
"""

from __future__ import annotations

import re

from edgekit.bench.probes.cpu import CPUINFO
from edgekit.bench.probes.reading import Commands, Reading
from edgekit.types.cpu import read_cpuinfo

_COMM = "/proc/self/comm"
_KERNEL = "/sys/devices/system/cpu/modalias"
_FIRMWARE = "/proc/device-tree/fw-cfg@*/compatible"
_VENDOR = "/sys/class/dmi/id/sys_vendor"
_CLOCKS = "/sys/devices/system/clocksource/clocksource0/available_clocksource"
FILES = (CPUINFO, _COMM, _KERNEL, _FIRMWARE, _VENDOR, _CLOCKS)
COMMANDS: Commands = ()

_TRANSLATORS = ("qemu-", "box64", "FEX", "rosetta")
_X86 = re.compile(r"x86_64|amd64|i[3-6]86|x86")
_HYPERVISOR_CLOCKS = ("kvm-clock", "hyperv", "xen")


def read_emulation(reading: Reading, machine: str) -> str:
    """Why the CPU is taken for an emulated one; "" for a real one.

    Args:
        reading: Of an "environment" event.
        machine: Architecture the process sees (uname -m), "" when not told.
    """
    process = reading.file(_COMM)
    if process.startswith(_TRANSLATORS):
        return f"the process runs under {process}"
    kernel = re.match(r"cpu:type:(\w+)", reading.file(_KERNEL))
    if kernel and machine and bool(_X86.fullmatch(kernel[1])) != bool(_X86.fullmatch(machine)):
        return f"{machine} code runs on a kernel for {kernel[1]}"
    cpuinfo = reading.file(CPUINFO)
    name, _ = read_cpuinfo(cpuinfo)
    if name.startswith("QEMU TCG"):
        return f"the CPU is {name}"
    if re.search(r"^CPU implementer\s*: 0x00\s*$", cpuinfo, re.MULTILINE) and re.search(
        r"^CPU part\s*: 0x051\s*$", cpuinfo, re.MULTILINE
    ):
        return "the CPU is QEMU's own model for ARM"
    if not _is_qemu(reading):
        return ""
    if re.search(r"^BogoMIPS\s*: 125\.00\s*$", cpuinfo, re.MULTILINE):
        return "QEMU without KVM: its ARM timer runs at 62.5 MHz"
    clocks = reading.file(_CLOCKS)
    if _X86.fullmatch(machine) and clocks and not any(clock in clocks for clock in _HYPERVISOR_CLOCKS):
        return "QEMU without KVM: no clock of a hypervisor"
    return ""


def _is_qemu(reading: Reading) -> bool:
    """Whether QEMU made this machine; Firecracker and crosvm have QEMU's ARM board too, but not its firmware device."""
    return reading.file(_VENDOR) == "QEMU" or any(
        "qemu,fw-cfg" in text for path, text in reading.files.items() if path.startswith("/proc/device-tree/fw-cfg")
    )
