"""Subject: one written file on its runtime, fed with samples and read as reals or as integers.

Files differ at their borders (float or int8, channels first or last); a subject hides that, so that every comparison
is between values of the same graph output.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from edgekit.check.signal import to_integers, to_reals, to_stored
from edgekit.errors import CheckError, EdgekitError
from edgekit.runtime.litert import open_tflite
from edgekit.runtime.ort import open_onnx
from edgekit.runtime.session import Session
from edgekit.types.artifact import Artifact
from edgekit.types.graph import QuantizedGraph
from edgekit.types.qparams import Array, QParams
from edgekit.types.spec import TensorSpec


@dataclass(frozen=True)
class Subject:
    """A file that its runtime has loaded.

    Attributes:
        artifact: The file.
        session: The runtime's session, one thread.
        quantized: The graph the file was made from.
    """

    artifact: Artifact
    session: Session
    quantized: QuantizedGraph

    def feeds(self, sample: Mapping[str, Array]) -> dict[str, Array]:
        """What the session takes for a sample: graph input name -> real (or index) array."""
        names = self.quantized.graph.inputs
        return {spec.name: to_stored(sample[name], spec) for name, spec in zip(names, self.session.inputs, strict=True)}

    def run(self, sample: Mapping[str, Array]) -> dict[str, Array]:
        """Reals (or indices) of one sample: graph output name -> array."""
        results = self.session.run(self.feeds(sample))
        pairs = match(self.quantized.graph.outputs, self.session.outputs)
        return {name: to_reals(results[spec.name], spec) for name, spec in pairs}


def open_subject(artifact: Artifact, quantized: QuantizedGraph, *, optimize: bool = True) -> Subject | str:
    """Load a file on its runtime with one thread; the runtime's message where it cannot.

    Args:
        artifact: The file.
        quantized: The graph it was made from.
        optimize: False runs an ONNX file without graph optimisations, a TFLite file without XNNPACK.
    """
    try:
        session: Session
        if artifact.is_tflite:
            session = open_tflite(artifact.path, threads=1, delegate=optimize)
        else:
            session = open_onnx(artifact.path, threads=1, optimize=optimize)
    except EdgekitError as error:
        return str(error)
    return Subject(artifact, session, quantized)


def as_loaded(subject: Subject) -> Artifact:
    """The artifact with its border as the runtime sees it: stored types, axis order and batch axis of this file."""
    graph = subject.quantized.graph
    return replace(
        subject.artifact,
        inputs=tuple(spec for _, spec in match(graph.inputs, subject.session.inputs)),
        outputs=tuple(spec for _, spec in match(graph.outputs, subject.session.outputs)),
    )


def match(names: Sequence[str], specs: Sequence[TensorSpec]) -> list[tuple[str, TensorSpec]]:
    """Pair graph names with a file's tensors: by name where the file kept them, else by position.

    Raises:
        CheckError: The file has another number of them than the graph.
    """
    by_name = {spec.name: spec for spec in specs}
    if by_name.keys() >= set(names):
        return [(name, by_name[name]) for name in names]
    if len(names) != len(specs):
        raise CheckError(
            f"the graph has {len(names)} tensors at this border ({', '.join(names)}), "
            f"the file {len(specs)} ({', '.join(by_name)})"
        )
    return list(zip(names, specs, strict=True))


def integers_of(
    reals: Mapping[str, Array], quantized: QuantizedGraph, *, steps: Mapping[str, QParams] | None = None
) -> dict[str, Array]:
    """int32 integers of the quantized outputs among `reals`, and of those that `steps` names; integers as they are."""
    found, params = {}, {**(steps or {}), **quantized.qparams}
    for name, array in reals.items():
        if name in params:
            found[name] = to_integers(array, params[name])
        elif array.dtype.kind in "iu":
            found[name] = array
    return found
