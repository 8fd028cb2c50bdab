"""Runs the float model over the calibration samples once and summarizes every value that int8 needs a range for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from edgekit.errors import CalibrationError, InputError
from edgekit.runtime.session import Session
from edgekit.shrink.quantization.equalize_groups import channel_groups
from edgekit.shrink.quantization.histogram import Histogram
from edgekit.types.graph import Graph
from edgekit.types.operators import Role, role
from edgekit.types.qparams import Array

LINEAR = ("Conv", "ConvTranspose", "Gemm")


def observed_values(graph: Graph) -> tuple[str, ...]:
    """Values worth watching: every float32 value, graph inputs first, in the order they are computed."""
    produced = [name for node in graph.nodes for name in node.outputs]
    return tuple(name for name in (*graph.inputs, *produced) if graph.dtype(name) == "float32")


def observe(
    session: Session,
    graph: Graph,
    samples: Iterable[Mapping[str, Array]],
    *,
    advance: Callable[[int], None] = lambda count: None,
) -> dict[str, Histogram]:
    """One pass over the samples; memory is one sample's tensors and the summaries.

    Args:
        session: The float model, with `observed_values(graph)` tapped.
        graph: The same model as a graph.
        samples: Model inputs, one sample at a time.
        advance: Called with 1 after each sample.

    Returns:
        value name -> its Histogram; inputs of linear layers have a per-channel mean, and values that equalization can
        rescale have a per-channel spread.

    Raises:
        CalibrationError: No samples, one that the model does not run on, or a value that is not finite (named, with its
            torch module).
    """
    watched = observed_values(graph)
    spreads = {name: axis for group in channel_groups(graph) for name, axis in group.axes.items()}
    axes = {**_channel_axes(graph), **spreads}
    histograms = {name: Histogram(channel_axis=axes.get(name), spread=name in spreads) for name in watched}
    count = 0
    for sample in samples:
        try:
            results = {**sample, **session.run(sample)}
        except InputError as error:
            raise CalibrationError(
                f"the float model does not run on calibration sample {count}: {error}",
                hint="check the values of its inputs, for example that token ids are below the vocabulary's size",
            ) from error
        for name in watched:
            if not histograms[name].update(results[name]):
                raise _overflow(graph, name)
        count += 1
        advance(1)
    if count == 0:
        raise CalibrationError("the calibration set is empty", hint="pass at least 16 samples with --calibration")
    return histograms


def _channel_axes(graph: Graph) -> dict[str, int]:
    """Channel axis of every value that a linear layer reads: 1 for maps, the last for Gemm."""
    axes: dict[str, int] = {}
    for node in graph.nodes:
        if node.op in LINEAR and role(node.op, 0) is Role.ACTIVATION:
            axes.setdefault(node.inputs[0], -1 if node.op == "Gemm" else 1)
    return axes


def _overflow(graph: Graph, name: str) -> CalibrationError:
    producer = graph.producers.get(name)
    return CalibrationError(
        f"the float model computes NaN or infinity at {producer.label if producer else f'input {name}'}",
        hint="check the calibration data and its normalisation; one overflow here would spoil every scale",
    )
