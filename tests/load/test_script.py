"""TorchScript, traced and scripted: both exporters, module paths, and what it cannot tell."""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path

import onnx
import pytest
import torch
from torch import Tensor, nn

from edgekit.errors import ModelLoadError
from edgekit.load.checkpoint import open_model
from edgekit.testing.nets.table import NETS, batches, build
from edgekit.types.spec import TensorSpec

pytestmark = pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")

TRACED = ("resnet8", "mobilenet_v3", "lstm", "gru_bidirectional", "vit", "multi_input", "segmenter", "ssd")
OUTPUTS = {"ssd": ["boxes", "scores"], "segmenter": ["output", "output_1"]}
NAMELESS = {"0", "1"}
"""torch.jit.trace forgets the name of a ModuleList whose items are called one by one."""

SCRIPTED = ("ds_cnn", "unet", "silu_net", "lstm_stacked", "zoo_convolutions")


def saved(name: str, path: Path, *, is_scripted: bool) -> Path:
    module = build(name)
    example = batches(name, size=1, count=1)[0]
    script = torch.jit.script(module) if is_scripted else torch.jit.trace(module, example, strict=False)
    torch.jit.save(script, str(path))
    return path


@pytest.mark.parametrize(("name", "is_scripted"), [(n, False) for n in TRACED] + [(n, True) for n in SCRIPTED])
def test_nets_survive_torchscript(
    name: str, is_scripted: bool, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = saved(name, tmp_path / "net.pt", is_scripted=is_scripted)
    model = open_model(path, workdir=tmp_path / "work", inputs=NETS[name].inputs)
    assert model.origin == "TorchScript"
    assert model.inputs == NETS[name].inputs
    assert [spec.name for spec in model.outputs] == OUTPUTS.get(name, ["output"])
    graph = onnx.load(model.path).graph
    count = Counter(node.op_type for node in graph.node)
    norms = sum(isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d) for child in build(name).modules())
    assert count["BatchNormalization"] == norms
    paths = {path for path, _ in build(name).named_modules()}
    found = {node.metadata_props[0].value for node in graph.node if node.op_type in ("Conv", "Gemm", "LSTM", "GRU")}
    assert found
    assert found - NAMELESS <= paths
    assert [file.name for file in (tmp_path / "work").iterdir()] == ["model.onnx"]
    assert capfd.readouterr() == ("", "")


def test_the_second_way_takes_over(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Adaptive pools are beyond the TorchScript exporter, which says so by dumping its graph."""
    path = saved("zoo_shapes", tmp_path / "net.pt", is_scripted=False)
    model = open_model(path, workdir=tmp_path / "work", inputs=NETS["zoo_shapes"].inputs)
    assert [spec.name for spec in model.outputs] == ["output"]
    assert not {"Shape", "If", "Loop"} & {node.op_type for node in onnx.load(model.path).graph.node}
    assert capfd.readouterr() == ("", ""), "C++ chatter must not reach the user"


def test_shapes_must_be_said(tmp_path: Path) -> None:
    path = saved("resnet8", tmp_path / "net.pt", is_scripted=False)
    with pytest.raises(
        ModelLoadError, match=r"does not record the shape of its inputs; forward takes \(image\)"
    ) as caught:
        open_model(path, workdir=tmp_path / "work")
    assert "--input" in caught.value.hint


class Two(nn.Module):
    def forward(self, a: Tensor, b: Tensor, scale: float = 1.0) -> Tensor:
        return a * scale + b


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ((TensorSpec("a", (1, 2)),), r"forward takes \(a, b, scale\), but 1 input\(s\) were given: a:1x2:float32"),
        ((TensorSpec("a", (1, 2)), TensorSpec("z", (1, 2))), "forward has no argument z; it takes"),
        ((TensorSpec("a", (1, 2)), TensorSpec("b", (1, 3))), "fails on a:1x2:float32, b:1x3:float32"),
    ],
)
def test_inputs_that_do_not_fit(inputs: tuple[TensorSpec, ...], message: str, tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match=message):
        open_model(torch.jit.script(Two()), workdir=tmp_path, inputs=inputs)


def test_names_decide_and_foreign_names_go_by_position(tmp_path: Path) -> None:
    script = torch.jit.script(Two())
    swapped = open_model(script, workdir=tmp_path, inputs=(TensorSpec("b", (1, 2)), TensorSpec("a", (3, 2))))
    assert swapped.inputs == (TensorSpec("a", (3, 2)), TensorSpec("b", (1, 2)))
    foreign = open_model(script, workdir=tmp_path, inputs=(TensorSpec("x", (3, 2)), TensorSpec("y", (1, 2))))
    assert [spec.name for spec in foreign.inputs] == ["x", "y"]


def test_a_module_traced_in_training_mode_is_refused(tmp_path: Path) -> None:
    script = torch.jit.trace(nn.BatchNorm2d(2).train(), torch.randn(2, 2, 3, 3))
    with pytest.raises(ModelLoadError, match=r"traced in training mode: .*BatchNormalization") as caught:
        open_model(script, workdir=tmp_path, inputs=(TensorSpec("x", (1, 2, 3, 3)),))
    assert "module.eval()" in caught.value.hint


def test_frozen_modules_open_too(tmp_path: Path) -> None:
    frozen = torch.jit.freeze(torch.jit.script(nn.Sequential(nn.Linear(3, 2), nn.ReLU()).eval()))
    stream = io.BytesIO()
    torch.jit.save(frozen, stream)
    path = tmp_path / "frozen.pt"
    path.write_bytes(stream.getvalue())
    assert open_model(path, workdir=tmp_path / "w", inputs=(TensorSpec("x", (1, 3)),)).outputs[0].shape == (1, 2)


class Sorting(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        while bool(x.sum() > 1):
            x = torch.linalg.eigvalsh(x)[None] * 0.5
        return x


def test_what_neither_way_can_export(tmp_path: Path) -> None:
    with pytest.raises(
        ModelLoadError, match=r"cannot be exported to ONNX \(script exporter: .*; exported program: "
    ) as caught:
        open_model(torch.jit.script(Sorting()), workdir=tmp_path, inputs=(TensorSpec("x", (1, 1)),))
    assert "torch.export.save" in caught.value.hint
    assert not list(tmp_path.iterdir())
