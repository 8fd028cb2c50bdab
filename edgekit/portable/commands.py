"""Programs of this machine that build things: apt, dpkg, pip. What they complain about becomes a DeviceError."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from edgekit.errors import DeviceError

ADMIN_FOLDERS = "/usr/sbin:/sbin"
"""Not on the PATH of an ordinary user, but readable."""
SHOWN_LINES = 5


def find_program(name: str, *, package: str) -> str:
    """Full path of a program.

    Args:
        name: Of the program.
        package: Of Debian and Ubuntu, for the hint.

    Raises:
        DeviceError: It is not installed.
    """
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:{ADMIN_FOLDERS}")
    if not found:
        raise DeviceError(f"this needs the program {name}, which is not installed", hint=f"apt install {package}")
    return found


def run_program(
    command: Sequence[str | Path],
    *,
    doing: str,
    hint: str = "",
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    success: Sequence[int] = (0,),
) -> str:
    """Run a program to its end; what it printed on standard output.

    Args:
        command: Words.
        doing: What this is for, as a message begins: "fetch libc6".
        hint: What to do when it fails.
        folder: Where it runs.
        environment: Variables to add to those of this process.
        success: Exit codes that are none of a failure.

    Raises:
        DeviceError: It cannot be started, or fails; with the last lines of its standard error.
    """
    try:
        done = subprocess.run(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            cwd=folder,
            env={**os.environ, "LC_ALL": "C", **(environment or {})},
        )
    except OSError as error:
        raise DeviceError(f"cannot {doing}: {command[0]}: {error.strerror}", hint=hint) from error
    if done.returncode not in success:
        said = [line.strip() for line in done.stderr.splitlines() if line.strip()][-SHOWN_LINES:]
        raise DeviceError(
            f"cannot {doing}: {' / '.join(said) or f'{command[0]} ended with {done.returncode}'}", hint=hint
        )
    return done.stdout
