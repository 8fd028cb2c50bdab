"""`qemu-user:CPU`: one ARM program at a time on this machine, for what a model computes there, not for how fast.

The runtime's Python is emulated; every other command is this machine's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgekit.devices.local import LocalDevice
from edgekit.devices.processes import ProcessStream, open_process
from edgekit.devices.uri import DeviceUri
from edgekit.portable.emulator import UserEmulator, check_core, find_user_emulator, list_cores

EMULATED = "qemu-user translates ARM instructions into this machine's own: its time says nothing about any ARM device"


class QemuUserDevice(LocalDevice):
    """A folder of this machine in which Python is an ARM program; see `Device`."""

    kind = None
    emulated = EMULATED

    def __init__(self, emulator: UserEmulator, cpu: str, uri: str, *, parent: Path | None = None) -> None:
        """Make the folder.

        Args:
            emulator: What runs ARM programs.
            cpu: Core to emulate, as qemu names it.
            uri: For messages and reports.
            parent: Where the folder is made; the system's place for temporary files by default.

        Raises:
            DeviceError: No folder can be made there.
        """
        super().__init__(uri, python=(str(emulator.runtime / "python"),), parent=parent)
        self._emulator = emulator
        self._cpu = cpu

    def start(self, command: Sequence[str], stdin: str) -> ProcessStream:
        """See `Device.start`; the launcher of a runtime stands for its Python, which alone is emulated."""
        launcher = self.folder / next((word for word in command if word != "sh"), "")
        words, environment = list(command), None
        if launcher.name == "python" and (launcher.parent / "bin").is_dir():
            rest = words[words.index("sh") + 2 :] if words[0] == "sh" else words[1:]
            words = [*self._emulator.command(self._cpu, launcher.parent.absolute()), *rest]
            environment = dict.fromkeys(("LD_PRELOAD", "LD_LIBRARY_PATH", "PYTHONHOME", "PYTHONPATH"), "")
        return open_process(words, stdin=stdin, device=self.uri, folder=self.folder, environment=environment)


def open_qemu_user(uri: DeviceUri) -> QemuUserDevice:
    """Open `qemu-user:CPU`, with the option `folder`.

    Raises:
        InputError: Another option, or a core that qemu does not have.
        DeviceError: The emulator has not been built, or no folder can be made.
    """
    uri.allow("folder")
    emulator = find_user_emulator()
    check_core(uri.address, list_cores(emulator.qemu), uri.display)
    parent = Path(uri.options["folder"]).absolute() if "folder" in uri.options else None
    return QemuUserDevice(emulator, uri.address, uri.display, parent=parent)
