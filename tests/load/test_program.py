"""torch.export programs: shapes from the program, open sizes frozen, module paths kept through the second trace."""

from __future__ import annotations

import zipfile
from pathlib import Path

import onnx
import pytest
import torch
from torch import Tensor, nn
from torch._export.serde.serialize import serialize
from torch.export import Dim

from edgekit.errors import ModelLoadError
from edgekit.load.archive import open_archive
from edgekit.load.checkpoint import open_model
from edgekit.load.program_audit import audit
from edgekit.types.spec import TensorSpec


class Net(nn.Module):
    """Two inputs, one of them deep in a container, a constant among the arguments, open sizes that depend."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4)

    def forward(self, image: Tensor, more: dict[str, list[Tensor]], scale: float = 1.0) -> Tensor:
        features = torch.relu(self.norm(self.conv(image)))
        return (features.mean((2, 3)) + more["bias"][0]) * scale


def example(batch: int) -> tuple[Tensor, dict[str, list[Tensor]], float]:
    return torch.randn(batch, 3, 8, 10), {"bias": [torch.randn(batch, 4)]}, 2.0


@pytest.fixture(scope="module")
def dynamic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("program") / "net.pt2"
    batch = Dim("batch", max=64)
    shapes = {"image": {0: batch, 2: Dim("half", min=2, max=16) * 2}, "more": {"bias": [{0: batch}]}, "scale": None}
    torch.export.save(torch.export.export(Net().eval(), example(2), dynamic_shapes=shapes), path)
    return path


def test_nothing_needs_to_be_said(dynamic: Path, tmp_path: Path) -> None:
    model = open_model(dynamic, workdir=tmp_path)
    assert model.origin == "torch.export program"
    assert model.inputs == (
        TensorSpec("image", (1, 3, 8, 10), batch_axis=0),
        TensorSpec("more_bias_0", (1, 4), batch_axis=0),
    )
    assert model.outputs == (TensorSpec("output", (1, 4)),)
    assert [note.code for note in model.findings] == ["dimension-frozen"]
    assert "axis 2 of 'image' is open in the program; it is frozen to 8" in model.findings[0].message
    graph = onnx.load(model.path).graph
    paths = {node.op_type: node.metadata_props[0].value for node in graph.node}
    assert paths["Conv"] == "conv"
    assert paths["BatchNormalization"] == "norm"
    assert [file.name for file in tmp_path.iterdir()] == ["model.onnx"]


def test_open_sizes_can_be_chosen(dynamic: Path, tmp_path: Path) -> None:
    model = open_model(dynamic, workdir=tmp_path, inputs=(TensorSpec("image", (1, 3, 12, 10)),))
    assert model.inputs[0].shape == (1, 3, 12, 10)
    assert "as --input says" in model.findings[0].message


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (TensorSpec("image", (1, 3, 8, 11)), r"input image:1x3x8x11:float32 does not fit the program"),
        (TensorSpec("image", (1, 3, 8)), r"has 3 axes; the program takes image:"),
        (TensorSpec("picture", (1, 3, 8, 10)), r"no input picture; it takes image, more_bias_0"),
    ],
)
def test_inputs_that_contradict_the_program(spec: TensorSpec, message: str, dynamic: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match=message):
        open_model(dynamic, workdir=tmp_path, inputs=(spec,))


def test_a_fixed_batch_is_kept_and_said(tmp_path: Path) -> None:
    program = torch.export.export(nn.Linear(3, 2).eval(), (torch.ones(5, 3),))
    model = open_model(program, workdir=tmp_path)
    assert model.origin == "live torch.export program"
    assert model.inputs == (TensorSpec("input", (5, 3)),)
    assert [note.code for note in model.findings] == ["fixed-batch"]


def test_a_program_in_training_mode_is_refused(tmp_path: Path) -> None:
    program = torch.export.export(nn.BatchNorm2d(2).train(), (torch.ones(2, 2, 3, 3),))
    with pytest.raises(ModelLoadError, match="exported in training mode: batch_norm") as caught:
        open_model(program, workdir=tmp_path)
    assert "module.eval()" in caught.value.hint


def test_the_format_before_torch_2_8(tmp_path: Path) -> None:
    """Members without a folder, weights in one pickle; written here as torch 2.7 did."""
    program = torch.export.export(nn.Linear(3, 2).eval(), (torch.ones(1, 3),))
    artifact = serialize(program)
    path = tmp_path / "old.pt2"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("version", "8.14")
        file.writestr("serialized_exported_program.json", artifact.exported_program)
        file.writestr("serialized_state_dict.pt", artifact.state_dict)
        file.writestr("serialized_constants.pt", artifact.constants)
        file.writestr("serialized_example_inputs.pt", artifact.example_inputs)
    assert open_model(path, workdir=tmp_path / "work").inputs == (TensorSpec("input", (1, 3)),)


def test_the_audit_passes_what_torch_writes(dynamic: Path, tmp_path: Path) -> None:
    """Symbolic sizes, derived dimensions, dict outputs, constants, buffers, a control-flow operator."""

    class Wide(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("table", torch.arange(6.0), persistent=False)
            self.constant = torch.ones(3)

        def forward(self, x: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
            with torch.no_grad():
                y = x[:, : x.shape[1] // 2] + self.constant
            z = torch.cond(y.sum() > 0, lambda t: t * 2, lambda t: t - 1, (y,))
            return {"a": (z, x.reshape(x.shape[0] * 2, -1) + self.table[0])}

    path = tmp_path / "wide.pt2"
    shapes = ({0: Dim("n", min=2, max=8)},)
    torch.export.save(torch.export.export(Wide(), (torch.ones(4, 6),), dynamic_shapes=shapes), path)
    for file in (path, dynamic):
        checked = audit(open_archive(file))
        assert "models/model.json" in checked
        assert "data/sample_inputs/model.pt" in checked
