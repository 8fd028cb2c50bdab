"""A trial: one file run on some inputs in a process of its own, which may crash or hang without taking `pack` along."""

from __future__ import annotations

from pathlib import Path

from edgekit.errors import (
    CheckError,
    DeviceError,
    DeviceRefusalError,
    InputError,
    MalformedError,
    MissingExtraError,
    StorageError,
)
from edgekit.runtime.agent_process import Limits, Trial, run_agent
from edgekit.runtime.external_data import check_external_data
from edgekit.runtime.golden_job import Subject
from edgekit.types.artifact import parts_of

TIMEOUT_S = 3600.0
"""Longest time that a file may take for all golden inputs, loading included."""
_DISTRIBUTIONS = {"onnxruntime": "onnxruntime", "litert": "ai-edge-litert"}


def run_trial(subject: Subject, inputs: Path, *, timeout_s: float = TIMEOUT_S) -> Trial:
    """Run a file once per sample, on one thread.

    Args:
        subject: What is run.
        inputs: An .npz: input name -> array of shape (samples, *input shape), as the file takes it.
        timeout_s: Longest time, seconds.

    Raises:
        CheckError: The file does not run: refused, crashed, or too slow; or it names files that are none of its own.
        InputError: It cannot be read.
        MissingExtraError: Its runtime is not installed.
        StorageError: There is no room for temporary files.
    """
    name = subject.file.name
    try:
        if subject.runtime == "onnxruntime":
            check_external_data(subject.file.parent, name, [part.name for part in parts_of(subject.file)])
        return run_agent(subject, inputs, Limits(timeout_s))
    except DeviceError as error:
        if isinstance(error, DeviceRefusalError) and error.kind == "no-runtime":
            raise MissingExtraError(_DISTRIBUTIONS[subject.runtime], extra="pack") from error
        raise CheckError(f"{name} does not run: {error}", hint=error.hint) from error
    except MalformedError as error:
        raise CheckError(str(error)) from error
    except OSError as error:
        if isinstance(error, StorageError):
            raise
        raise InputError(f"cannot read {subject.file}: {error.strerror or error}") from error
