"""The case that is checked: the files, loaded where their runtimes allow it, and what their graph says about them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.check.subject import Subject, open_subject
from edgekit.errors import CheckError
from edgekit.types.artifact import FLOAT, Artifact, Format
from edgekit.types.graph import QuantizedGraph
from edgekit.types.qparams import Array

QDQ: tuple[Format, ...] = ("onnx-int8", "onnx-x86", "onnx-host", "onnx-vnni", "onnx-arm")
"""Formats whose plain meaning can be run without optimisations, the canonical one first."""

Sample = Mapping[str, Array]
"""input name -> array at batch 1."""


@dataclass(frozen=True)
class Case:
    """The files of one check.

    Attributes:
        artifacts: All of them, the float file first.
        quantized: The graph they were made from.
        exact: The float file.
        subjects: The int8 files that loaded.
        errors: The runtime's message for those that did not.
    """

    artifacts: tuple[Artifact, ...]
    quantized: QuantizedGraph
    exact: Subject
    subjects: Mapping[Format, Subject]
    errors: Mapping[Format, str]

    def first_of(self, formats: Sequence[Format]) -> Subject | None:
        """The first loaded subject among `formats`."""
        return next((self.subjects[name] for name in formats if name in self.subjects), None)


def load_case(
    artifacts: Sequence[Artifact],
    quantized: QuantizedGraph,
    *,
    open_file: Callable[[Artifact, QuantizedGraph], Subject | str] = open_subject,
) -> Case:
    """Load every file on its runtime, the float file first.

    Args:
        artifacts: The files.
        quantized: The graph they were made from.
        open_file: How a file is loaded; returns the runtime's message where it cannot be.

    Raises:
        CheckError: There is no float file, or it does not load.
    """
    ordered = sorted(artifacts, key=lambda artifact: artifact.format != FLOAT)
    if not ordered or ordered[0].format != FLOAT:
        raise CheckError(
            f"asked to compare {len(ordered)} files with the float model: there is no {FLOAT} file among them",
            hint="write the float file too; it may be deleted after the check",
        )
    opened = {artifact.format: open_file(artifact, quantized) for artifact in ordered}
    exact = opened.pop(FLOAT)
    if isinstance(exact, str):
        raise CheckError(f"the float file {ordered[0].path.name} does not run: {exact}")
    return Case(
        artifacts=tuple(ordered),
        quantized=quantized,
        exact=exact,
        subjects={name: found for name, found in opened.items() if not isinstance(found, str)},
        errors={name: found for name, found in opened.items() if isinstance(found, str)},
    )


def make_zeros(quantized: QuantizedGraph) -> Sample:
    """A stand-in for timing when nothing was held back; zero is a valid index, too."""
    graph = quantized.graph
    return {name: np.zeros(graph.shape(name), graph.dtype(name)) for name in graph.inputs}


def count_float_bytes(quantized: QuantizedGraph) -> int:
    """Bytes of the float constants that int8 files keep: parameters of islands, biases of float layers."""
    constants = quantized.graph.constants.items()
    return sum(array.nbytes for name, array in constants if name not in quantized.integers and array.dtype.kind == "f")


def list_islands(quantized: QuantizedGraph) -> tuple[tuple[str, str], ...]:
    """(label, reason) of every planned float island."""
    nodes = [node for node in quantized.graph.nodes if node.name in quantized.islands]
    return tuple((node.label, quantized.islands[node.name]) for node in nodes)
