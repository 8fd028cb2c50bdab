"""open_device: from what the user wrote to a machine that has been shown to start Python."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from edgekit.devices.device import Device
from edgekit.devices.shell import parse_space
from edgekit.devices.uri import DeviceUri, parse_uri
from edgekit.errors import DeviceError, InputError
from edgekit.plugins import Family
from edgekit.units import size

DEVICES: Family[Callable[[DeviceUri], Device]] = Family(
    "edgekit.devices",
    {
        "local": "edgekit.devices.local:open_local",
        "ssh": "edgekit.devices.ssh:open_ssh",
        "adb": "edgekit.devices.adb:open_adb",
        "qemu-user": "edgekit.devices.qemu_user:open_qemu_user",
        "qemu-system": "edgekit.devices.qemu_system:open_qemu_system",
    },
)
"""Kind of URI -> what opens it: connects, makes the folder, and says what starts Python there."""

ARCHIVE = "runtime.tar.gz"
LAUNCHER = ("sh", "./runtime/python")
"""What starts a portable runtime from the folder that it was unpacked in; Android before 10 has no /bin/sh."""
OLDEST_PYTHON = (3, 8)
UNPACK_S = 600.0
START_S = 120.0
"""A first start reads Python from a slow card; under qemu-user it translates it too."""


def open_device(uri: str | DeviceUri, *, runtime: Path | None = None) -> Device:
    """Open a device and see that Python starts there.

    Args:
        uri: For example "ssh://pi@raspberrypi".
        runtime: A portable runtime (tar.gz, as `edgekit bench bundle` builds it) to bring along: it is unpacked in
            the device's folder, and its Python is used instead of the one there.

    Returns:
        The device; whoever asked closes it.

    Raises:
        InputError: No such kind of device, an address or an option it cannot have, or no such runtime.
        DeviceError: It cannot be reached, has no space, or no Python that starts.
    """
    where = parse_uri(uri) if isinstance(uri, str) else uri
    if runtime is not None and not runtime.is_file():
        raise InputError(f"there is no portable runtime at {runtime}", hint="edgekit bench bundle builds one")
    device = DEVICES.load(where.kind)(where)
    try:
        if runtime is not None:
            _unpack(device, runtime)
        _check_python(device, runtime)
    except BaseException as error:  # also Ctrl-C: nothing is to stay there
        say_left(error, device.close())
        raise
    return device


def say_left(error: BaseException, left: Sequence[str]) -> None:
    """Have an error of a device also say what stayed there.

    Args:
        error: Anything; only a DeviceError has room for it.
        left: What `Device.close` could not remove.
    """
    if left and isinstance(error, DeviceError):
        error.hint = "; ".join(filter(None, (error.hint, f"remove {', '.join(left)} there by hand")))


def _unpack(device: Device, runtime: Path) -> None:
    device.push({ARCHIVE: runtime})
    code, _, complaint = _run(device, ("sh", "-c", f"tar -xzf {ARCHIVE} && rm {ARCHIVE}"), UNPACK_S)
    if code:
        space = parse_space("\n".join(_run(device, ("df", "-k", "."), START_S)[1]))
        free = f"; {size(space[0])} are free there" if space else ""
        said = _first_line(complaint) or f"tar ended with {code}"
        raise DeviceError(
            f"the portable runtime cannot be unpacked there: {said}{free}",
            device=device.uri,
            hint="it needs about four times the size of its file there; ?folder=DIR chooses another place",
        )
    device.python = LAUNCHER


def _first_line(complaint: str) -> str:
    """What a program said first: tar names every file that it had no room for."""
    lines = complaint.strip().splitlines()
    return lines[0] if lines else ""


def _check_python(device: Device, runtime: Path | None) -> None:
    asking = (*device.python, "-c", "import sys; print(*sys.version_info[:2])")
    try:
        code, lines, complaint = _run(device, asking, START_S)
    except DeviceError as error:
        error.hint = error.hint or _explain_no_python(runtime)
        raise
    if code:
        raise DeviceError(
            f"'{' '.join(device.python)}' does not start there: {complaint.strip() or f'it ended with {code}'}",
            device=device.uri,
            hint=_explain_no_python(runtime),
        )
    version = tuple(int(part) for part in re.findall(r"\b[0-9]{1,4}\b", lines[-1] if lines else ""))
    if version < OLDEST_PYTHON:
        raise DeviceError(
            f"'{' '.join(device.python)}' there is Python {'.'.join(map(str, version)) or 'in name only'}",
            device=device.uri,
            hint="the agent needs Python 3.8; " + _explain_no_python(runtime),
        )


def _explain_no_python(runtime: Path | None) -> str:
    if runtime is not None:
        return (
            "was it built for this architecture (edgekit bench bundle --arch takes what `uname -m` prints there), and "
            "may programs be run from that folder? ?folder=DIR chooses another"
        )
    return (
        "install python3 there, name it with ?python=, or bring it along: edgekit bench bundle --arch aarch64, "
        "then --runtime FILE"
    )


def _run(device: Device, command: Sequence[str], timeout_s: float) -> tuple[int, list[str], str]:
    """Exit code, lines of output and standard error of a short command."""
    with device.start(command, "") as stream:
        lines = list(stream.lines(timeout_s))
        code, complaint = stream.finish()
    return code, lines, complaint
