"""`qemu-system:CPU`: an emulated ARM machine whose instructions are counted, the same number on every host.

qemu counts one instruction as one nanosecond of the machine's time, and its performance counter counts them too. What
a program takes in there depends on nothing outside: not on this machine's load, nor on its speed. It knows no cache and
no pipeline, so a count is a cost, but no latency.
"""

from __future__ import annotations

from edgekit.devices.qemu_machine import MACHINE, QemuMachine, boot
from edgekit.devices.ssh import SshDevice
from edgekit.devices.ssh_connection import SshPlace
from edgekit.devices.uri import DeviceUri
from edgekit.errors import InputError
from edgekit.portable.emulator import SystemEmulator, check_core, find_system_emulator, list_cores
from edgekit.portable.guest import PYTHON
from edgekit.types.bench import Kind

EMULATED = "qemu-system counts instructions: it has no cache and no pipeline, and its clock is the count"


class QemuSystemDevice(SshDevice):
    """An emulated machine that lives as long as it is open; see `Device`."""

    def __init__(self, machine: QemuMachine, emulator: SystemEmulator, uri: str) -> None:
        """Log in and make the folder.

        Args:
            machine: A running one; ended by `close`, and when this fails.
            emulator: What it was booted from.
            uri: For messages and reports.

        Raises:
            DeviceError: Its sshd does not let us in.
        """
        self._machine = machine
        place = SshPlace(
            "127.0.0.1", machine.port, "root", key=emulator.client_key, host_key=emulator.host_key, config=False
        )
        try:
            super().__init__(place, uri, python=(PYTHON,), parent="/tmp", kind=Kind.INSTRUCTIONS, emulated=EMULATED)
        except BaseException:
            machine.end()
            raise

    def close(self) -> tuple[str, ...]:
        """See `Device.close`; the folder goes with the machine."""
        if self.folder:
            self.folder = ""
            self._connection.close()
            self._machine.end()
        return ()


def open_qemu_system(uri: DeviceUri) -> QemuSystemDevice:
    """Open `qemu-system:CPU`, which has no options: boot the machine and log in.

    Raises:
        InputError: An option, or a core that qemu does not have.
        DeviceError: The machine has not been built, qemu is not installed, or it does not boot.
    """
    if uri.options:
        raise InputError(f"'{uri.display}': an emulated machine has no options", hint=f"write {uri.kind}:{uri.address}")
    emulator = find_system_emulator()
    check_core(uri.address, list_cores(emulator.qemu, *MACHINE), uri.display)
    return QemuSystemDevice(boot(emulator, uri.address, uri.display), emulator, uri.display)
