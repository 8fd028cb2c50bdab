"""From a torch module through its own training loop to files: the front door."""

import numpy as np
import pytest
import torch
from torch import nn

from edgekit.errors import CalibrationError, InputError, RecipeError, ShrinkError
from edgekit.load.trace import trace
from edgekit.pipeline import compress
from edgekit.runtime.litert import open_tflite
from edgekit.runtime.ort import open_onnx
from edgekit.training.quantization_aware import finish_qat, prepare_qat
from edgekit.types.recipe import Recipe
from edgekit.types.spec import TensorSpec


class Heads(nn.Module):
    """Two inputs by name, one with a default that is left out, and results in a dict with something that is none."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.box, self.score = nn.Linear(8, 4), nn.Linear(8 + 2, 3)

    def forward(self, image, numbers, scale=None):
        features = self.body(image).mean((2, 3))
        scores = self.score(torch.cat([features, numbers], 1))
        return {"boxes": self.box(features), "scores": (scores, scores.sigmoid()), "stride": 4}


def heads(seed=0):
    torch.manual_seed(seed)
    return Heads().eval()


def heads_data(count=24):
    generator = torch.Generator().manual_seed(1)
    return {
        "image": torch.randn(count, 3, 12, 12, generator=generator),
        "numbers": torch.randn(count, 2, generator=generator),
    }


def small_net(seed=0):
    torch.manual_seed(seed)
    layers = [nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3, 1, 1, groups=8), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)).eval()


def images(count=32, seed=3):
    return torch.randn(count, 3, 16, 16, generator=torch.Generator().manual_seed(seed))


QUICK = Recipe().with_fields({"check.seconds": 0.5})


def test_it_is_called_like_the_module_and_returns_what_the_module_returns():
    module, data = heads(), heads_data()
    qat = prepare_qat(module, data).eval()
    by_position, by_name = qat(data["image"], data["numbers"]), qat(numbers=data["numbers"], image=data["image"])
    expected = module(data["image"], data["numbers"])
    for found in (by_position, by_name, qat(data["image"], numbers=data["numbers"], scale=None)):
        assert list(found) == ["boxes", "scores", "stride"]
        assert found["stride"] == 4
        assert isinstance(found["scores"], tuple)
        assert found["boxes"].shape == (24, 4)
        assert (found["scores"][0] - expected["scores"][0]).abs().max() < 0.1


def test_preparing_leaves_the_module_as_it_was():
    module = heads().train()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    prepare_qat(module, heads_data())
    assert module.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())


def test_training_in_a_plain_loop_then_files(tmp_path):
    """Weights of four bits lose much; a short training on the float net's answers wins most of it back."""
    module, data = small_net(), images()
    with torch.no_grad():
        target = module(data)
    qat = prepare_qat(module, data, weight_bits=4, per_channel=False)

    def error():
        with torch.no_grad():
            return float((qat.eval()(data) - target).square().mean())

    before = error()
    optimizer = torch.optim.Adam(qat.parameters(), lr=2e-3)
    for _ in range(60):
        loss = (qat.train()(data) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert error() < 0.5 * before
    result = compress(qat, calibration=data, out=tmp_path / "out", recipe=QUICK)
    step = float(result.quantized.qparams[qat.layout.graph.outputs[0]].scale)
    expected = qat(data[:4]).detach().numpy()
    for format, opener in (("onnx-int8", open_onnx), ("tflite-int8", open_tflite)):
        session = opener(result.files[format])
        found = np.concatenate([session.run({"input": row[None].numpy()})["output"] for row in data[:4]])
        assert np.abs(found - expected).max() <= 2.001 * step
    exact = open_onnx(result.files["onnx-fp32"]).run({"input": data[:1].numpy()})["output"]
    assert np.abs(exact - module(data[:1]).detach().numpy()).max() > 1e-4  # the trained float net, not the first one


def test_the_report_says_that_training_decided(tmp_path):
    qat = prepare_qat(small_net(), images(), weight_bits=4)
    qat(images()).sum().backward()
    result = compress(qat, calibration=images(), out=tmp_path / "out", recipe=QUICK)
    report = result.report
    assert report.model.source == "quantization-aware training"
    assert report.calibration.samples == 0
    (step,) = report.ladder.steps
    assert "4-bit weights with a scale per channel" in step.outcome
    assert "1 training steps" in step.outcome
    assert "trained-for-4-bits" in {finding.code for finding in report.findings}
    assert "quantization-aware training" in (tmp_path / "out" / "report.md").read_text()


def test_compress_writes_what_finish_gives(tmp_path):
    qat = prepare_qat(small_net(), images())
    expected = finish_qat(qat)
    result = compress(qat, out=tmp_path / "out", recipe=QUICK)  # no data: the check runs on noise
    assert all(np.array_equal(result.quantized.integers[name], array) for name, array in expected.integers.items())


@pytest.mark.parametrize(
    "fields", [{"quantize.weight_bits": 4}, {"quantize.weight_only": True}, {"emit.targets": ["qnn"]}], ids=str
)
def test_other_scales_cannot_be_asked_for(tmp_path, fields):
    qat = prepare_qat(small_net(), images())
    with pytest.raises(RecipeError, match="trained with scales of its own"):
        compress(qat, calibration=images(), out=tmp_path / "out", recipe=Recipe().with_fields(fields))


def test_modules_can_stay_in_float():
    quantized = finish_qat(prepare_qat(small_net(), images(), float_modules=["7"]))
    assert any(node.module == "7" and node.name in quantized.islands for node in quantized.graph.nodes)


def test_a_path_is_a_model_too(tmp_path):
    module, data = small_net(), images()
    trace(module, (TensorSpec("input", (1, 3, 16, 16)),), tmp_path / "net.onnx")
    qat = prepare_qat(str(tmp_path / "net.onnx"), data.numpy())
    assert qat(data[:1]).shape == (1, 5)


class TestBadInput:
    def test_a_model_without_weights(self):
        with pytest.raises(ShrinkError, match="nothing to train for int8"):
            prepare_qat(nn.ReLU(), torch.randn(16, 8))

    def test_a_pattern_that_matches_nothing(self):
        with pytest.raises(RecipeError, match="no node of the graph is in a module 'head'"):
            prepare_qat(small_net(), images(), float_modules=["head"])

    def test_data_that_does_not_fit(self):
        with pytest.raises(InputError):
            prepare_qat(small_net(), torch.randn(8, 7, 16, 16))

    def test_no_data(self):
        with pytest.raises(CalibrationError):
            prepare_qat(small_net(), images()[:0])

    def test_training_that_diverged_is_no_file(self, tmp_path):
        qat = prepare_qat(small_net(), images())
        with torch.no_grad():
            next(iter(qat.parameters())).fill_(float("inf"))
        with pytest.raises(ShrinkError, match=r"0\.weight"):
            compress(qat, calibration=images(), out=tmp_path / "out")
        assert not (tmp_path / "out").exists()
