"""A variant's model, run in a process of its own by the node that has its files."""

from __future__ import annotations

from pathlib import Path

from edgekit.errors import DeviceError, MalformedError, NodeError
from edgekit.runtime.agent_process import Limits, run_agent
from edgekit.runtime.external_data import check_external_data
from edgekit.runtime.golden_job import Subject
from edgekit.types.manifest import Variant
from edgekit.types.qparams import Array


def run_model(folder: Path, variant: Variant, inputs: Path, limits: Limits, *, threads: int = 1) -> dict[str, Array]:
    """Run a variant once per sample.

    Args:
        folder: Holds the variant's files.
        variant: What is run.
        inputs: An .npz: input name -> array of shape (samples, *input's shape).
        limits: What the process may take.
        threads: Of the runtime.

    Returns:
        Output name -> array of shape (samples, *output's shape), in the order of `variant.outputs`.

    Raises:
        NodeError: The runtime is not there or refuses the file; the process crashed, was too slow or took too much
            memory; what it wrote are no outputs of this variant; or the model names a file that is none of its own.
        StorageError: There is no room for temporary files.
    """
    _check_weights(folder, variant)
    need = variant.requires.runtime
    subject = Subject(
        folder / variant.model, need.name, variant.inputs, variant.outputs, provider=need.provider, threads=threads
    )
    try:
        return dict(run_agent(subject, inputs, limits).answers)
    except DeviceError as error:
        raise NodeError(str(error), hint=error.hint) from error


def _check_weights(folder: Path, variant: Variant) -> None:
    """That the runtime will open no file but the variant's: it may follow any name that stands in the model.

    Raises:
        NodeError: The model names another file.
    """
    if variant.requires.runtime.name != "onnxruntime":
        return  # a .tflite file has no way to name another
    try:
        check_external_data(folder, variant.model, variant.files)
    except MalformedError as error:
        raise NodeError(str(error)) from error
    except OSError as error:
        raise NodeError(f"{variant.model} cannot be read: {error.strerror or error}") from error
