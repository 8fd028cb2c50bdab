"""Distillation losses against their formulas in float64 numpy, their laws, and their gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from edgekit.errors import InputError
from edgekit.shrink.distillation.attention_transfer import AttentionTransfer
from edgekit.shrink.distillation.dkd import DecoupledTargets, decoupled_parts
from edgekit.shrink.distillation.feature import FeatureHints
from edgekit.shrink.distillation.kd import SoftTargets
from edgekit.shrink.distillation.output import OutputLoss

seeds = st.integers(0, 2**32 - 1)
temperatures = st.sampled_from([0.5, 1.0, 4.0, 20.0])


def logits(seed: int, batch: int = 5, classes: int = 7) -> tuple[Tensor, Tensor, Tensor]:
    random = np.random.default_rng(seed)
    student, teacher = (torch.from_numpy(random.normal(0, 3, (batch, classes))) for _ in range(2))
    return student, teacher, torch.from_numpy(random.integers(0, classes, batch))


def softmax(values: np.ndarray) -> np.ndarray:
    powers = np.exp(values - values.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def test_soft_targets_are_hintons_formula() -> None:
    student, teacher, _ = logits(0)
    p, q = softmax(teacher.numpy() / 3), softmax(student.numpy() / 3)
    expected = 9 * (p * (np.log(p) - np.log(q))).sum(1).mean()
    assert float(SoftTargets(3.0)(student, teacher)) == pytest.approx(expected, rel=1e-12)


def test_decoupled_targets_are_zhaos_formula() -> None:
    student, teacher, labels = logits(1)
    p, q = softmax(teacher.numpy() / 2), softmax(student.numpy() / 2)
    total = 0.0
    for row, label in enumerate(labels.tolist()):
        pt, qt = p[row, label], q[row, label]
        target = pt * np.log(pt / qt) + (1 - pt) * np.log((1 - pt) / (1 - qt))
        ph, qh = np.delete(p[row], label) / (1 - pt), np.delete(q[row], label) / (1 - qt)
        total += 1.5 * target + 6.0 * (ph * np.log(ph / qh)).sum()
    found = DecoupledTargets(2.0, alpha=1.5, beta=6.0)(student, teacher, labels)
    assert float(found) == pytest.approx(4 * total / len(labels), rel=1e-10)


@given(seeds, temperatures)
def test_hintons_loss_is_the_sum_of_the_decoupled_parts(seed: int, temperature: float) -> None:
    """KD = TCKD + (1 - p_target) * NCKD, equation 5 of the paper."""
    student, teacher, labels = logits(seed, batch=1)
    target, others = decoupled_parts(student, teacher, labels, temperature)
    share = 1 - torch.softmax(teacher / temperature, 1)[0, labels[0]]
    whole = SoftTargets(temperature)(student, teacher) / temperature**2
    assert float(whole) == pytest.approx(float(target + share * others), rel=1e-8, abs=1e-12)


@given(seeds, temperatures, st.floats(-5, 5))
def test_soft_targets_are_zero_only_for_equal_answers(seed: int, temperature: float, shift: float) -> None:
    student, teacher, labels = logits(seed)
    loss = SoftTargets(temperature)
    assert float(loss(student, teacher)) > 0
    assert float(loss(teacher + shift, teacher)) == pytest.approx(0, abs=1e-10)
    assert float(DecoupledTargets(temperature)(teacher + shift, teacher, labels)) == pytest.approx(0, abs=1e-10)


def test_positions_are_answers_of_their_own() -> None:
    student, teacher, _ = logits(2, batch=6)
    whole = SoftTargets()(student, teacher)
    as_map = [value.view(2, 3, 7).movedim(-1, 1) for value in (student, teacher)]
    assert float(SoftTargets()(*as_map)) == pytest.approx(float(whole), rel=1e-12)


@pytest.mark.parametrize("loss", [SoftTargets(3.0), DecoupledTargets(3.0), OutputLoss()])
def test_gradients_of_losses_on_outputs(loss: torch.nn.Module) -> None:
    student, teacher, labels = logits(3)
    assert torch.autograd.gradcheck(lambda value: loss(value, teacher, labels), student.requires_grad_())


def maps(seed: int, channels: int, size: int = 4) -> Tensor:
    return torch.randn(2, channels, size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_attention_is_zagoruykos_formula() -> None:
    student, teacher = maps(0, 3), maps(1, 5)
    rows = [(value.numpy() ** 2).sum(1).reshape(2, -1) for value in (student, teacher)]
    rows = [row / np.linalg.norm(row, axis=1, keepdims=True) for row in rows]
    expected = ((rows[0] - rows[1]) ** 2).sum(1).mean()
    assert float(AttentionTransfer()([student], [teacher])) == pytest.approx(expected, rel=1e-12)


@given(seeds, st.integers(1, 4), st.floats(0.1, 10))
def test_attention_does_not_depend_on_the_number_or_scale_of_channels(seed: int, repeats: int, scale: float) -> None:
    student, teacher = maps(seed, 3), maps(seed + 1, 5)
    loss = AttentionTransfer()
    wider = scale * student.repeat(1, repeats, 1, 1)[:, torch.randperm(3 * repeats)]
    assert float(loss([wider], [teacher])) == pytest.approx(float(loss([student], [teacher])), rel=1e-9)
    assert float(loss([wider], [student])) == pytest.approx(0, abs=1e-12)


def test_attention_and_hints_average_the_larger_map() -> None:
    large, small = maps(0, 3, size=8), maps(1, 3, size=4)
    pooled = torch.nn.functional.adaptive_avg_pool2d(large.square().sum(1, keepdim=True), 4).sqrt()
    loss = AttentionTransfer()
    assert float(loss([large], [small])) == pytest.approx(float(loss([pooled], [small])), rel=1e-9)
    hints = FeatureHints([large.shape], [small.shape]).double()
    assert float(hints([large], [small]).detach()) > 0
    assert float(FeatureHints([small.shape], [large.shape]).double()([small], [large]).detach()) > 0


@pytest.mark.parametrize("shapes", [((2, 3), (2, 5)), ((2, 6, 3), (2, 6, 5)), ((2, 3, 4, 4), (2, 5, 4, 4))])
def test_a_hint_can_be_learned_and_has_true_gradients(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    generator = torch.Generator().manual_seed(0)
    ours, theirs = (torch.randn(shape, dtype=torch.float64, generator=generator) for shape in shapes)
    hints = FeatureHints([ours.shape], [theirs.shape], seed=3).double()
    axis = 1 if ours.dim() > 3 else -1
    projected = hints.projections[0](ours.movedim(axis, -1)).movedim(-1, axis).detach()
    assert float(hints([ours], [projected]).detach()) == pytest.approx(0, abs=1e-15)
    assert torch.autograd.gradcheck(lambda value: hints([value], [theirs]), ours.requires_grad_())
    assert torch.autograd.gradcheck(lambda value: AttentionTransfer()([value], [theirs]), ours) if axis == 1 else True


@given(seeds, st.sampled_from([1e-3, 1.0, 50.0]))
def test_a_hint_of_the_same_width_has_no_projection_and_no_unit(seed: int, scale: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    ours, theirs = (torch.randn(2, 3, 4, 4, dtype=torch.float64, generator=generator) for _ in range(2))
    hints = FeatureHints([ours.shape], [theirs.shape])
    assert list(hints.parameters()) == []
    expected = ((ours - theirs) ** 2).mean() / (theirs**2).mean()
    assert float(hints([scale * ours], [scale * theirs])) == pytest.approx(float(expected), rel=1e-9)
    assert float(hints([torch.zeros_like(ours)], [scale * theirs])) == pytest.approx(1.0, rel=1e-9)
    assert float(hints([theirs], [theirs])) == 0
    assert torch.isfinite(hints([ours], [torch.zeros_like(theirs)]))


def test_projections_depend_on_the_seed_alone() -> None:
    shapes = [torch.Size((1, 3, 4, 4))], [torch.Size((1, 5, 4, 4))]
    torch.manual_seed(0)
    before = torch.get_rng_state()
    one = FeatureHints(*shapes, seed=1).projections[0].weight
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(one, FeatureHints(*shapes, seed=1).projections[0].weight)
    assert not torch.equal(one, FeatureHints(*shapes, seed=2).projections[0].weight)


def test_outputs_of_several_heads() -> None:
    one, two = torch.zeros(2, 3), torch.ones(2, 3)
    assert float(OutputLoss()([one, one], [one, two])) == 0.5
    with pytest.raises(InputError, match="the student has 1 outputs, the teacher 2"):
        OutputLoss()(one, [one, two])


def test_shapes_that_differ_are_named() -> None:
    for loss in (SoftTargets(), OutputLoss()):
        with pytest.raises(InputError, match=r"shape \(2, 3\), the teacher's \(2, 4\)"):
            loss(torch.zeros(2, 3), torch.zeros(2, 4))
    with pytest.raises(InputError, match="needs one integer label for each of 2 answers; found: none"):
        DecoupledTargets()(torch.zeros(2, 3), torch.zeros(2, 3), None)
    with pytest.raises(InputError, match="attention transfer needs feature maps"):
        AttentionTransfer()([torch.zeros(2, 3)], [torch.zeros(2, 3)])
    with pytest.raises(InputError, match="no projection leads there"):
        FeatureHints([torch.Size((2, 3))], [torch.Size((2, 3, 4))])
    with pytest.raises(InputError, match="temperature must be a finite number above 0; it is 0"):
        SoftTargets(0)
