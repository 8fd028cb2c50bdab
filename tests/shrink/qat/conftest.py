"""Nets taken as far as training needs them: traced, simplified and observed, once each."""

import functools
from types import SimpleNamespace

import pytest
import torch

from edgekit.emit.exporter import float_artifact
from edgekit.load.trace import trace
from edgekit.runtime.ort import open_onnx
from edgekit.shrink.qat.module import QatModule, QatSource
from edgekit.shrink.qat.settings import QatSettings
from edgekit.shrink.quantization.observe import observe, observed_values
from edgekit.simplify.simplification import simplify
from edgekit.testing.nets.table import NETS, build, sample_inputs

CALIBRATION, HELD_BACK = 8, 2


@pytest.fixture(scope="session")
def observed(tmp_path_factory):
    """name -> the net's graph, histograms, BatchNorm statistics and inputs that did not calibrate."""

    @functools.cache
    def make(name):
        folder = tmp_path_factory.mktemp(name)
        samples = sample_inputs(name, CALIBRATION + HELD_BACK)
        trace(build(name), NETS[name].inputs, folder / "traced.onnx")
        simplified = simplify(folder / "traced.onnx", name=name)
        graph = simplified.graph
        float_artifact(graph, folder / "model.fp32.onnx", metadata={})
        session = open_onnx(folder / "model.fp32.onnx", taps=observed_values(graph))
        histograms = observe(session, graph, samples[:CALIBRATION])
        return SimpleNamespace(
            name=name,
            graph=graph,
            histograms=histograms,
            batchnorms=simplified.batchnorms,
            calibration=samples[:CALIBRATION],
            held_back=samples[CALIBRATION:],
        )

    return make


@pytest.fixture
def prepared(observed):
    """A QatModule of a net of the zoo."""

    def make(name, **settings):
        net = observed(name)
        source = QatSource(net.graph, net.histograms, net.batchnorms, name=name)
        return QatModule(source, QatSettings(**settings))

    return make


def as_tensors(sample):
    return {name: torch.from_numpy(array) for name, array in sample.items()}


def outputs_of(qat, sample):
    """output name -> array, of one call by name."""
    results = qat(**as_tensors(sample))
    results = results if isinstance(results, tuple) else (results,)
    return {name: tensor.detach().numpy() for name, tensor in zip(qat.layout.graph.outputs, results, strict=True)}


def take_steps(qat, samples, *, count=2, rate=1e-3, seed=0):
    """A few steps of SGD towards random targets: weights, biases, ranges and scales all move."""
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.SGD(qat.parameters(), lr=rate)
    qat.train()
    for index in range(count):
        results = qat(**as_tensors(samples[index % len(samples)]))
        results = results if isinstance(results, tuple) else (results,)
        floats = [result for result in results if result.is_floating_point()]
        loss = sum(
            (result - result.detach() * torch.rand(result.shape, generator=generator)).square().mean()
            for result in floats
        )
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(qat.parameters(), 1.0)
        optimizer.step()
    return qat.eval()
