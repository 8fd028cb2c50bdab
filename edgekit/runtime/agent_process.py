"""One model, run on some samples in a process of its own, which may crash, hang or lie: by `pack` and by nodes.

The process is `edgekit.agent`, the same that runs golden inputs on devices for `edgekit bench`; docs/devices.md has the
language of its jobs and events. What it says and writes is read as if a stranger had written it.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekit.errors import DeviceError, DeviceRefusalError, StorageError
from edgekit.runtime.array_archive import digest_arrays, read_arrays
from edgekit.runtime.golden_job import Subject, golden_job
from edgekit.runtime.own_python import PACKAGE_PLACE, child_environment, python_words
from edgekit.types.qparams import Array

LARGEST_JOB = 60_000
"""Characters: a job is written into a pipe that nobody may be reading, and has to fit."""
LARGEST_FILE_BYTES = 2**30
"""Of what the process writes."""
_SAID_BYTES = 2**20
_DISK_FULL = (os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT))
_STDOUT, _STDERR, _OUTPUTS = "stdout", "stderr", "outputs.npz"
_START = "import sys; sys.path.append(sys.argv.pop(1)); from edgekit.runtime.agent_child import run; run()"


@dataclass(frozen=True)
class Limits:
    """What a model's process may take.

    Attributes:
        timeout_s: Wall time from start to end, seconds.
        memory_bytes: Private memory; 0 for no limit.
        file_bytes: The largest file that it may write.
    """

    timeout_s: float
    memory_bytes: int = 0
    file_bytes: int = LARGEST_FILE_BYTES


@dataclass(frozen=True, eq=False)
class Trial:
    """What came of it.

    Attributes:
        answers: Output name -> array of shape (samples, *output's shape), in the order of `Subject.outputs`.
        peak_rss_bytes: Largest resident memory of the process; 0 where it does not say.
        packages: Package -> version, of what is installed there.
    """

    answers: Mapping[str, Array]
    peak_rss_bytes: int
    packages: Mapping[str, str]

    @property
    def digest(self) -> str:
        """sha256 over the bytes of all answers in their order, hex."""
        return digest_arrays(self.answers.values())


def run_agent(subject: Subject, inputs: Path, limits: Limits) -> Trial:
    """Run a model once per sample.

    Args:
        subject: What is run.
        inputs: An .npz: input name -> array of shape (samples, *input's shape).
        limits: What the process may take.

    Raises:
        DeviceRefusalError: The runtime is not there, of the kind "no-runtime", or refuses the file.
        DeviceError: The process crashed, was too slow or took too much memory; or what it wrote are no outputs of
            this subject.
        StorageError: There is no room for temporary files.
    """
    job = golden_job(subject, inputs=inputs, outputs=_OUTPUTS)
    if len(job) > LARGEST_JOB:
        raise DeviceError(
            f"its {len(subject.inputs)} inputs and {len(subject.outputs)} outputs are too many to be told"
        )
    with _scratch() as place:
        code = _run(job, place, limits)
        said = _read_events(place / _STDOUT)
        if "done" not in said:
            raise _breakdown(said, code, place / _STDERR)
        if "refused" in said:
            raise _refusal(said["refused"])
        try:
            arrays = read_arrays(place / _OUTPUTS, limit_bytes=limits.file_bytes)
        except OSError as error:
            raise DeviceError(f"what it gave cannot be read: {error.strerror or error}") from error
        except (ValueError, MemoryError) as error:
            raise DeviceError(f"what it gave cannot be read: {error}") from error
    return Trial(_by_name(arrays, said.get("load", {}), subject), _peak(said), _packages(said))


def _run(job: str, place: Path, limits: Limits) -> int:
    """The exit code of the agent, which has then ended with all that it started; what it said is in the folder."""
    words = [*python_words(), "-P", "-c", _START, PACKAGE_PLACE, str(limits.memory_bytes), str(limits.file_bytes)]
    with (place / _STDOUT).open("wb") as stdout, (place / _STDERR).open("wb") as stderr:
        try:
            process = subprocess.Popen(
                words,
                stdin=subprocess.PIPE,
                stdout=stdout,
                stderr=stderr,
                cwd=place,
                env=child_environment(),
                start_new_session=True,
            )
        except OSError as error:
            raise DeviceError(f"no process can be started: {error.strerror or error}") from error
    stdin = process.stdin
    assert stdin is not None
    try:
        with suppress(BrokenPipeError):  # it ended before it read: its exit code says so
            stdin.write(job.encode())
            stdin.flush()
        return process.wait(limits.timeout_s)
    except subprocess.TimeoutExpired:
        raise DeviceError(
            f"it came to no end within {limits.timeout_s:g} s",
            hint="the model hangs, or this machine is too slow for it",
        ) from None
    finally:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)  # also what it has left behind
        process.wait()
        with suppress(BrokenPipeError):
            stdin.close()


def _read_events(path: Path) -> dict[str, Mapping[str, Any]]:
    """Kind of event -> the last of that kind; what else stands on standard output is passed over."""
    with path.open("rb") as stream:
        contents = stream.read(_SAID_BYTES)
    found: dict[str, Mapping[str, Any]] = {}
    for line in contents.splitlines():
        if line.startswith(b'{"event"'):
            with suppress(ValueError, RecursionError):  # its clocks are integers that strict JSON does not take
                event = json.loads(line)
                found[str(event["event"])] = event
    return found


def _breakdown(said: Mapping[str, Mapping[str, Any]], code: int, stderr: Path) -> DeviceError | StorageError:
    if "error" in said:
        return _refusal(said["error"])
    if code < 0:
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = "unknown"
        return DeviceError(
            f"it ended its process by signal {-code} ({name})",
            hint="out of memory (SIGKILL), or the runtime cannot cope with the file (SIGSEGV, SIGABRT, SIGILL)",
        )
    with stderr.open("rb") as stream:
        lines = stream.read(_SAID_BYTES).decode(errors="replace").strip().splitlines()
    message = f"its process ended with code {code}: {_plain(lines[-1] if lines else 'it said nothing')}"
    return _no_room(message) if _is_full(message) else DeviceError(message)


def _refusal(event: Mapping[str, Any]) -> DeviceRefusalError | StorageError:
    """What the agent says; a full disk is no fault of the model's."""
    message = _plain(str(event.get("message", ""))) or "the runtime cannot run it, and does not say why"
    if _is_full(message):
        return _no_room(message)
    return DeviceRefusalError(message, kind=_plain(str(event.get("kind", ""))))


def _is_full(message: str) -> bool:
    return any(sign in message for sign in _DISK_FULL)


def _no_room(message: str) -> StorageError:
    return StorageError(
        f"there is no room for temporary files in {tempfile.gettempdir()}: {message}",
        hint="free some space, or name another place with the environment variable TMPDIR",
    )


def _plain(text: str) -> str:
    """Something that a stranger wrote, fit for a terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in text[:400]).strip()


def _by_name(arrays: Mapping[str, Array], loaded: Mapping[str, Any], subject: Subject) -> dict[str, Array]:
    """The agent numbers the outputs; the runtime told their names in the same order."""
    told = loaded.get("outputs")
    names = [str(entry.get("name")) for entry in told if isinstance(entry, dict)] if isinstance(told, list) else []
    wanted = [spec.name for spec in subject.outputs]
    if sorted(names) != sorted(wanted):
        raise DeviceError(f"its outputs are {_plain(', '.join(names)) or 'none'}, and should be {', '.join(wanted)}")
    numbered = [f"output_{number}" for number in range(len(names))]
    if sorted(arrays) != sorted(numbered):
        raise DeviceError(f"it gave {len(arrays)} arrays for {len(names)} outputs")
    found = dict(zip(names, (arrays[number] for number in numbered), strict=True))
    return {name: found[name] for name in wanted}


def _peak(said: Mapping[str, Mapping[str, Any]]) -> int:
    found = said.get("memory", {}).get("peak_rss_bytes")
    return found if type(found) is int and found >= 0 else 0


def _packages(said: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    found = said.get("environment", {}).get("packages")
    return {str(name): _plain(str(version)) for name, version in found.items()} if isinstance(found, dict) else {}


@contextmanager
def _scratch() -> Iterator[Path]:
    """A folder for temporary files, removed in the end."""
    try:
        with tempfile.TemporaryDirectory(prefix="edgekit.", ignore_cleanup_errors=True) as name:
            yield Path(name)
    except StorageError:
        raise
    except OSError as error:
        raise _no_room(error.strerror or str(error)) from error
