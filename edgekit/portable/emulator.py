"""What qemu needs to be an ARM machine, built once and kept in the cache.

Building fetches some 100 MB, so it is asked for by name (`edgekit bench emulator`); a benchmark only looks for it.
"""

from __future__ import annotations

import difflib
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from edgekit.errors import DeviceError, InputError
from edgekit.portable import guest
from edgekit.portable.architectures import find_architecture
from edgekit.portable.cache import ensure_built, find_built, key_of
from edgekit.portable.commands import find_program, run_program
from edgekit.portable.debian import DebianArchive
from edgekit.portable.runtime import ensure_runtime, runtime_key, start_words
from edgekit.portable.wheels import WHEELS
from edgekit.types.progress import Progress, Silent

ARCHITECTURE = find_architecture("aarch64")
USER_QEMU, USER_PACKAGE, USER_SUITE = "qemu-aarch64", "qemu-user", "trixie"
"""qemu 10, linked statically. Version 7.2 of Debian 12 crashes when ONNX Runtime is imported."""
SYSTEM_QEMU, SYSTEM_PACKAGE = "qemu-system-aarch64", "qemu-system-arm"
BUILD_HINT = "build it once with: edgekit bench emulator"
CORES = re.compile(r"cortex-a(?:3[4-9]|[5-9]\d|\d{3,})\w*|neoverse-\w+|a64fx|max")
"""64-bit ones; qemu lists those that its machine cannot start too."""


@dataclass(frozen=True)
class UserEmulator:
    """Runs one ARM program on this machine.

    Attributes:
        folder: Of the emulator.
        runtime: Folder of the runtime that it runs.
    """

    folder: Path
    runtime: Path

    @property
    def qemu(self) -> Path:
        """The emulator itself."""
        return self.folder / USER_QEMU

    def command(self, cpu: str, runtime: Path) -> tuple[str, ...]:
        """What starts the Python of a runtime, for an emulated CPU."""
        return (str(self.qemu), "-cpu", cpu, *start_words(str(runtime), ARCHITECTURE))


@dataclass(frozen=True)
class SystemEmulator:
    """Is an ARM machine.

    Attributes:
        folder: Of the machine's software.
        qemu: The emulator.
    """

    folder: Path
    qemu: str

    @property
    def kernel(self) -> Path:
        """Image of Linux."""
        return self.folder / guest.KERNEL

    @property
    def initramfs(self) -> Path:
        """All files of the machine."""
        return self.folder / guest.INITRAMFS

    @property
    def client_key(self) -> Path:
        """Private key that logs in as root."""
        return self.folder / guest.CLIENT_KEY

    @property
    def host_key(self) -> str:
        """Fingerprint "SHA256:..." of the machine's own key."""
        return (self.folder / guest.FINGERPRINT).read_text()


def find_user_emulator() -> UserEmulator:
    """The emulator of single programs, if it has been built.

    Raises:
        DeviceError: It has not.
    """
    qemu = find_built("qemu-user", _qemu_key())
    runtime = find_built(f"runtime-{ARCHITECTURE.name}", runtime_key(ARCHITECTURE, WHEELS))
    if not qemu or not runtime:
        raise DeviceError("the emulator of ARM programs has not been built", hint=BUILD_HINT)
    return UserEmulator(qemu, runtime / "runtime")


def ensure_user_emulator(progress: Progress | None = None) -> UserEmulator:
    """The emulator of single programs, built now if it is not there.

    Raises:
        DeviceError: This machine has no apt with a mirror of Debian, no pip, or no network.
        StorageError: The cache cannot be written.
    """
    watcher = progress or Silent()

    def build(folder: Path) -> None:
        with watcher.stage("fetch qemu"), tempfile.TemporaryDirectory(dir=folder) as place:
            listing = run_program(("dpkg", "--print-architecture"), doing="ask dpkg for this machine's architecture")
            archive = DebianArchive(USER_SUITE, listing.strip(), Path(place) / "apt")
            archive.unpack((USER_PACKAGE,), Path(place) / "root")
            shutil.copy(Path(place) / "root/usr/bin" / USER_QEMU, folder)

    ensure_built("qemu-user", _qemu_key(), build)
    ensure_runtime(ARCHITECTURE, progress=watcher)
    return find_user_emulator()


def find_system_emulator() -> SystemEmulator:
    """The emulated machine, if it has been built.

    Raises:
        DeviceError: It has not, or qemu is not installed.
    """
    folder = find_built("guest", _guest_key())
    if not folder:
        raise DeviceError("the emulated ARM machine has not been built", hint=BUILD_HINT)
    return SystemEmulator(folder, find_program(SYSTEM_QEMU, package=SYSTEM_PACKAGE))


def ensure_system_emulator(progress: Progress | None = None) -> SystemEmulator:
    """The emulated machine, built now if it is not there.

    Raises:
        DeviceError: qemu is not installed, or this machine has no apt with a mirror of Debian, no pip, or no network.
        StorageError: The cache cannot be written.
    """
    find_program(SYSTEM_QEMU, package=SYSTEM_PACKAGE)
    watcher = progress or Silent()

    def build(folder: Path) -> None:
        guest.build_guest(folder, ensure_runtime(ARCHITECTURE, progress=watcher), watcher)

    ensure_built("guest", _guest_key(), build)
    return find_system_emulator()


def list_cores(qemu: str | Path, *machine: str) -> tuple[str, ...]:
    """The 64-bit cores that an emulator knows, sorted.

    Args:
        qemu: The emulator.
        machine: Its words before `-cpu`.

    Raises:
        DeviceError: It cannot be started.
    """
    # qemu-user takes a call for help as a failure
    listing = run_program((qemu, *machine, "-cpu", "help"), doing="ask qemu for its cores", success=(0, 1))
    return tuple(sorted({word for word in listing.split() if CORES.fullmatch(word)}))


def check_core(name: str, known: tuple[str, ...], device: str) -> None:
    """Refuse a core that an emulator does not know.

    Args:
        name: As the user wrote it.
        known: As `list_cores` gives them.
        device: URI for the message.

    Raises:
        InputError: It is none of them; with those that are written much like it.
    """
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        raise InputError(
            f"{device}: qemu has no core '{name}'",
            hint=f"did you mean {' or '.join(near)}?" if near else f"it has {', '.join(known)}",
        )


def _qemu_key() -> str:
    return key_of(USER_SUITE, USER_PACKAGE)


def _guest_key() -> str:
    return guest.guest_key(runtime_key(ARCHITECTURE, WHEELS))
