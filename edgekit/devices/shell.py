"""What is said to a shell on a device, the same over ssh and adb: POSIX sh, and the tools that toybox has.

A folder is owned together with the processes that run in it: whatever has it as its working directory was started by
this run, so nothing else can be hit when something has to be ended, and no process id has to be kept.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from edgekit.errors import InputError
from edgekit.units import size

TEMPLATE = "edgekit.XXXXXX"


def make_folder(parent: str) -> str:
    """Command that makes a folder only this user can read, and prints where it really is.

    Args:
        parent: Absolute; "" for the device's place for temporary files, or the home folder where there is none.

    Raises:
        InputError: Not an absolute path, or one with letters that would have to be quoted.
    """
    if not parent:
        place = f'mktemp -d "${{TMPDIR:-/tmp}}/{TEMPLATE}" 2>/dev/null || mktemp -d "$HOME/{TEMPLATE}"'
    elif re.fullmatch(r"/[A-Za-z0-9_./-]*", parent):
        place = f"mktemp -d {parent.rstrip('/')}/{TEMPLATE}"
    else:
        raise InputError(f"folder={parent} is no absolute path of letters, digits and _ . / -")
    return _sh(f'd=$({place}) && cd "$d" && pwd -P')


def parse_folder(text: str) -> str:
    r"""What `make_folder` printed; "" when it is no such folder, for it will be removed with all that is in it.

    >>> parse_folder("Welcome to the board!\n/tmp/edgekit.a1B2c3\n")
    '/tmp/edgekit.a1B2c3'
    """
    last = text.strip().splitlines()[-1] if text.strip() else ""
    return last if re.fullmatch(r"/[A-Za-z0-9_./-]*edgekit\.[A-Za-z0-9]{6}", last) else ""


def run_in(folder: str, command: Sequence[str]) -> str:
    """Command that becomes `command` in the folder, whatever the user's own shell is."""
    return _sh(f'cd {shlex.quote(folder)} && exec "$@"', *command)


def end_all_in(folder: str) -> str:
    """Command that ends every process that works in the folder."""
    pattern = re.escape(folder).replace("/", r"\/")
    find = f"ls -l /proc/[0-9]*/cwd 2>/dev/null | sed -n 's/.*\\/proc\\/\\([0-9]*\\)\\/cwd -> {pattern}$/\\1/p'"
    return _sh(f"for p in $({find}); do kill -9 $p; done 2>/dev/null; true")


def remove(folder: str) -> str:
    """Command that removes the folder and prints it if it is still there."""
    quoted = shlex.quote(folder)
    return _sh(f"rm -rf {quoted} 2>/dev/null; if [ -e {quoted} ]; then echo {quoted}; fi")


def receive(folder: str, name: str) -> str:
    """Command that writes its standard input to a file in the folder."""
    return _sh(f"cat > {shlex.quote(f'{folder}/{name}')}")


def send(folder: str, name: str) -> str:
    """Command that writes a file of the folder to its standard output."""
    return _sh(f"cat {shlex.quote(f'{folder}/{name}')}")


def show_space(folder: str) -> str:
    """Command for `parse_space`."""
    return _sh(f"df -k {shlex.quote(folder)}")


def parse_space(text: str) -> tuple[int, int] | None:
    r"""Free and total bytes from what `df -k` prints; None when it prints something else.

    A long name of the disk stands on a line of its own, so fields are counted from the end.

    >>> parse_space("Filesystem 1K-blocks Used Available Use% Mounted on\ntmpfs 1024 1000 24 98% /tmp\n")
    (24576, 1048576)
    """
    fields = text.strip().splitlines()[-1].split() if text.strip() else []
    if len(fields) < 5 or not all(field.isdigit() for field in fields[-5:-2]):
        return None
    return int(fields[-3]) * 1024, int(fields[-5]) * 1024


def describe_space(text: str, *, needed_bytes: int) -> str:
    """What to say when a file could not be written, if space is why; "" if it is not.

    Args:
        text: What `df -k` printed.
        needed_bytes: Size of the file.
    """
    space = parse_space(text)
    if space is None or space[0] >= max(needed_bytes, 4096):
        return ""
    return f"no space there: {size(space[0])} of {size(space[1])} are free, {size(needed_bytes)} were to be written"


def _sh(script: str, *words: str) -> str:
    return shlex.join(["sh", "-c", script, *(["sh", *words] if words else [])])
