"""A small quantized network with everything the check looks at, and its files."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from edgekit.emit.exporter import emit
from edgekit.runtime.reference import ReferenceSession, as_float
from edgekit.shrink.quantization.observe import observe, observed_values
from edgekit.shrink.quantization.quantize import quantize
from edgekit.types.artifact import FORMATS
from edgekit.types.graph import Graph, Node, Value
from edgekit.types.plan import Plan
from edgekit.types.recipe import FILES
from edgekit.types.sample_set import SampleSet

CONV = {"strides": (1, 1), "pads": (1, 1, 1, 1), "dilations": (1, 1), "group": 1}


@dataclass(frozen=True)
class SmallNet:
    """A quantized graph, samples that fit it, and the files made from it."""

    quantized: object
    samples: SampleSet
    files: dict

    def list(self, *formats):
        return [self.files[name] for name in formats or self.files]


def make_graph(seed=0, *, with_exp=False, weight_scale=1.0):
    """image -> Conv+ReLU -> depthwise Conv -> Add -> [Exp] -> GlobalAveragePool -> Reshape -> Gemm, 5 classes."""
    random = np.random.default_rng(seed)
    constants = {
        "w1": random.normal(size=(16, 3, 3, 3)).astype(np.float32) * 0.3 * weight_scale,
        "b1": random.normal(size=16).astype(np.float32) * 0.1,
        "w2": random.normal(size=(16, 1, 3, 3)).astype(np.float32) * 0.2,
        "b2": np.zeros(16, np.float32),
        "w3": random.normal(size=(5, 16)).astype(np.float32),
        "b3": np.zeros(5, np.float32),
    }
    last = "e" if with_exp else "s"
    nodes = [
        Node("n1", "Conv", ("image", "w1", "b1"), ("h1",), CONV, "stem.conv", (0.0, np.inf)),
        Node("n2", "Conv", ("h1", "w2", "b2"), ("h2",), {**CONV, "group": 16}, "block.depthwise"),
        Node("n3", "Add", ("h1", "h2"), ("s",), {}, "block"),
        *([Node("n4", "Exp", ("s",), ("e",), {}, "gate")] if with_exp else []),
        Node("n5", "GlobalAveragePool", (last,), ("p",), {}, "pool"),
        Node("n6", "Reshape", ("p",), ("f",), {"shape": (1, 16)}, "flatten"),
        Node("n7", "Gemm", ("f", "w3", "b3"), ("scores",), {}, "head"),
    ]
    shapes = {"image": (1, 3, 12, 12), "h1": (1, 16, 12, 12), "h2": (1, 16, 12, 12), "s": (1, 16, 12, 12)}
    shapes |= {"e": (1, 16, 12, 12)} if with_exp else {}
    shapes |= {"p": (1, 16, 1, 1), "f": (1, 16), "scores": (1, 5)}
    values = {name: Value(name, shape) for name, shape in shapes.items()}
    batch_axes = dict.fromkeys(values, 0)
    return Graph("small", ("image",), ("scores",), tuple(nodes), values, constants, batch_axes)


def make_samples(count=24, *, seed=1, scale=1.0, labels=None):
    def read(position):
        random = np.random.default_rng((seed, position))
        return {"image": (scale * random.normal(size=(1, 3, 12, 12))).astype(np.float32)}

    return SampleSet(np.arange(count), read, "normal noise", classes=labels)


def quantize_graph(graph, samples, plan=None):
    session = ReferenceSession(as_float(graph), taps=observed_values(graph))
    return quantize(graph, observe(session, graph, samples), plan)


def write_files(quantized, folder, formats=FORMATS, *, io="float"):
    return {name: emit(quantized, folder / FILES[name], format=name, io=io, metadata={}) for name in formats}


@pytest.fixture(scope="session")
def small_net(tmp_path_factory):
    samples = make_samples()
    quantized = quantize_graph(make_graph(), samples)
    return SmallNet(quantized, samples, write_files(quantized, tmp_path_factory.mktemp("small")))


@pytest.fixture(scope="session")
def island_net(tmp_path_factory):
    """The same with an Exp, which no file computes on integers."""
    samples = make_samples(scale=0.3)
    quantized = quantize_graph(make_graph(with_exp=True), samples)
    return SmallNet(quantized, samples, write_files(quantized, tmp_path_factory.mktemp("island")))


@pytest.fixture
def samples_of():
    return make_samples


@pytest.fixture
def rewrite(tmp_path):
    """Write files of a changed quantized graph: rewrite(quantized, qparams=..., formats=...)."""

    def write(quantized, *, formats=("onnx-fp32", "onnx-int8"), io="float", **changes):
        changed = replace(quantized, **changes)
        return changed, write_files(changed, tmp_path, formats, io=io)

    return write


@pytest.fixture
def loud_net(tmp_path):
    """Neighbouring weights as large, and inputs as high, as they get: what 16-bit pair sums cannot hold."""

    def build(scheme):
        graph = make_graph()
        loud = {**graph.constants, "w1": np.abs(graph.constants["w1"]) * 0 + 0.5, "b1": graph.constants["b1"] - 12.0}
        graph = replace(graph, constants=loud)
        quiet = make_samples()

        def read(position):
            return {"image": np.clip(np.abs(quiet.read(position)["image"]), 0, 1) ** 0.1}

        samples = SampleSet(quiet.positions, read, "bright noise")
        quantized = quantize_graph(graph, samples, Plan(scheme=scheme))
        folder = tmp_path / scheme
        folder.mkdir()
        return SmallNet(quantized, samples, write_files(quantized, folder, ("onnx-fp32", "onnx-int8", "onnx-x86")))

    return build
