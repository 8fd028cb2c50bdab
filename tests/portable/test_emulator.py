"""Emulators: what has not been built is told, never built in passing; cores by the name that qemu has."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekit.errors import DeviceError, InputError
from edgekit.portable.emulator import check_core, find_system_emulator, find_user_emulator, list_cores
from tests.portable.built import system_emulator, user_emulator

KNOWN = ("cortex-a53", "cortex-a72", "cortex-a76", "neoverse-n1")


@pytest.mark.parametrize("find", [find_user_emulator, find_system_emulator])
def test_what_has_not_been_built_is_told_with_the_command(find, tmp_path, monkeypatch):
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path))
    with pytest.raises(DeviceError, match="has not been built") as caught:
        find()
    assert "edgekit bench emulator" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_only_cores_of_64_bits_are_listed(tmp_path: Path):
    qemu = tmp_path / "qemu"
    listed = "Available CPUs: cortex-a7 cortex-a15 cortex-a53 cortex-a710 cortex-m33 neoverse-n1 host max a64fx"
    qemu.write_text(f"#!/bin/sh\n[ \"$*\" = '-M virt -cpu help' ] && printf '%s\\n' {listed}\nexit 1\n")
    qemu.chmod(0o755)
    assert list_cores(qemu, "-M", "virt") == ("a64fx", "cortex-a53", "cortex-a710", "max", "neoverse-n1")


def test_a_core_that_is_unknown_is_told_with_its_neighbours():
    check_core("cortex-a72", KNOWN, "qemu-user:cortex-a72")
    with pytest.raises(InputError, match="qemu-user:cortex-a75: qemu has no core 'cortex-a75'") as caught:
        check_core("cortex-a75", KNOWN, "qemu-user:cortex-a75")
    assert "cortex-a76" in caught.value.hint
    with pytest.raises(InputError) as caught:
        check_core("pentium", KNOWN, "qemu-user:pentium")
    assert caught.value.hint == "it has cortex-a53, cortex-a72, cortex-a76, neoverse-n1"


def test_the_real_ones_know_common_cores():
    assert {"cortex-a53", "cortex-a72", "cortex-a76", "max"} <= set(list_cores(user_emulator().qemu))
    assert {"cortex-a53", "cortex-a72", "cortex-a76"} <= set(list_cores(system_emulator().qemu, "-M", "virt"))


def test_the_key_that_logs_in_is_private():
    emulator = system_emulator()
    assert emulator.client_key.stat().st_mode & 0o077 == 0
    assert emulator.host_key.startswith("SHA256:")
