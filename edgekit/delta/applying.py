"""Applying a delta: base, delta and result are each held against their digest; what lies between runs by itself.

A delta is input to a decoder that somebody else wrote, perhaps to do harm, and perhaps with a good signature. It is
read only when its digest is right; no file longer than the one that is wanted comes out of it; and the process that
unpacks it has limits of time and memory (`edgekit.delta.applying_child`).
"""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

from edgekit import digest
from edgekit.delta import applying_child as child
from edgekit.delta.codecs import CODECS, LARGEST_BYTES
from edgekit.delta.index import Delta
from edgekit.errors import DigestError, MalformedError, MissingExtraError, StorageError
from edgekit.runtime.own_python import PACKAGE_PLACE, child_environment, python_words
from edgekit.types.blob import Blob
from edgekit.units import size

PROGRAM_BYTES = 2**27
"""Private memory of Python and numpy themselves."""
LEAST_S = 60.0
LEAST_PACE = 100_000
"""Bytes/s of the new file; a decoder that is slower does not come to its end."""
_LONGEST_MESSAGE = 400


def apply_delta(delta: Delta, *, base: Path, patch: Path, out: Path, blob: Blob) -> None:
    """Make a file of another one.

    Args:
        delta: What the family signed about it.
        base: The file that is there; only read.
        patch: The delta's bytes.
        out: Where the new file goes, in a folder of this node's own; one that is there is removed, and none is left
            there after an error. It is not durable yet.
        blob: The new file.

    Raises:
        DigestError: Base, delta or result is another file than the one that was named.
        MalformedError: The codec is not known, or the delta is damaged, made for another file, too large, too slow, or
            wants more memory than it says.
        MissingExtraError: The codec's package is not installed.
        StorageError: The disk is full, no process can be started, or a folder lies where the file goes.
    """
    _check_named(delta, blob)
    _check_file(base, delta.base, "the base")
    _check_file(patch, delta.sha256, "the delta")
    _clear(out)
    try:
        _run(delta, base, patch, out, blob.size_bytes)
        _check_file(out, blob.sha256, "what the delta makes")
    except BaseException:
        out.unlink(missing_ok=True)
        raise


def time_limit_s(size_bytes: int) -> float:
    """How long the making of a file may take, seconds."""
    return LEAST_S + size_bytes / LEAST_PACE


def _check_named(delta: Delta, blob: Blob) -> None:
    if delta.target != blob.sha256:
        raise DigestError(f"the delta makes sha256:{delta.target[:12]}..., not {blob.sha256[:12]}...")
    if delta.codec not in CODECS:
        raise MalformedError(f"the delta's codec '{delta.codec}' is not known here", hint="update edgekit-ml")
    if blob.size_bytes > LARGEST_BYTES:
        raise MalformedError(f"a delta for a file of {size(blob.size_bytes)}; {size(LARGEST_BYTES)} are the most")


def _check_file(path: Path, sha256: str, what: str) -> None:
    try:
        found = digest.of_file(path)
    except OSError as error:
        raise DigestError(f"{what} cannot be read: {error.strerror}") from error
    if found != sha256:
        raise DigestError(f"{what} has the sha256 {found[:12]}..., not {sha256[:12]}...")


def _clear(out: Path) -> None:
    try:
        out.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"what lies at {out} cannot be removed: {error.strerror}", hint="remove it") from error


def _run(delta: Delta, base: Path, patch: Path, out: Path, size_bytes: int) -> None:
    """Let the child make `out`."""
    limit_bytes = delta.memory_bytes + PROGRAM_BYTES
    words = [*python_words(), "-P", "-c", child.WORDS, PACKAGE_PLACE, delta.codec]
    words += [str(path.absolute()) for path in (base, patch, out)]
    try:
        process = subprocess.Popen(
            [*words, str(size_bytes), str(limit_bytes)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd=out.parent,
            env=child_environment(),
            start_new_session=True,
        )
    except OSError as error:
        raise StorageError(f"no process can be started: {error.strerror or error}") from error
    limit_s = time_limit_s(size_bytes)
    with process:
        try:
            _, said = process.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired as error:
            raise MalformedError(f"the delta was not applied within {limit_s:.0f} s") from error
        finally:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
    if process.returncode:
        raise _fault(delta, process.returncode, _last_line(said), limit_bytes)


def _fault(delta: Delta, code: int, said: str, limit_bytes: int) -> MalformedError | MissingExtraError | StorageError:
    if code == child.MISSING_EXTRA:
        return MissingExtraError(CODECS[delta.codec].applier_needs, extra="delta")
    if code == child.NO_SPACE:
        return StorageError(f"there is no room for what the delta makes: {said}", hint="free some space")
    if code == child.MALFORMED:
        return MalformedError(f"the delta cannot be applied: {said}")
    if code == child.NO_MEMORY or code == -signal.SIGKILL:
        return MalformedError(f"the delta cannot be applied within {size(limit_bytes)} of memory")
    ended = f"signal {-code}" if code < 0 else f"code {code}"
    return MalformedError(f"the process that applied the delta ended with {ended}: {said}")


def _last_line(said: bytes) -> str:
    lines = said.decode(errors="replace").strip().splitlines() or ["it said nothing"]
    return "".join(letter if letter.isprintable() else " " for letter in lines[-1][:_LONGEST_MESSAGE])
