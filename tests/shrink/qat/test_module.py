"""QatModule as a torch module: modes, ranges, BatchNorm, checkpoints, bad input."""

import copy
import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from edgekit.errors import InputError, ShrinkError
from edgekit.shrink.qat.finish import finish
from edgekit.shrink.qat.module import QatModule, QatSource
from edgekit.shrink.qat.settings import QatSettings
from edgekit.types.qparams import same
from tests.shrink.qat.conftest import as_tensors, outputs_of, take_steps


def batch_of(samples):
    return {name: torch.from_numpy(np.concatenate([sample[name] for sample in samples])) for name in samples[0]}


def test_parameters_are_called_after_the_torch_modules(prepared):
    names = dict(prepared("resnet8").named_parameters())
    assert "net.stem.0.weight" in names or any(name.startswith("net.") and ".conv" in name for name in names)
    assert all(name.startswith("net.") for name in names)


def test_every_weight_and_bias_gets_a_gradient(prepared, observed):
    qat = prepared("mobilenet_v3")
    qat(**as_tensors(observed("mobilenet_v3").calibration[0])).sum().backward()
    assert all(parameter.grad is not None for parameter in qat.parameters())


def test_a_batch_is_its_samples(prepared, observed):
    samples = observed("ds_cnn").held_back
    qat = prepared("ds_cnn").eval()
    together = qat(**batch_of(samples)).detach()
    alone = torch.cat([qat(**as_tensors(sample)).detach() for sample in samples])
    step = float(finish(qat).qparams[qat.layout.graph.outputs[0]].scale)
    assert (together - alone).abs().max() <= step * 1.001


def test_ranges_follow_the_data_until_they_are_frozen(prepared, observed):
    qat, sample = prepared("ds_cnn"), as_tensors(observed("ds_cnn").calibration[0])
    wide = {name: tensor * 3 for name, tensor in sample.items()}
    first = qat.ranges.high.clone()
    qat(**wide)
    moved = qat.ranges.high.clone()
    assert not torch.equal(first, moved)
    qat.eval()(**wide)
    with torch.no_grad():
        qat.train()(**wide)
    assert torch.equal(qat.ranges.high, moved)
    qat.freeze_ranges()
    qat(**wide)
    assert torch.equal(qat.ranges.high, moved)


def test_ranges_freeze_by_themselves_after_the_steps_asked_for(prepared, observed):
    qat, sample = prepared("ds_cnn", observe_steps=2), as_tensors(observed("ds_cnn").calibration[0])
    for _ in range(2):
        qat(**sample)
    kept = qat.ranges.high.clone()
    qat(**{name: tensor * 5 for name, tensor in sample.items()})
    assert torch.equal(qat.ranges.high, kept)


def test_a_wider_range_is_what_the_files_get(prepared, observed):
    qat, sample = prepared("ds_cnn"), as_tensors(observed("ds_cnn").calibration[0])
    before = finish(qat).qparams["spectrogram"].scale
    for _ in range(12):
        qat(**{name: tensor * 8 for name, tensor in sample.items()})
    assert finish(qat).qparams["spectrogram"].scale > before * 1.2


def test_learned_scales_learn(prepared, observed):
    qat = prepared("resnet8", learn_scales=True)
    before = finish(qat)
    names = {name for name, _ in qat.named_parameters() if "log_scale" in name}
    assert len(names) > 8
    take_steps(qat, observed("resnet8").calibration, count=4, rate=0.1)
    after = finish(qat)
    moved = [name for name in before.qparams if not same(before.qparams[name], after.qparams[name])]
    assert len(moved) > len(before.qparams) / 2


class TestLiveBatchNorm:
    def test_it_begins_as_the_folded_net(self, prepared, observed):
        live, folded = prepared("resnet8", batchnorm="live").eval(), prepared("resnet8").eval()
        for sample in observed("resnet8").held_back:
            first, second = outputs_of(live, sample), outputs_of(folded, sample)
            for name, array in first.items():
                step = float(finish(folded).qparams[name].scale)
                assert np.abs(array - second[name]).max() <= 2 * step

    def test_running_statistics_move_until_they_are_frozen(self, prepared, observed):
        qat = prepared("resnet8", batchnorm="live")
        norms = [child for child in qat.modules() if isinstance(child, nn.BatchNorm2d)]
        assert len(norms) >= 7
        batch = batch_of(observed("resnet8").calibration)
        before = [norm.running_mean.clone() for norm in norms]
        qat.train()(**batch)
        moved = [norm.running_mean.clone() for norm in norms]
        assert all(not torch.equal(a, b) for a, b in zip(before, moved, strict=True))
        qat.freeze_batchnorm()
        qat.train()(**batch)
        assert all(torch.equal(norm.running_mean, kept) for norm, kept in zip(norms, moved, strict=True))
        qat(**batch).sum().backward()
        assert all(norm.weight.grad is not None for norm in norms)

    def test_statistics_can_be_taken_anew_from_outside(self, prepared, observed):
        """As re-estimation does with any torch module: reset, average over batches, in evaluation mode otherwise."""
        qat = prepared("resnet8", batchnorm="live").eval()
        norms = [child for child in qat.modules() if isinstance(child, nn.BatchNorm2d)]
        exact = [norm.running_mean.clone() for norm in norms]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None
            norm.train()
        with torch.no_grad():
            qat(**batch_of(observed("resnet8").calibration))
        qat.eval()
        gaps = [
            float((norm.running_mean - mean).abs().max() / norm.running_var.sqrt().max())
            for norm, mean in zip(norms, exact, strict=True)
        ]
        assert max(gaps) < 1.0  # near the statistics of training, not 0 and not noise
        assert any(gap > 0 for gap in gaps)

    def test_the_files_get_the_folded_weights(self, prepared, observed):
        qat = prepared("resnet8", batchnorm="live")
        batch = batch_of(observed("resnet8").calibration)
        for _ in range(3):
            qat.train()(**batch)
        constants = finish(qat.eval()).graph.constants
        spec = next(spec for spec in qat.specs if spec.name in qat._norms)
        norm, raw = qat._norms[spec.name], qat.net.tensor(spec.name)
        factor = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        expected = (raw * factor.reshape(-1, 1, 1, 1)).detach().numpy()
        np.testing.assert_allclose(constants[spec.name], expected, rtol=1e-6)
        assert not np.allclose(constants[spec.name], raw.detach().numpy(), rtol=1e-3)


@pytest.mark.parametrize("settings", [{}, {"batchnorm": "live"}, {"learn_scales": True}], ids=str)
def test_a_checkpoint_holds_everything(prepared, observed, settings):
    net = observed("resnet8")
    trained = prepared("resnet8", **settings)
    for _ in range(2):
        trained(**batch_of(net.calibration))
    take_steps(trained, [batch_arrays(net.calibration)])
    trained.freeze_ranges()
    file = io.BytesIO()
    torch.save(trained.state_dict(), file)
    file.seek(0)
    fresh = prepared("resnet8", **settings)
    fresh.load_state_dict(torch.load(file, weights_only=True))
    first, second = finish(trained), finish(fresh)
    assert all(same(second.qparams[name], params) for name, params in first.qparams.items())
    assert all(np.array_equal(second.integers[name], array) for name, array in first.integers.items())
    kept = fresh.ranges.high.clone()
    fresh.train()(**batch_of(net.calibration))
    assert torch.equal(fresh.ranges.high, kept)  # that they were frozen is in the checkpoint


def batch_arrays(samples):
    return {name: tensor.numpy() for name, tensor in batch_of(samples).items()}


@pytest.mark.parametrize("settings", [{"batchnorm": "live"}, {"learn_scales": True}], ids=str)
def test_a_copy_is_a_net_of_its_own(prepared, observed, settings):
    net = observed("resnet8")
    qat = prepared("resnet8", **settings).eval()
    before = outputs_of(qat, net.held_back[0])
    other = copy.deepcopy(qat)
    take_steps(other, [batch_arrays(net.calibration)], count=3, rate=0.1)
    after, moved = outputs_of(qat, net.held_back[0]), outputs_of(other, net.held_back[0])
    for name, array in before.items():
        np.testing.assert_array_equal(after[name], array)
        assert not np.array_equal(moved[name], array)


class TestBadInput:
    def test_a_weight_that_is_no_number_is_named(self, prepared):
        qat = prepared("resnet8")
        name, parameter = next(iter(qat.named_parameters()))
        with torch.no_grad():
            parameter.view(-1)[0] = float("nan")
        with pytest.raises(ShrinkError, match=name.removeprefix("net.")) as caught:
            finish(qat)
        assert "learning rate" in caught.value.hint

    def test_values_that_are_no_numbers_do_not_spoil_ranges_and_are_told(self, prepared, observed):
        qat, sample = prepared("ds_cnn"), as_tensors(observed("ds_cnn").calibration[0])
        qat(**{name: tensor * float("nan") for name, tensor in sample.items()})
        assert torch.isfinite(qat.ranges.high).all()
        with pytest.raises(ShrinkError, match="input spectrogram"):
            finish(qat)
        qat(**sample)
        finish(qat)

    def test_a_net_kept_in_float_has_nothing_to_train_for(self, prepared):
        with pytest.raises(ShrinkError, match="nothing to train for int8"):
            prepared("ds_cnn", float_modules=("*",))

    def test_a_wrong_shape(self, prepared):
        with pytest.raises(InputError, match=r"'spectrogram' has shape .*\(N, 1, 49, 10\)"):
            prepared("ds_cnn")(torch.zeros(2, 1, 40, 10))

    def test_a_fixed_batch_is_told(self, observed):
        net = observed("ds_cnn")
        source = QatSource(replace(net.graph, batch_axes={}), net.histograms)
        qat = QatModule(source, QatSettings())
        assert qat(torch.zeros(1, 1, 49, 10)).shape == (1, 12)
        with pytest.raises(InputError, match=r"shape \(2, 1, 49, 10\)") as caught:
            qat(torch.zeros(2, 1, 49, 10))
        assert "fixed batch" in caught.value.hint

    def test_too_many_unknown_missing_and_double_arguments(self, prepared):
        qat, image = prepared("ds_cnn"), torch.zeros(1, 1, 49, 10)
        with pytest.raises(InputError, match="takes 1 input"):
            qat(image, image)
        with pytest.raises(InputError, match="'mask'"):
            qat(image, mask=image)
        with pytest.raises(InputError, match="twice"):
            qat(image, spectrogram=image)
        with pytest.raises(InputError, match="needs a tensor for spectrogram"):
            qat()
