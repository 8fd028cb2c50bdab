"""A portable runtime: Python, its C library and the wheels in one folder that runs wherever the kernel is Linux.

It is started by glibc's own loader, which is told where the libraries are, so nothing of the system is used, not even
its C library: Android and musl have another one. Python finds its modules from its own place.

    runtime/python          shell script that starts it; POSIX sh, no other program
    runtime/bin             the interpreter
    runtime/lib             loader, shared libraries, standard library, and the wheels in python3/dist-packages
    runtime/licenses        of everything from Debian; wheels have theirs beside their code
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from edgekit.errors import StorageError
from edgekit.portable.architectures import Architecture, find_architecture
from edgekit.portable.cache import ensure_built, key_of
from edgekit.portable.commands import run_program
from edgekit.portable.debian import DebianArchive
from edgekit.portable.tarball import write_tarball
from edgekit.portable.wheels import LEFT_OUT, PYTHON, WHEELS, install_wheels, pin_installed, remove_matches
from edgekit.types.progress import Progress, Silent

RECIPE = 1
"""Counted up when the same ingredients are to be put together in another way."""
SUITE = "bookworm"
DEBIAN_PACKAGES = (
    "python3.11-minimal",
    "libpython3.11-minimal",
    "libpython3.11-stdlib",
    "libc6",
    "gcc-12-base",  # has the licence of the next two
    "libgcc-s1",
    "libstdc++6",
    "zlib1g",
    "libffi8",
    "libbz2-1.0",
    "liblzma5",
    "libexpat1",
)
UNUSED = (
    "sitecustomize.py",  # a link to Debian's /etc
    "config-*",
    "distutils",
    "ensurepip",
    "lib2to3",
    "pydoc_data",
    "test",
    "turtle.py",
    *(f"lib-dynload/{module}.*" for module in ("_test*", "_xx*", "xx*", "_ctypes_test", "_codecs_*")),
    # what needs a library that is not brought along; hashlib has its own sha256 beside OpenSSL's
    *(f"lib-dynload/{module}.*" for module in ("_hashlib", "_ssl", "_sqlite3", "_curses*", "_dbm", "readline")),
    *(f"lib-dynload/{module}.*" for module in ("_crypt", "_uuid", "nis", "ossaudiodev")),
)
"""Glob patterns within the standard library."""
TLS_PACKAGES = ("libssl3",)
TLS_MODULES = ("_hashlib", "_ssl")
"""What programs need besides that speak https: OpenSSL, 6 MB, and the modules of UNUSED that want it."""
LAUNCHER = """\
#!/bin/sh
# Starts the Python beside this file with the C library beside this file. POSIX sh, and no other program.
case $0 in */*) here=${{0%/*}} ;; *) here=. ;; esac
here=$(CDPATH= cd -- "$here" && pwd -P) || exit 127
unset LD_PRELOAD LD_LIBRARY_PATH PYTHONHOME PYTHONSTARTUP
# what a Python of this runtime sets for its children is meant for them; what the user has set is for another Python
[ "$EDGEKIT_RUNTIME" = "$here" ] || unset PYTHONPATH
EDGEKIT_RUNTIME=$here
export EDGEKIT_RUNTIME
exec {words} "$@"
"""


def start_words(folder: str, architecture: Architecture) -> tuple[str, ...]:
    """The command that starts the Python of a runtime, without a shell; the launcher runs the same.

    Args:
        folder: Of the runtime, absolute.
        architecture: It was built for.
    """
    loader = (f"{folder}/lib/{architecture.loader}", "--inhibit-cache", "--library-path", f"{folder}/lib")
    return (*loader, f"{folder}/bin/python{_version()}", "-s", "-B", "-X", "utf8")


def launcher_text(architecture: Architecture) -> str:
    """The shell script that starts the Python of a runtime from wherever it lies."""
    words = start_words("$here", architecture)
    return LAUNCHER.format(words=" ".join(f'"{word}"' if "$" in word else word for word in words))


def build_runtime(arch: str, out: Path, *, packages: Sequence[str] = WHEELS, progress: Progress | None = None) -> Path:
    """Build a portable runtime for a device that needs nothing installed.

    Args:
        arch: What `uname -m` prints on the device: "aarch64" or "x86_64".
        out: The file to write, a tar.gz with one folder `runtime`.
        packages: Of the Python package index, with a version or without: then the one that is installed here, else
            the newest. What these depend on has to be named too.
        progress: Who watches.

    Returns:
        `out`. The same packages give the same bytes.

    Raises:
        InputError: No such architecture, or no requirement.
        DeviceError: There is no such wheel, or this machine has no apt with a mirror of Debian, no pip, or no network.
        StorageError: `out` or the cache cannot be written.
    """
    watcher = progress or Silent()
    folder = ensure_runtime(find_architecture(arch), packages=packages, progress=watcher)
    with watcher.stage("pack the runtime"):
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            write_tarball(folder, out)
        except OSError as error:
            raise StorageError(f"{out} cannot be written: {error.strerror or error}") from error
    return out


def runtime_key(architecture: Architecture, packages: Sequence[str], *, tls: bool = False) -> str:
    """Key of everything that a runtime is made of; see `ensure_runtime`."""
    chosen = (_debian_packages(tls), pin_installed(packages), _unused(tls), LEFT_OUT)
    return key_of(RECIPE, SUITE, architecture.name, *chosen, launcher_text(architecture), _compiler() != "")


def ensure_runtime(
    architecture: Architecture, *, packages: Sequence[str] = WHEELS, tls: bool = False, progress: Progress
) -> Path:
    """The unpacked runtime in the cache, built now if it is not there.

    Args:
        architecture: Of the machine that it is for.
        packages: As for `build_runtime`.
        tls: With OpenSSL, and the modules of Python that need it.
        progress: Who watches.

    Raises:
        InputError: What should be a requirement is none.
        DeviceError: There is no such wheel, or this machine has no apt with a mirror of Debian, no pip, or no network.
        StorageError: The cache cannot be written.
    """

    def build(folder: Path) -> None:
        _assemble(architecture, pin_installed(packages), folder / "runtime", tls=tls, progress=progress)

    key = runtime_key(architecture, packages, tls=tls)
    return ensure_built(f"runtime-{architecture.name}", key, build) / "runtime"


def _assemble(
    architecture: Architecture, requirements: Sequence[str], runtime: Path, *, tls: bool, progress: Progress
) -> None:
    library = runtime / "lib" / f"python{_version()}"
    with tempfile.TemporaryDirectory(dir=runtime.parent) as scratch:
        root = Path(scratch) / "root"
        with progress.stage(f"fetch Python for {architecture.name}"):
            DebianArchive(SUITE, architecture.debian, Path(scratch) / "apt").unpack(_debian_packages(tls), root)
        with progress.stage(f"fetch wheels for {architecture.name}"):
            install_wheels(requirements, architecture, runtime / "lib/python3/dist-packages")
        shutil.copytree(root / "usr/lib" / library.name, library, symlinks=True)
        remove_matches(library, _unused(tls))
        _copy_libraries(root, runtime / "lib")
        for package in (root / "usr/share/doc").iterdir():
            if (package / "copyright").is_file():
                _copy(package / "copyright", runtime / "licenses" / package.name)
        _copy(root / "usr/bin" / library.name, runtime / "bin" / library.name)
    with progress.stage("compile its modules"):
        compile_modules(runtime / "lib")
    (runtime / "python").write_text(launcher_text(architecture))
    (runtime / "python").chmod(0o755)


def _copy_libraries(root: Path, to: Path) -> None:
    """Shared libraries into one folder, each under the names that programs ask for: those of the links."""
    found = [file for place in ("lib", "usr/lib") for file in root.resolve().glob(f"{place}/*-linux-gnu/*.so*")]
    behind_links = {file.resolve() for file in found if file.is_symlink()}
    for file in found:
        if file not in behind_links:
            _copy(file, to / file.name)


def _copy(file: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, to)
    to.chmod(0o755 if file.stat().st_mode & 0o100 else 0o644)


def compile_modules(library: Path) -> None:
    """Write bytecode that is taken as it is: a first import on a slow device would compile for seconds.

    Its format is that of one minor version; without such a Python here it is left out.
    """
    python = _compiler()
    if python:
        run_program(
            (python, "-m", "compileall", "-q", "-s", library.parent, "--invalidation-mode", "unchecked-hash", library),
            doing="compile the modules of the runtime",
            environment={"PYTHONHASHSEED": "0", "PYTHONPATH": "", "PYTHONDONTWRITEBYTECODE": ""},
            success=(0, 1),  # some wheels have files that no Python 3 takes
        )


def _debian_packages(tls: bool) -> tuple[str, ...]:
    return (*DEBIAN_PACKAGES, *TLS_PACKAGES) if tls else DEBIAN_PACKAGES


def _unused(tls: bool) -> tuple[str, ...]:
    needed = {f"lib-dynload/{module}.*" for module in TLS_MODULES} if tls else set()
    return tuple(pattern for pattern in UNUSED if pattern not in needed)


def _compiler() -> str:
    """A Python here of the runtime's version; "" if there is none."""
    return sys.executable if sys.version_info[:2] == PYTHON else shutil.which(f"python{_version()}") or ""


def _version() -> str:
    return ".".join(map(str, PYTHON))
