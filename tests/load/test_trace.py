"""Every small net becomes an ONNX file that says the same; names, modules and BatchNorm survive."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from edgekit.errors import ModelLoadError, ParityError, UnsupportedOpError
from edgekit.load import trace as trace_module
from edgekit.load.comparison import distance
from edgekit.load.trace import MODULE_KEY, trace
from edgekit.load.traced import Traced
from edgekit.runtime.ort import open_onnx
from edgekit.testing.nets.table import NETS, build, sample_inputs
from edgekit.types.spec import TensorSpec

WHOLE = {
    "mobilenet_v3": {"HardSwish": 7, "HardSigmoid": 3},
    "vit": {"Gelu": 2, "LayerNormalization": 5, "Softmax": 2},
    "transformer": {"LayerNormalization": 4, "Softmax": 2},
    "lstm_stacked": {"LSTM": 2},
    "gru_bidirectional": {"GRU": 1},
    "unet": {"Resize": 2, "ConvTranspose": 1},
    "zoo_activations": {"PRelu": 1, "LeakyRelu": 1, "Gelu": 2},
    "zoo_convolutions": {"DepthToSpace": 1},
    "segmenter": {"ArgMax": 1},
}
"""Operators that must come as one node each, not taken apart."""

SHAPE_NOISE = {"Shape", "CastLike", "Constant", "ConstantOfShape", "Identity", "Dropout", "Size"}


@cache
def traced(name: str) -> tuple[onnx.ModelProto, Traced, nn.Module, dict[str, np.ndarray]]:
    """Each net is exported once for all tests of this file."""
    module = build(name)
    sample = sample_inputs(name, 1, seed=7)[0]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        result = trace(module, NETS[name].inputs, path)
        got = open_onnx(path).run(sample)
        return onnx.load(path), result, module, got


def flat(result: object) -> list[Tensor]:
    if isinstance(result, Tensor):
        return [result]
    items = result.values() if isinstance(result, dict) else result
    return [leaf for item in items for leaf in flat(item)]  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", NETS)
def test_the_file_says_what_the_net_says(name: str) -> None:
    model, result, module, got = traced(name)
    onnx.checker.check_model(model, full_check=True)
    sample = sample_inputs(name, 1, seed=7)[0]
    with torch.no_grad():
        wanted = flat(module(*(torch.from_numpy(sample[spec.name]) for spec in NETS[name].inputs)))
    assert result.inputs == NETS[name].inputs
    assert [value.name for value in model.graph.output] == [spec.name for spec in result.outputs] == list(got)
    for tensor, array, spec in zip(wanted, got.values(), result.outputs, strict=True):
        measured, limit = distance(tensor.numpy(), array)
        assert measured <= limit
        assert (spec.shape, spec.dtype) == (array.shape, str(array.dtype))


@pytest.mark.parametrize("name", NETS)
def test_norms_stay_and_shape_arithmetic_goes(name: str) -> None:
    model, _, module, _ = traced(name)
    found = [node.op_type for node in model.graph.node]
    norms = sum(isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d) for child in module.modules())
    assert found.count("BatchNormalization") == norms
    assert not SHAPE_NOISE & set(found)
    for op, count in WHOLE.get(name, {}).items():
        assert found.count(op) == count, op


@pytest.mark.parametrize("name", NETS)
def test_every_node_knows_its_module(name: str) -> None:
    model, _, module, _ = traced(name)
    paths = {path for path, _ in module.named_modules()}
    for node in model.graph.node:
        metadata = {entry.key: entry.value for entry in node.metadata_props}
        assert list(metadata) == [MODULE_KEY]
        assert metadata[MODULE_KEY] in paths
        child = module.get_submodule(metadata[MODULE_KEY])
        if node.op_type == "BatchNormalization":
            assert isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d)
        if node.op_type == "Conv":
            assert isinstance(child, nn.Conv1d | nn.Conv2d)


def test_the_file_tells_nothing_about_the_machine_and_repeats(tmp_path: Path) -> None:
    for name in ("a.onnx", "b.onnx"):
        trace(build("gru"), NETS["gru"].inputs, tmp_path / name)
    first, second = ((tmp_path / name).read_bytes() for name in ("a.onnx", "b.onnx"))
    assert first == second
    assert str(Path(__file__).parents[2]).encode() not in first


class Nested(nn.Module):
    """Outputs in containers, an unused default, a parameter that is also called as an output is."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 3), nn.Linear(5, 3)
        self.drop = nn.Dropout(0.5)

    def forward(self, output: Tensor, other: Tensor, scale: float = 2.0) -> tuple[Tensor, dict[str, object]]:
        total = self.drop(self.first(output) + self.second(other) * scale)
        return total, {"parts": (output * 1.0, other), "count": 3, "none": None}


def test_names_come_from_the_code(tmp_path: Path) -> None:
    inputs = (TensorSpec("other", (1, 5)), TensorSpec("output", (1, 4)))
    with pytest.raises(ModelLoadError, match="no shape was given for input other"):
        trace(Nested(), inputs[1:], tmp_path / "model.onnx")
    result = trace(Nested(), inputs, tmp_path / "model.onnx")
    assert [spec.name for spec in result.inputs] == ["output", "other"]
    assert [spec.name for spec in result.outputs] == ["output_output", "output_1_parts_0", "output_1_parts_1"]
    nodes = onnx.load(tmp_path / "model.onnx").graph.node
    assert {node.metadata_props[0].value for node in nodes} == {"", "first", "second"}


def test_the_module_is_left_as_it_was(tmp_path: Path) -> None:
    module = Nested()
    module.train()
    module.second.eval()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    state = torch.random.get_rng_state()
    trace(module, (TensorSpec("a", (1, 4)), TensorSpec("b", (1, 5))), tmp_path / "model.onnx")
    assert [child.training for child in module.modules()] == [True, True, False, True]
    assert all(torch.equal(before[name], tensor) for name, tensor in module.state_dict().items())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in module.parameters())
    assert torch.equal(torch.random.get_rng_state(), state)


class Remembering(nn.Module):
    """Changes one buffer in place, replaces another, and gives both: a cache."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(1))
        self.register_buffer("last", torch.zeros(1, 3))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        self.calls += 1
        self.last = x * 2
        return self.calls, self.last


def test_buffers_that_a_call_changes_are_put_back(tmp_path: Path) -> None:
    module = Remembering()
    calls, last = module.calls, module.last
    trace(module, (TensorSpec("x", (1, 3)),), tmp_path / "model.onnx")
    assert module.calls is calls
    assert module.last is last
    assert calls.tolist() == [0]
    assert last.tolist() == [[0, 0, 0]]
    got = open_onnx(tmp_path / "model.onnx").run({"x": np.ones((1, 3), np.float32)})
    assert [array.tolist() for array in got.values()] == [[1], [[2, 2, 2]]]


def test_the_flags_come_back_when_the_export_fails(tmp_path: Path) -> None:
    module = Nested().train()
    with pytest.raises(ModelLoadError, match=r"Nested fails on a:1x9:float32, b:1x5:float32: RuntimeError"):
        trace(module, (TensorSpec("a", (1, 9)), TensorSpec("b", (1, 5))), tmp_path / "model.onnx")
    assert all(child.training for child in module.modules())
    assert not list(tmp_path.iterdir())


def test_half_precision_becomes_float32_in_a_copy(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    module = nn.Sequential(nn.Linear(4, 2)).half()
    result = trace(torch.nn.DataParallel(module), (TensorSpec("input", (1, 4)),), tmp_path / "model.onnx")
    assert [finding.code for finding in result.findings] == ["cast-to-float32"]
    assert module[0].weight.dtype == torch.float16
    assert [tensor.data_type for tensor in onnx.load(tmp_path / "model.onnx").graph.initializer] == [1, 1]
    assert capfd.readouterr() == ("", ""), "torch's chatter must not reach the user"


@pytest.mark.parametrize("dtype", ["float16", "float64", "bfloat16"])
def test_inputs_are_cast_with_the_weights(dtype: str, tmp_path: Path) -> None:
    module = nn.Linear(4, 2).to(getattr(torch, dtype))
    result = trace(module, (TensorSpec("input", (1, 4), dtype),), tmp_path / "model.onnx")
    assert result.inputs == (TensorSpec("input", (1, 4)),)
    assert [finding.code for finding in result.findings] == ["cast-to-float32"]
    assert f"and so do the inputs input:1x4:{dtype}" in result.findings[0].message


def test_weights_beyond_the_limit_lie_beside_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace_module, "INLINE_LIMIT", 100)
    trace(nn.Linear(400, 4), (TensorSpec("input", (1, 400)),), tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx.data").stat().st_size >= 6400
    assert (tmp_path / "model.onnx").stat().st_size < 4000


class Inner(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.linalg.det(x.cumprod(-1))[..., None]


class Exotic(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = Inner()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return torch.special.bessel_j0(self.inner(x)), torch.linalg.svdvals(x)


def test_all_operators_without_onnx_form_are_listed_with_their_modules(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedOpError) as caught:
        trace(Exotic(), (TensorSpec("x", (2, 3, 3)),), tmp_path / "model.onnx")
    listed = {(op, module) for op, module, _ in caught.value.operators}
    assert listed == {
        ("prims.prod.default", "inner"),
        ("prims.bessel_j0.default", ""),
        ("aten._linalg_svd.default", ""),
    }


class Branching(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * 2 if x.sum() > 0 else x


class NoTensor(nn.Module):
    def forward(self, x: Tensor) -> int:
        return x.shape[0]


def test_code_that_cannot_be_followed_is_an_error_with_a_way_out(tmp_path: Path) -> None:
    spec = (TensorSpec("x", (1, 3)),)
    with pytest.raises(ModelLoadError, match=r"torch\.export cannot follow Branching") as caught:
        trace(Branching(), spec, tmp_path / "model.onnx")
    assert "depends on tensor values" in caught.value.hint
    with pytest.raises(ModelLoadError, match="NoTensor gives no tensor, but int"):
        trace(NoTensor(), spec, tmp_path / "model.onnx")


def test_weights_that_are_not_numbers_are_refused(tmp_path: Path) -> None:
    module = nn.Linear(3, 3)
    with torch.no_grad():
        module.bias[1] = torch.nan
    with pytest.raises(ModelLoadError, match=r"1 weight tensor\(s\) hold NaN or infinity: bias"):
        trace(module, (TensorSpec("input", (1, 3)),), tmp_path / "model.onnx")


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (nn.Linear(4, 4, device="meta"), r"2 tensor\(s\) are on the meta device, .*: weight, bias"),
        (nn.LazyLinear(4), r"2 tensor\(s\) of lazy modules have no shape yet: weight, bias"),
        (nn.BatchNorm1d(4, affine=False, device="meta"), r"meta device, .*: running_mean"),
    ],
)
def test_weights_without_values_are_refused(module: nn.Module, said: str, tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match=said) as caught:
        trace(module, (TensorSpec("input", (1, 4)),), tmp_path / "model.onnx")
    assert caught.value.hint


class Noisy(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + torch.rand_like(x)


def test_random_numbers_are_not_blamed_on_the_exporter(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match="Noisy is not deterministic: output 'output' differs between two calls"):
        trace(Noisy(), (TensorSpec("x", (1, 30)),), tmp_path / "model.onnx")


def test_a_wrong_export_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The parity check is alive: when the exporter's result is changed by 1 %, it says so with the numbers."""
    convert = trace_module.convert

    def wrong(program: torch.export.ExportedProgram):  # type: ignore[no-untyped-def]
        model = convert(program)
        weight = model.graph.initializers["weight"]
        weight.const_value = type(model.graph.initializers["bias"].const_value)(torch.full((2, 3), 1.01))
        return model

    module = nn.Linear(3, 2)
    nn.init.ones_(module.weight)
    monkeypatch.setattr(trace_module, "convert", wrong)
    with pytest.raises(
        ParityError, match=r"output 'output' of model.onnx differs from the source model: measured 0\.0"
    ):
        trace(module, (TensorSpec("input", (1, 3)),), tmp_path / "model.onnx")
