"""A node in one folder: the portable runtime with edgekit in it, for a device that has no Python and no pip.

runtime/edgekit      shell script that starts the command line: `runtime/edgekit node update DIR`
runtime/python, ...  see `edgekit.portable.runtime`
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from edgekit.errors import StorageError
from edgekit.portable.architectures import Architecture, find_architecture
from edgekit.portable.runtime import compile_modules, ensure_runtime
from edgekit.portable.tarball import write_tarball
from edgekit.portable.wheels import WHEELS
from edgekit.types.progress import Progress, Silent

NODE_WHEELS = (
    *WHEELS,
    "cffi",
    "click",
    "cryptography",
    "h11",
    "httpcore2",
    "markdown-it-py",
    "mdurl",
    "pycparser",
    "pygments",
    "rfc8785",
    "rich",
    "securesystemslib",
    "tomli-w",
    "truststore",
    "tuf",
    "urllib3",
)
"""What the base installation of edgekit needs, with all that these need, and the runtimes."""
LEFT_OUT = ("__pycache__", "testing", "demo/models")
"""Of edgekit's own files: a node neither tests nor trains."""
LAUNCHER = """\
#!/bin/sh
# Starts edgekit with the Python beside this file. POSIX sh, and no other program.
case $0 in */*) here=${0%/*} ;; *) here=. ;; esac
exec "$here/python" -P -m edgekit "$@"
"""


def ensure_node_runtime(architecture: Architecture, *, progress: Progress | None = None) -> Path:
    """The unpacked runtime with everything but edgekit itself, in the cache; built now if it is not there.

    Raises:
        DeviceError: There is no such wheel, or this machine has no apt with a mirror of Debian, no pip, or no network.
        StorageError: The cache cannot be written.
    """
    return ensure_runtime(architecture, packages=NODE_WHEELS, tls=True, progress=progress or Silent())


def build_node_runtime(arch: str, out: Path, *, progress: Progress | None = None) -> Path:
    """Build a node for a device that needs nothing installed.

    Args:
        arch: What `uname -m` prints on the device: "aarch64" or "x86_64".
        out: The file to write, a tar.gz with one folder `runtime`.
        progress: Who watches.

    Returns:
        `out`. The same packages and the same edgekit give the same bytes.

    Raises:
        InputError: No such architecture.
        DeviceError: As `ensure_node_runtime`.
        StorageError: `out` or the cache cannot be written.
    """
    watcher = progress or Silent()
    made_of = ensure_node_runtime(find_architecture(arch), progress=watcher)
    with watcher.stage("pack the node"):
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".edgekit-", dir=out.parent) as scratch:
                folder = Path(scratch, "runtime")
                shutil.copytree(made_of, folder, symlinks=True)
                add_edgekit(folder)
                write_tarball(folder, out)
        except OSError as error:
            raise StorageError(f"{out} cannot be written: {error.strerror or error}") from error
    return out


def add_edgekit(runtime: Path) -> None:
    """Put the edgekit that runs here into a runtime, and a script that starts it.

    Raises:
        OSError: The folder cannot be written.
        DeviceError: Its modules cannot be compiled.
    """
    own = Path(__file__).parents[1]
    package = runtime / "lib/python3/dist-packages" / own.name

    def left_out(folder: str, names: list[str]) -> list[str]:
        place = Path(folder).relative_to(own)
        return [name for name in names if name == LEFT_OUT[0] or (place / name).as_posix() in LEFT_OUT]

    shutil.copytree(own, package, ignore=left_out)
    compile_modules(package)
    (runtime / "edgekit").write_text(LAUNCHER)
    (runtime / "edgekit").chmod(0o755)
