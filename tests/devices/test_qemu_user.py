"""Single ARM programs under the real qemu: what they compute, and that nothing else is emulated."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekit.bench import jobs
from edgekit.devices.local import LocalDevice
from edgekit.devices.opening import open_device
from edgekit.errors import DeviceError, InputError
from edgekit.portable.emulator import UserEmulator
from edgekit.portable.tarball import write_tarball
from edgekit.testing.device_check import check_device
from tests.devices.emulated import SUBJECTS, ask_agent, push_all, run, write_nets
from tests.portable.built import user_emulator

URI = "qemu-user:cortex-a53"


@pytest.fixture(scope="module")
def emulator() -> UserEmulator:
    return user_emulator()


def golden(device, nets: Path) -> list[str]:
    """Digests of what the nets compute from the same random inputs."""
    push_all(device, nets)
    events = ask_agent(device, jobs.job(SUBJECTS, seed=1, golden=["onnx.npz", "tflite.npz"]))
    return [event["digest"] for event in events["golden"]]


def test_it_keeps_every_promise_of_a_device(emulator):
    check_device(lambda: open_device(URI))


def test_python_is_an_arm_program_and_nothing_else_is(emulator):
    device = open_device(URI)
    try:
        assert (device.kind, device.uri) == (None, URI)
        assert "says nothing about any ARM device" in device.emulated
        program = "import os, platform; print(platform.machine(), platform.libc_ver()[1], os.getcwd())"
        assert run(device, (*device.python, "-c", program)) == [f"aarch64 2.36 {device.folder}"]
        assert run(device, ("sh", *device.python, "-c", "print(6 * 7)")) == ["42"]
        assert run(device, ("uname", "-m")) == run(LocalDevice(), ("uname", "-m"))
    finally:
        assert device.close() == ()


def test_variables_for_another_python_do_not_reach_it(emulator, monkeypatch):
    for name in ("PYTHONHOME", "PYTHONPATH", "LD_LIBRARY_PATH"):
        monkeypatch.setenv(name, "/no/such")
    device = open_device(URI)
    try:
        assert run(device, (*device.python, "-c", "import numpy; print('imported')")) == ["imported"]
    finally:
        device.close()


def test_cores_compute_the_same_and_litert_what_this_machine_computes(emulator, tmp_path):
    nets = write_nets(tmp_path)
    found = {}
    for uri in ("qemu-user:cortex-a53", "qemu-user:cortex-a76", "local:"):
        device = open_device(uri)
        try:
            found[uri] = golden(device, nets)
        finally:
            device.close()
    assert found["qemu-user:cortex-a53"] == found["qemu-user:cortex-a76"]
    assert found["qemu-user:cortex-a53"][1] == found["local:"][1]


def test_a_runtime_that_is_brought_along_is_emulated_too(emulator, tmp_path):
    write_tarball(emulator.runtime, tmp_path / "runtime.tar.gz")
    device = open_device(URI, runtime=tmp_path / "runtime.tar.gz")
    try:
        program = "import sys, platform; print(platform.machine(), sys.prefix)"
        assert run(device, (*device.python, "-c", program)) == [f"aarch64 {device.folder}/runtime"]
    finally:
        assert device.close() == ()


def test_a_core_that_is_unknown_is_refused(emulator):
    with pytest.raises(InputError, match="no core 'cortex-a75'") as caught:
        open_device("qemu-user:cortex-a75")
    assert "cortex-a76" in caught.value.hint


def test_an_option_that_it_does_not_have_is_refused():
    with pytest.raises(InputError, match="no option 'python'"):
        open_device("qemu-user:cortex-a53?python=python3")


def test_its_folder_can_be_chosen(emulator, tmp_path):
    device = open_device(f"{URI}?folder={tmp_path}")
    assert device.folder.parent == tmp_path
    device.close()
    assert list(tmp_path.iterdir()) == []


def test_without_the_emulator_nothing_is_built(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path))
    with pytest.raises(DeviceError, match="has not been built") as caught:
        open_device(URI)
    assert "edgekit bench emulator" in caught.value.hint
    assert list(tmp_path.iterdir()) == []
