"""`local:`: this machine, in a temporary folder."""

from __future__ import annotations

import errno
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from edgekit.devices.names import check_name
from edgekit.devices.processes import ProcessStream, open_process
from edgekit.devices.uri import DeviceUri
from edgekit.errors import DeviceError
from edgekit.types.bench import Kind
from edgekit.units import size


class LocalDevice:
    """This machine; see `Device`.

    Attributes:
        folder: What `push` fills and `close` removes.
    """

    kind: Kind | None = Kind.WALL_NS
    emulated = ""

    def __init__(self, uri: str = "local:", *, python: Sequence[str] = (), parent: Path | None = None) -> None:
        """Make the folder.

        Args:
            uri: For messages and reports.
            python: The running interpreter by default.
            parent: Where the folder is made; the system's place for temporary files by default.

        Raises:
            DeviceError: No folder can be made there.
        """
        self.uri = uri
        self.python = tuple(python) or (sys.executable,)
        try:
            self.folder = Path(tempfile.mkdtemp(prefix="edgekit.", dir=parent))
        except OSError as error:
            raise DeviceError(
                f"no folder can be made in {parent or tempfile.gettempdir()}: {error.strerror}",
                device=uri,
                hint="choose another place with ?folder=DIR or TMPDIR",
            ) from error

    def push(self, files: Mapping[str, Path | bytes]) -> None:
        """See `Device.push`."""
        for name, source in files.items():
            try:
                if isinstance(source, bytes):
                    (self.folder / check_name(name)).write_bytes(source)
                else:
                    shutil.copyfile(source, self.folder / check_name(name))
            except OSError as error:
                raise self._explain(f"'{name}' cannot be written", error) from error

    def start(self, command: Sequence[str], stdin: str) -> ProcessStream:
        """See `Device.start`."""
        return open_process(command, stdin=stdin, device=self.uri, folder=self.folder)

    def pull(self, name: str, to: Path) -> None:
        """See `Device.pull`."""
        try:
            shutil.copyfile(self.folder / check_name(name), to)
        except OSError as error:
            raise self._explain(f"'{name}' cannot be fetched", error) from error

    def close(self) -> tuple[str, ...]:
        """See `Device.close`."""
        shutil.rmtree(self.folder, ignore_errors=True)
        return (str(self.folder),) if self.folder.exists() else ()

    def _explain(self, what: str, error: OSError) -> DeviceError:
        if error.errno != errno.ENOSPC:
            return DeviceError(f"{what}: {error.strerror}", device=self.uri)
        disk = shutil.disk_usage(self.folder)
        return DeviceError(
            f"{what}: no space in {self.folder.parent}, {size(disk.free)} of {size(disk.total)} are free",
            device=self.uri,
            hint="free some, or choose another place with ?folder=DIR",
        )


def open_local(uri: DeviceUri) -> LocalDevice:
    """Open `local:`, with the options `python` and `folder`.

    Raises:
        InputError: Another option.
        DeviceError: No folder can be made.
    """
    uri.allow("python", "folder")
    parent = Path(uri.options["folder"]).absolute() if "folder" in uri.options else None
    return LocalDevice(uri.display, python=uri.python, parent=parent)
