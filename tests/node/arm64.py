"""An emulated 64-bit ARM machine's Python with all that a node has: the portable node under qemu's user emulation.

The runtime is built as for a user's device (`edgekit.portable.node_runtime`) and kept in the cache; only its launcher
is another one here, which has qemu run the loader. So the processes that it starts, a model's for one, are emulated
too.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from edgekit.errors import DeviceError
from edgekit.portable.architectures import find_architecture
from edgekit.portable.cache import find_built
from edgekit.portable.emulator import UserEmulator, ensure_user_emulator, find_user_emulator
from edgekit.portable.node_runtime import NODE_WHEELS, add_edgekit, ensure_node_runtime
from edgekit.portable.runtime import runtime_key

ARM64 = find_architecture("aarch64")
REQUIRED = os.environ.get("EDGEKIT_INTEROP") == "required"
LAUNCHER = """\
#!/bin/sh
EDGEKIT_RUNTIME={folder}
export EDGEKIT_RUNTIME
exec {words} "$@"
"""
TIMEOUT_S = 300


@dataclass(frozen=True)
class ArmMachine:
    """Programs of it run in this machine's file system and network.

    Attributes:
        runtime: Its Python, and edgekit.
    """

    runtime: Path

    def run(self, *words: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run Python there; nothing of this machine's environment but PATH goes along."""
        return subprocess.run(
            [self.runtime / "python", *words],
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            cwd=self.runtime,
            env={"PATH": os.environ["PATH"], **environment},
        )

    def edgekit(self, *words: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the command line there."""
        return self.run("-P", "-m", "edgekit", *words, **environment)


def arm_machine(folder: Path, *, cpu: str) -> ArmMachine:
    """A machine with that processor, if what it is made of has been built; where it is demanded, built now.

    Args:
        folder: An empty one for its files.
        cpu: As qemu names it: "cortex-a53".
    """
    emulator, made_of = _parts()
    runtime = folder / "runtime"
    (runtime / "lib/python3/dist-packages").mkdir(parents=True)
    (runtime / "bin").symlink_to(made_of / "bin")
    for place in (Path("lib"), Path("lib/python3"), Path("lib/python3/dist-packages")):
        for entry in (made_of / place).iterdir():
            if not (runtime / place / entry.name).exists():
                (runtime / place / entry.name).symlink_to(entry)
    add_edgekit(runtime)
    words = emulator.command(cpu, runtime)
    (runtime / "python").write_text(LAUNCHER.format(folder=runtime, words=" ".join(f"'{word}'" for word in words)))
    (runtime / "python").chmod(0o755)
    return ArmMachine(runtime)


def _parts() -> tuple[UserEmulator, Path]:
    if REQUIRED:
        return ensure_user_emulator(), ensure_node_runtime(ARM64)
    try:
        emulator = find_user_emulator()
    except DeviceError as error:
        pytest.skip(f"needs the emulator of ARM programs: {error.hint}")
    built = find_built(f"runtime-{ARM64.name}", runtime_key(ARM64, NODE_WHEELS, tls=True))
    if not built:
        pytest.skip("needs the portable node for arm64: make test-interop builds it")
    return emulator, built / "runtime"
