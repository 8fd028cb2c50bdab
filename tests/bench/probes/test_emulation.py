import os
from pathlib import Path

import pytest

from edgekit.bench.probes.emulation import read_emulation
from edgekit.bench.probes.environment import probes
from edgekit.bench.probes.reading import Reading, reading_of

CLOCKS = "/sys/devices/system/clocksource/clocksource0/available_clocksource"
MODALIAS = "/sys/devices/system/cpu/modalias"
VENDOR = "/sys/class/dmi/id/sys_vendor"
FW_CFG = "/proc/device-tree/fw-cfg@9020000/compatible"
ARM = "processor : 0\nBogoMIPS\t: {}\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\n"


@pytest.mark.parametrize(
    ("name", "machine", "reason"),
    [
        ("qemu_user", "aarch64", "runs under qemu-aarch64"),
        ("qemu_virt_tcg", "aarch64", "timer runs at 62.5 MHz"),
        ("firecracker_x86", "x86_64", ""),
        ("raspberry_pi_5", "aarch64", ""),
        ("raspberry_pi_4_undervolted", "armv7l", ""),
        ("jetson_orin_nano", "aarch64", ""),
        ("pixel_6", "aarch64", ""),
        ("laptop", "x86_64", ""),
    ],
)
def test_recorded_devices(recorded, name, machine, reason):
    found = read_emulation(reading_of(recorded(name)), machine)
    assert reason in found
    assert bool(found) is bool(reason)


def test_code_of_another_architecture_than_the_kernels():
    assert read_emulation(Reading(files={MODALIAS: "cpu:type:x86,ven0000:"}), "aarch64") == (
        "aarch64 code runs on a kernel for x86"
    )
    assert read_emulation(Reading(files={MODALIAS: "cpu:type:aarch64:feature:"}), "x86_64")


@pytest.mark.parametrize(
    ("kernel", "machine"), [("x86,ven", "i686"), ("x86,ven", "x86_64"), ("aarch64:f", "armv8l"), ("aarch64:f", "")]
)
def test_a_32_bit_process_is_at_home(kernel, machine):
    assert read_emulation(Reading(files={MODALIAS: f"cpu:type:{kernel}"}), machine) == ""


@pytest.mark.parametrize(
    ("files", "machine", "emulated"),
    [
        ({VENDOR: "QEMU\n", CLOCKS: "kvm-clock tsc acpi_pm\n"}, "x86_64", False),
        ({VENDOR: "QEMU\n", CLOCKS: "tsc hpet acpi_pm\n"}, "x86_64", True),
        ({VENDOR: "QEMU\n"}, "x86_64", False),
        ({VENDOR: "Amazon EC2\n", CLOCKS: "tsc\n"}, "x86_64", False),
        ({"/proc/cpuinfo": "model name : QEMU TCG CPU version 2.5+\n"}, "x86_64", True),
        ({"/proc/cpuinfo": "model name : QEMU Virtual CPU version 2.5+\n", CLOCKS: "kvm-clock tsc\n"}, "x86_64", False),
        ({FW_CFG: "qemu,fw-cfg-mmio\0", "/proc/cpuinfo": ARM.format("50.00")}, "aarch64", False),
        ({FW_CFG: "qemu,fw-cfg-mmio\0", "/proc/cpuinfo": ARM.format("125.00")}, "aarch64", True),
        ({VENDOR: "QEMU\n", "/proc/cpuinfo": ARM.format("125.00")}, "aarch64", True),
        ({"/proc/cpuinfo": ARM.format("125.00")}, "aarch64", False),
        ({"/proc/cpuinfo": "CPU implementer\t: 0x00\nCPU part\t: 0x051\n"}, "aarch64", True),
    ],
)
def test_virtual_machines_are_real_and_translators_are_not(files, machine, emulated):
    assert bool(read_emulation(Reading(files=files), machine)) is emulated


def test_this_machine_is_real():
    """Also where the tests run in a virtual machine."""
    paths = [
        path for path in probes()["files"] if "*" not in path and Path(path).is_file() and os.access(path, os.R_OK)
    ]
    files = {path: Path(path).read_text(encoding="utf-8", errors="replace") for path in paths}
    assert read_emulation(Reading(files=files), os.uname().machine) == ""
