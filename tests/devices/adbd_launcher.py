"""Becomes adbd: in a changed root, and behind a seccomp filter that refuses AF_VSOCK.

adbd also listens on vsock, which no network namespace contains: any program of the virtual machine's host could reach
it. So the filter comes first, is tried, and adbd is not started without it. Run by `adbd.py`, in fresh network, mount
and process namespaces: `adbd_launcher.py ROOT PORT PATH`.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import socket
import struct
import subprocess
import sys
from pathlib import Path

ADBD = "/usr/lib/android-sdk/platform-tools/adbd"
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
ALLOW, REFUSE, KILL = 0x7FFF0000, 0x00050000 | errno.EPERM, 0x80000000
LOAD, IF_EQUAL, IF_AT_LEAST, RETURN = 0x20, 0x15, 0x35, 0x06
"""BPF: load a word of seccomp_data, jump, return."""
NUMBER_AT, MACHINE_AT, FIRST_ARGUMENT_AT = 0, 4, 16
SYSTEM_CALLS = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}
"""Machine -> its AUDIT_ARCH, and the number of socket()."""
IO_URING_SETUP = 425
"""The other way to a socket."""
X32 = 0x40000000
AF_VSOCK = 40
UNFILTERED = 9
"""Exit code when the filter could not be installed."""


def refuse_vsock() -> None:
    """From here on, this process and its children get EPERM for a vsock socket.

    Raises:
        OSError: The kernel does not take the filter, or it does not work.
    """
    machine, number = SYSTEM_CALLS[platform.machine()]
    program = (
        (LOAD, 0, 0, MACHINE_AT),
        (IF_EQUAL, 1, 0, machine),
        (RETURN, 0, 0, KILL),
        (LOAD, 0, 0, NUMBER_AT),
        (IF_AT_LEAST, 4, 0, X32),
        (IF_EQUAL, 3, 0, IO_URING_SETUP),
        (IF_EQUAL, 0, 3, number),
        (LOAD, 0, 0, FIRST_ARGUMENT_AT),
        (IF_EQUAL, 0, 1, AF_VSOCK),
        (RETURN, 0, 0, REFUSE),
        (RETURN, 0, 0, ALLOW),
    )
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in program))
    header = ctypes.create_string_buffer(struct.pack("HP", len(program), ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    for call in ((PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, header, 0, 0)):
        if libc.prctl(*call):
            raise OSError(ctypes.get_errno(), "prctl")
    try:
        socket.socket(AF_VSOCK, socket.SOCK_STREAM).close()
    except OSError as error:
        if error.errno != errno.EPERM:
            raise
    else:
        raise OSError("the filter lets vsock through")


def main(root: Path, port: str, path: str) -> None:
    """Mount what adbd needs (in this namespace only), and become it."""
    temporary = ("mount", "-t", "tmpfs", "tmpfs")
    for command in (
        ("ip", "link", "set", "lo", "up"),
        ("mount", "--bind", "/dev", root / "dev"),
        ("mount", "-t", "proc", "proc", root / "proc"),
        (*temporary, "-o", "size=800m", root / "data"),
        ("mkdir", "-p", root / "data/local/tmp", root / "data/small"),
        (*temporary, "-o", "size=1m", root / "data/small"),
    ):
        subprocess.run(command, check=True)
    try:
        refuse_vsock()
    except (OSError, KeyError) as error:
        print(f"no seccomp filter: {error}", file=sys.stderr)
        sys.exit(UNFILTERED)
    os.chroot(root)
    os.chdir("/")
    os.execve(ADBD, [ADBD], {"PATH": path, "ADBD_PORT": port})


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
