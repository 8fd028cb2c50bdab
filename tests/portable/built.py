"""The emulators, if they have been built; where they are demanded, built now."""

from __future__ import annotations

import os

from edgekit.errors import DeviceError
from edgekit.portable.emulator import (
    SystemEmulator,
    UserEmulator,
    ensure_system_emulator,
    ensure_user_emulator,
    find_system_emulator,
    find_user_emulator,
)
from tests.devices.parts import lack

REQUIRED = os.environ.get("EDGEKIT_DEVICES") == "required"


def user_emulator() -> UserEmulator:
    """Of single programs."""
    if REQUIRED:
        return ensure_user_emulator()
    try:
        return find_user_emulator()
    except DeviceError as error:
        lack(f"the emulator of ARM programs: {error.hint}")


def system_emulator() -> SystemEmulator:
    """Of a machine."""
    if REQUIRED:
        return ensure_system_emulator()
    try:
        return find_system_emulator()
    except DeviceError as error:
        lack(f"the emulated ARM machine: {error.hint}")
