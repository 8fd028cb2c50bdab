"""What `adb devices -l` says, and which of its devices is meant."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from edgekit.errors import DeviceError

HINTS = {
    "unauthorized": "unlock it and accept this computer's key; if it does not ask, revoke USB debugging's keys there",
    "offline": "plug it in again, or: adb reconnect",
    "authorizing": "wait a moment, and unlock it",
    "connecting": "wait a moment",
    "no permissions": "this user may not open it: install android-sdk-platform-tools-common, and plug it in again",
    "bootloader": "start Android on it: fastboot reboot",
    "recovery": "start Android on it: adb reboot",
    "sideload": "start Android on it: adb reboot",
    "rescue": "start Android on it: adb reboot",
}
"""State -> what to do."""


@dataclass(frozen=True)
class AdbEntry:
    """One line of the list.

    Attributes:
        serial: Not always unique: cheap boards share one.
        state: "device" when it can be used.
        details: What else the line says: "product:... model:...".
        transport: Number that is unique while it is connected; "" where adb tells none.
    """

    serial: str
    state: str
    details: str = ""
    transport: str = ""


def parse_devices(text: str) -> tuple[AdbEntry, ...]:
    """The list from what `adb devices -l` prints, messages of a starting server included."""
    entries = []
    for line in text.splitlines():
        found = re.fullmatch(r"(\S+)\s+(no permissions|device|[a-z]+)\b\s*(.*)", line.rstrip())
        if not found or line.startswith(("*", "List of devices", "adb:", "error:")):
            continue
        details = found[3].strip()
        transport = re.search(r"\btransport_id:(\d+)", details)
        entries.append(AdbEntry(found[1], found[2], details, transport[1] if transport else ""))
    return tuple(entries)


def choose_device(entries: Sequence[AdbEntry], serial: str, *, transport: str = "", device: str = "") -> AdbEntry:
    """The one entry that is meant.

    Args:
        entries: All that adb lists.
        serial: As the user wrote it.
        transport: Number of the one that is meant, where several have the serial.
        device: URI for messages.

    Raises:
        DeviceError: None, several, or one that cannot be used.
    """
    same = [entry for entry in entries if entry.serial == serial]
    if not same:
        listed = ", ".join(sorted({entry.serial for entry in entries})) or "none"
        far = f"adb connect {serial}, or " if ":" in serial else ""
        raise DeviceError(
            f"adb lists no device '{serial}'; it lists {listed}",
            device=device,
            hint=f"{far}plug it in and allow USB debugging in its developer options; `adb devices -l` shows it then",
        )
    if transport:
        same = [entry for entry in same if entry.transport == transport]
        if not same:
            raise DeviceError(
                f"no device '{serial}' has transport {transport}",
                device=device,
                hint="the number changes when it is plugged in again: see transport_id in `adb devices -l`",
            )
    if len(same) > 1:
        choices = "; ".join(f"adb:{serial}?transport={entry.transport} ({entry.details})" for entry in same)
        raise DeviceError(f"{len(same)} devices have the serial '{serial}'", device=device, hint=f"write {choices}")
    if same[0].state != "device":
        state = same[0].state
        raise DeviceError(f"it is '{state}'", device=device, hint=HINTS.get(state, "see `adb devices -l`"))
    return same[0]
