"""`ssh://user@host`: a machine with an ssh server: Pi, Jetson, any Linux, Termux."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.devices import shell
from edgekit.devices.names import check_name
from edgekit.devices.ssh_connection import FAILURES, SshConnection, SshPlace
from edgekit.devices.ssh_stream import SshStream
from edgekit.devices.uri import DeviceUri, parse_ssh_address
from edgekit.errors import DeviceError
from edgekit.types.bench import Kind

if TYPE_CHECKING:
    import asyncssh

RECONNECT_S = 5.0
"""A lost host is tried once more when closing, so that nothing stays there if it is back."""


class SshDevice:
    """A machine behind ssh; see `Device`.

    Attributes:
        folder: What `push` fills and `close` removes.
    """

    def __init__(
        self,
        place: SshPlace,
        uri: str,
        *,
        python: Sequence[str] = (),
        parent: str = "",
        kind: Kind | None = Kind.WALL_NS,
        emulated: str = "",
    ) -> None:
        """Connect and make the folder.

        Args:
            place: Where to, and how.
            uri: For messages and reports.
            python: "python3" by default.
            parent: Where the folder is made; its place for temporary files by default.
            kind: As `Device.kind`.
            emulated: As `Device.emulated`.

        Raises:
            InputError: A file that `place` names is not there, or `parent` is no plain absolute path.
            DeviceError: It cannot be reached, or no folder can be made.
        """
        self.uri = uri
        self.kind = kind
        self.python: Sequence[str] = tuple(python) or ("python3",)
        self.emulated = emulated
        self._place = place
        make = shell.make_folder(parent)
        self._connection = SshConnection(place, uri)
        self._sftp: asyncssh.SFTPClient | None = None
        self._has_sftp = True
        try:
            code, out, complaint = self._connection.ask(make)
            self.folder = shell.parse_folder(out.decode(errors="replace"))
            if code or not self.folder:
                raise DeviceError(
                    f"no folder can be made there: {complaint.strip()}",
                    device=uri,
                    hint="free some space, or choose another place with ?folder=DIR",
                )
        except BaseException:
            self._connection.close()
            raise

    def push(self, files: Mapping[str, Path | bytes]) -> None:
        """See `Device.push`."""
        for name, source in files.items():
            size_bytes = len(source) if isinstance(source, bytes) else source.stat().st_size
            try:
                problem = self._put(check_name(name), source)
            except FAILURES as error:
                if self._connection.is_lost:
                    raise self._connection.explain_loss(error) from error
                raise self._explain_full(name, size_bytes, str(error)) from error
            if problem:
                raise self._explain_full(name, size_bytes, problem)

    def start(self, command: Sequence[str], stdin: str) -> SshStream:
        """See `Device.start`."""
        return SshStream(
            self._connection,
            shell.run_in(self.folder, command),
            stdin,
            ending=shell.end_all_in(self.folder),
        )

    def pull(self, name: str, to: Path) -> None:
        """See `Device.pull`."""
        place = f"{self.folder}/{check_name(name)}"
        try:
            sftp = self._open_sftp()
            if sftp is not None:
                self._connection.run(sftp.get(place, str(to)))
                return
            code, contents, complaint = self._connection.ask(shell.send(self.folder, name), timeout_s=None)
        except FAILURES as error:
            if self._connection.is_lost:
                raise self._connection.explain_loss(error) from error
            raise DeviceError(f"'{name}' cannot be fetched: {error}", device=self.uri) from error
        if code:
            raise DeviceError(f"'{name}' cannot be fetched: {complaint.strip()}", device=self.uri)
        to.write_bytes(contents)

    def close(self) -> tuple[str, ...]:
        """See `Device.close`."""
        if not self.folder:
            return ()
        folder, self.folder = self.folder, ""
        if self._connection.is_lost:
            self._connection.close()
            try:
                self._connection = SshConnection(self._place, self.uri, timeout_s=RECONNECT_S)
            except DeviceError:
                return (folder,)
        try:
            self._connection.ask(shell.end_all_in(folder))
            code, out, _ = self._connection.ask(shell.remove(folder))
        except DeviceError:
            return (folder,)
        finally:
            self._connection.close()
        return (folder,) if code or out.strip() else ()

    def _open_sftp(self) -> asyncssh.SFTPClient | None:
        """The client, or None where the server has no such subsystem (dropbear often has none)."""
        if self._sftp is None and self._has_sftp:
            try:
                self._sftp = self._connection.run(self._connection.client.start_sftp_client())
            except FAILURES:
                if self._connection.is_lost:
                    raise
                self._has_sftp = False
        return self._sftp

    def _put(self, name: str, source: Path | bytes) -> str:
        """Write one file; a complaint, or ""."""
        sftp = self._open_sftp()
        if sftp is None:
            contents = source if isinstance(source, bytes) else source.read_bytes()
            code, _, complaint = self._connection.ask(shell.receive(self.folder, name), stdin=contents, timeout_s=None)
            return complaint.strip() or f"it ended with {code}" if code else ""
        if isinstance(source, bytes):
            self._connection.run(_write(sftp, f"{self.folder}/{name}", source))
        else:
            self._connection.run(sftp.put(str(source), f"{self.folder}/{name}"))
        return ""

    def _explain_full(self, name: str, size_bytes: int, complaint: str) -> DeviceError:
        _, out, _ = self._connection.ask(shell.show_space(self.folder))
        full = shell.describe_space(out.decode(errors="replace"), needed_bytes=size_bytes)
        return DeviceError(
            f"'{name}' cannot be written to {self.folder}: {full or complaint}",
            device=self.uri,
            hint="free some space, or choose another place with ?folder=DIR" if full else "",
        )


def open_ssh(uri: DeviceUri) -> SshDevice:
    """Open `ssh://user@host[:port]`, with the options `key`, `hostkey`, `known_hosts`, `python` and `folder`.

    Raises:
        InputError: Another option, or a file or folder that cannot be one.
        DeviceError: It cannot be reached, or no folder can be made.
    """
    uri.allow("key", "hostkey", "known_hosts", "python", "folder")
    address = parse_ssh_address(uri)
    files = {name: Path(uri.options[name]).expanduser() for name in ("key", "known_hosts") if name in uri.options}
    place = SshPlace(
        address.host,
        address.port,
        address.user,
        key=files.get("key"),
        host_key=uri.options.get("hostkey", ""),
        known_hosts=files.get("known_hosts"),
    )
    return SshDevice(place, uri.display, python=uri.python, parent=uri.options.get("folder", ""))


async def _write(sftp: asyncssh.SFTPClient, place: str, contents: bytes) -> None:
    async with sftp.open(place, "wb") as file:
        await file.write(contents)
