"""Quantization-aware training from a trained module: prepare, train in your own loop, finish."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.utils import _pytree as pytree

from edgekit.emit.exporter import float_artifact
from edgekit.load.call import call_of, parameters_of
from edgekit.load.checkpoint import open_model
from edgekit.load.first_batch import inputs_from_data
from edgekit.load.outputs import unchanged_buffers
from edgekit.load.preparation import prepare
from edgekit.load.presets import parse_preprocessing
from edgekit.load.quiet import silence
from edgekit.load.samples import open_samples
from edgekit.runtime.ort import open_onnx
from edgekit.shrink.qat.finish import finish
from edgekit.shrink.qat.module import QatModule, QatSource
from edgekit.shrink.qat.settings import BatchNorm, QatSettings
from edgekit.shrink.qat.signature import TENSOR, Signature
from edgekit.shrink.quantization.islands import refuse_unmatched
from edgekit.shrink.quantization.observe import observe, observed_values
from edgekit.shrink.quantization.weights import refuse_not_finite
from edgekit.simplify.simplification import simplify
from edgekit.types.graph import Graph, QuantizedGraph
from edgekit.types.preprocessing import Preprocessing
from edgekit.types.progress import Progress, Silent
from edgekit.types.sample_set import SampleSet
from edgekit.types.spec import TensorSpec


def prepare_qat(
    model: object,
    data: object,
    *,
    inputs: Sequence[TensorSpec] = (),
    factory: str | None = None,
    trust_pickle: bool = False,
    preprocessing: Preprocessing | str | None = None,
    samples: int = 128,
    seed: int = 0,
    weight_bits: int = 8,
    per_channel: bool = True,
    learn_scales: bool = False,
    batchnorm: BatchNorm = "frozen",
    symmetric: bool = False,
    float_modules: Sequence[str] = (),
    range: str = "minmax",
    observe_steps: int | None = None,
    progress: Progress | None = None,
) -> QatModule:
    """A module that computes as its int8 files will, ready for the user's own training loop.

    The model is traced, its BatchNorms are folded and its ranges calibrated, as in `edgekit.compress`. What comes back
    runs that graph in torch and rounds weights, biases and values where the files will. Move it to a device, give its
    parameters to an optimizer and train; a tenth to a hundredth of the first learning rate is usual.

    Args:
        model: A trained module, or a path as `edgekit.compress` takes it.
        data: Unlabelled inputs for the first ranges, as `calibration` of `edgekit.compress`.
        inputs: Names and shapes, where the first batch does not tell.
        factory: What builds the module of a state dict.
        trust_pickle: Unpickle a whole module; this runs whatever code the file holds.
        preprocessing: How an image becomes an input; a Preprocessing or a preset's name.
        samples: At most so many samples are looked at.
        seed: Of the choice among more.
        weight_bits: 8, or 4: weights take the integers -7..7. Files hold them as int8 all the same.
        per_channel: One weight scale per output channel; False is one per tensor.
        learn_scales: Scales are parameters too (LSQ, Esser et al. 2020).
        batchnorm: "frozen" trains folded weights; "live" keeps BatchNorms until `freeze_batchnorm()`.
        symmetric: Activations have zero point 0.
        float_modules: Shell patterns of torch module paths that stay in float.
        range: How a first range follows from what was seen: "minmax", "percentile", "mse" or "entropy".
        observe_steps: Training steps in which ranges follow the data; None until `freeze_ranges()`, 0 not at all.
        progress: Who to tell how far it is.

    Returns:
        A QatModule in training mode, on the CPU. It is called like `model` and returns what `model` returns.

    Raises:
        InputError: The model, the data or a setting cannot be used.
        UnsupportedOpError: Operators that cannot be converted, all of them listed.
        ShrinkError: Nothing of the model can be int8.
    """
    settings = QatSettings(
        weight_bits=weight_bits,
        per_channel=per_channel,
        learn_scales=learn_scales,
        batchnorm=batchnorm,
        symmetric=symmetric,
        float_modules=_patterns(float_modules),
        range=range,
        observe_steps=observe_steps,
    )
    specs = tuple(inputs)
    if not specs and isinstance(model, nn.Module):
        specs, data = inputs_from_data(model, data)
    source = _source(
        model,
        _Data(data, preprocessing, samples, seed),
        specs=specs,
        factory=factory,
        trust_pickle=trust_pickle,
        settings=settings,
        progress=progress or Silent(),
    )
    return QatModule(source, settings)


@dataclass(frozen=True, eq=False)
class _Data:
    """Inputs as they were handed over, and how to open them."""

    given: object
    preprocessing: Preprocessing | str | None
    limit: int
    seed: int

    def open(self, graph: Graph, workdir: Path) -> SampleSet:
        borders, spec = tuple(graph.spec(name) for name in graph.inputs), self.preprocessing
        prepared = parse_preprocessing(spec, borders[0]) if isinstance(spec, str) else spec
        return open_samples(
            self.given, inputs=borders, workdir=workdir, preprocessing=prepared, limit=self.limit, seed=self.seed
        )


def _source(
    model: object,
    data: _Data,
    *,
    specs: Sequence[TensorSpec],
    factory: str | None,
    trust_pickle: bool,
    settings: QatSettings,
    progress: Progress,
) -> QatSource:
    """Load, simplify and observe, in a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="edgekit-qat-") as folder:
        work = Path(folder)
        with progress.stage("load"):
            loaded = open_model(model, workdir=work, inputs=specs, factory=factory, trust_pickle=trust_pickle)
        with progress.stage("simplify"):
            simplified = simplify(loaded.path, name=loaded.name)
        graph = simplified.graph
        refuse_not_finite(graph)
        refuse_unmatched(graph, settings.float_modules)
        found = data.open(graph, work)
        float_artifact(graph, work / "float.onnx", metadata={})
        with progress.stage("calibrate", found.count) as stage:
            session = open_onnx(work / "float.onnx", taps=observed_values(graph))
            histograms = observe(session, graph, found, advance=stage.advance)
    signature = _signature(model, specs, graph) if isinstance(model, nn.Module) else None
    findings = (*loaded.findings, *simplified.findings)
    return QatSource(graph, histograms, simplified.batchnorms, signature, loaded.name, findings)


def finish_qat(module: QatModule) -> QuantizedGraph:
    """The scales and integers that a trained QatModule computes with in evaluation mode.

    `edgekit.compress(module, ...)` writes the files from the same numbers.

    Raises:
        ShrinkError: Training left NaN or infinity; the layers are named.
    """
    return finish(module)


def _patterns(given: Sequence[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


def _signature(module: nn.Module, specs: Sequence[TensorSpec], graph: Graph) -> Signature:
    """How the module is called, and the structure of what it returns, from one call."""
    plain, ready, _ = prepare(module, specs)
    call = call_of(plain, ready)
    names, _, _ = parameters_of(plain)
    is_named = all(name in names for name in graph.inputs)
    parameters = graph.inputs if is_named or len(names) < len(graph.inputs) else tuple(names[: len(graph.inputs)])
    flags = [(child, child.training) for child in plain.modules()]
    plain.eval()
    try:
        with silence(), torch.no_grad(), torch.random.fork_rng(devices=[]), unchanged_buffers(plain):
            leaves, structure = pytree.tree_flatten(plain(*call.args, **call.kwargs))
    finally:
        for child, training in flags:
            child.training = training
    kept = tuple(TENSOR if isinstance(leaf, torch.Tensor) else leaf for leaf in leaves)
    return Signature(graph.inputs, parameters, structure, kept)
