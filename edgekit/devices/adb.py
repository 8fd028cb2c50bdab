"""`adb:SERIAL`: an Android device, through the adb binary on this machine."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from edgekit.devices import shell
from edgekit.devices.adb_listing import choose_device, parse_devices
from edgekit.devices.names import check_name
from edgekit.devices.processes import FarSide, ProcessStream, open_process
from edgekit.devices.uri import DeviceUri
from edgekit.errors import DeviceError, DeviceTimeoutError
from edgekit.types.bench import Kind

PARENT = "/data/local/tmp"
"""The one place on Android where the shell's user may write and execute."""
TERMUX_PYTHON = "/data/data/com.termux/files/usr/bin/python3"
COMMAND_S = 60.0
"""For the short commands."""
ENDED = "edgekit: it ended with"
"""Last line of standard error, by our own shell: when the device goes away, `adb shell` may well end with 0."""


class AdbDevice:
    """A device behind adb; see `Device`.

    Attributes:
        folder: What `push` fills and `close` removes.
    """

    kind: Kind | None = Kind.WALL_NS
    emulated = ""

    def __init__(
        self, serial: str, uri: str, *, transport: str = "", python: Sequence[str] = (), parent: str = PARENT
    ) -> None:
        """Find the device and make the folder.

        Args:
            serial: As adb lists it.
            uri: For messages and reports.
            transport: Its number, where several devices have the serial.
            python: Whichever is there by default: python3, or Termux's.
            parent: Where the folder is made.

        Raises:
            InputError: `parent` is no plain absolute path.
            DeviceError: No adb, no such device, several, or one that does not let this machine in.
        """
        self.uri = uri
        make = shell.make_folder(parent)
        self._adb = find_adb(uri)
        self._server("start-server")  # not as a child of a command that is ended later
        entry = choose_device(parse_devices(self._server("devices", "-l")), serial, transport=transport, device=uri)
        self._to = (self._adb, *(("-t", entry.transport) if transport else ("-s", serial)))
        self._check_features()
        self.python: Sequence[str] = tuple(python) or self._find_python()
        if self._ask("getprop ro.boot.qemu; getprop ro.kernel.qemu")[1].split()[:1] == ["1"]:
            self.kind, self.emulated = None, "it is the Android emulator"
        code, out, complaint = self._ask(make)
        self.folder = shell.parse_folder(out)
        if code or not self.folder:
            raise DeviceError(
                f"no folder can be made there: {complaint or out}",
                device=uri,
                hint="free some space, or choose another place with ?folder=DIR",
            )

    def push(self, files: Mapping[str, Path | bytes]) -> None:
        """See `Device.push`."""
        with tempfile.TemporaryDirectory(prefix="edgekit.") as here:
            for name, source in files.items():
                local = source if isinstance(source, Path) else Path(here) / name
                place = f"{self.folder}/{check_name(name)}"
                if isinstance(source, bytes):
                    local.write_bytes(source)
                code, out, complaint = self._call(("push", str(local), place), None)
                if code:
                    raise self._explain_push(name, local.stat().st_size, complaint or out)

    def start(self, command: Sequence[str], stdin: str) -> ProcessStream:
        """See `Device.start`."""
        words = (*self._to, "shell", "-T", _with_code(shell.run_in(self.folder, command)))
        return open_process(words, stdin=stdin, device=self.uri, far=FarSide(self._read_end, self._end))

    def pull(self, name: str, to: Path) -> None:
        """See `Device.pull`."""
        code, out, complaint = self._call(("pull", f"{self.folder}/{check_name(name)}", str(to)), None)
        if code:
            self._check_alive()
            raise DeviceError(f"'{name}' cannot be fetched: {complaint or out}", device=self.uri)

    def close(self) -> tuple[str, ...]:
        """See `Device.close`."""
        if not self.folder:
            return ()
        folder, self.folder = self.folder, ""
        try:
            self._ask(shell.end_all_in(folder))
            code, out, _ = self._ask(shell.remove(folder))
        except DeviceError:
            return (folder,)
        return (folder,) if code or out else ()

    def _find_python(self) -> tuple[str, ...]:
        code, out, _ = self._ask(f"command -v python3 || ls {TERMUX_PYTHON}")
        return (out.splitlines()[-1],) if code == 0 and out else ("python3",)

    def _check_features(self) -> None:
        if "shell_v2" not in self._call(("features",), COMMAND_S)[1].split():
            self._check_alive()
            raise DeviceError(
                "its adb gives neither exit codes nor standard error",
                device=self.uri,
                hint="Android 7 is the first that does",
            )

    def _read_end(self, code: int, complaint: str) -> tuple[int, str]:
        """Exit code and standard error of the command on the device, from those of `adb shell`."""
        before, mark, told = complaint.rpartition(ENDED)
        if not mark or not re.fullmatch(r"\s*[0-9]{1,3}\s*", told):
            self._check_alive()
            raise self._explain_loss(complaint.strip() or f"adb ended with {code}")
        return int(told), before

    def _check_alive(self) -> None:
        code, state, complaint = self._call(("get-state",), COMMAND_S)
        if code or state != "device":
            raise self._explain_loss(complaint or state)

    def _explain_loss(self, reason: str) -> DeviceError:
        return DeviceError(
            f"the device went away ({reason})",
            device=self.uri,
            hint="see that cable, power and network hold, and run again; results so far are kept",
        )

    def _end(self) -> None:
        self._ask(shell.end_all_in(self.folder))

    def _ask(self, command: str) -> tuple[int, str, str]:
        """Exit code, output and standard error of a short command on the device."""
        near, out, told = self._call(("shell", "-T", _with_code(command)), COMMAND_S)
        code, complaint = self._read_end(near, told)
        return code, out, complaint.strip()

    def _server(self, *words: str) -> str:
        """Output of a command for adb's own server."""
        code, out, complaint = run_adb((self._adb, *words), self.uri, COMMAND_S)
        if code:
            raise DeviceError(
                f"adb's server cannot be used: {complaint or out}", device=self.uri, hint="try: adb kill-server"
            )
        return out

    def _call(self, words: Sequence[str], timeout_s: float | None) -> tuple[int, str, str]:
        return run_adb((*self._to, *words), self.uri, timeout_s)

    def _explain_push(self, name: str, size_bytes: int, complaint: str) -> DeviceError:
        self._check_alive()
        full = shell.describe_space(self._ask(shell.show_space(self.folder))[1], needed_bytes=size_bytes)
        return DeviceError(
            f"'{name}' cannot be written to {self.folder}: {full or complaint}",
            device=self.uri,
            hint="free some space, or choose another place with ?folder=DIR" if full else "",
        )


def open_adb(uri: DeviceUri) -> AdbDevice:
    """Open `adb:SERIAL`, with the options `transport`, `python` and `folder`.

    Raises:
        InputError: Another option, or a folder that cannot be one.
        DeviceError: As `AdbDevice`.
    """
    uri.allow("transport", "python", "folder")
    return AdbDevice(
        uri.address,
        uri.display,
        transport=uri.options.get("transport", ""),
        python=uri.python,
        parent=uri.options.get("folder", PARENT),
    )


def _with_code(command: str) -> str:
    return f"{command}; c=$?; echo '{ENDED}' $c >&2; exit $c"


def find_adb(device: str) -> str:
    """The adb binary: $ADB, or the one on PATH.

    Raises:
        DeviceError: There is none.
    """
    found = shutil.which(os.environ.get("ADB") or "adb")
    if not found:
        raise DeviceError(
            f"there is no program '{os.environ.get('ADB') or 'adb'}' here",
            device=device,
            hint="install it (Debian: apt install adb; elsewhere Android's platform tools), or name it in $ADB",
        )
    return found


def run_adb(command: Sequence[str], device: str, timeout_s: float | None) -> tuple[int, str, str]:
    """Exit code, output and standard error of one adb command, stripped.

    Raises:
        DeviceTimeoutError: It takes too long.
    """
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired as error:
        raise DeviceTimeoutError(
            f"adb did not answer within {timeout_s:g} s", device=device, hint="try: adb reconnect, or adb kill-server"
        ) from error
    out, complaint = (text.decode(errors="replace").strip() for text in (done.stdout, done.stderr))
    return done.returncode, out, complaint
