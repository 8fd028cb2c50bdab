"""`distill` with the real loop: it learns, it leaves things as they were, and it refuses what cannot work."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from edgekit.errors import InputError
from edgekit.training.distilling import distill
from edgekit.training.fit import finetune
from edgekit.training.lesson import LOSSES
from edgekit.training.settings import Distillation, TrainingSettings
from edgekit.types.training import DISTILLATION_LOSSES

Net = Callable[..., nn.Sequential]
Loader = DataLoader[tuple[Tensor, ...]]
FAST = TrainingSettings(lr=0.02)


def equal(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(*pair) for pair in pairs)


@pytest.fixture
def teacher(net: Net, loader: Loader) -> nn.Sequential:
    model = net(16, seed=5)
    result = finetune(model, loader, epochs=8, settings=FAST, evaluation=loader)
    assert result.best is not None
    assert result.best > 0.9
    return model


@pytest.mark.parametrize("loss", ["kd", "dkd", "output", "feature", "attention", "kd+feature", "dkd+attention"])
def test_every_loss_falls(net: Net, teacher: nn.Module, loader: Loader, loss: str) -> None:
    result = distill(net(4), teacher, loader, epochs=6, loss=loss, settings=FAST)
    assert result.history[-1].loss < 0.9 * result.history[0].loss
    assert (result.steps, result.stopped, len(result.history)) == (18, "finished", 6)


def test_the_student_learns_from_the_teacher_alone(net: Net, teacher: nn.Module, loader: Loader) -> None:
    inputs_only = [batch[0] for batch in loader]
    result = distill(net(8), teacher, inputs_only, epochs=12, settings=FAST, evaluation=loader)
    assert result.best is not None
    assert result.best > 0.8
    assert [finding.code for finding in result.findings] == ["no-task-loss"]


def test_every_loss_of_the_recipe_is_one_of_the_library() -> None:
    assert set(DISTILLATION_LOSSES) <= set(LOSSES)


def test_a_joined_loss_is_the_sum_of_its_parts(net: Net, teacher: nn.Module, loader: Loader) -> None:
    """The first loss of a run does not depend on how it is weighed: the batches and the student are the same."""

    def first(loss: str, **more: float) -> float:
        settings = Distillation(temperature=2.0, **more)
        return (
            distill(net(4), teacher, loader, steps=1, loss=loss, task_loss=None, distillation=settings).history[0].loss
        )

    parts = first("kd"), first("feature")
    assert first("kd+feature") == pytest.approx(sum(parts), rel=1e-5)
    assert first("kd+feature", layer_weight=3.0) == pytest.approx(parts[0] + 3 * parts[1], rel=1e-5)
    assert first("feature", layer_weight=3.0) == pytest.approx(parts[1], rel=1e-6), "alone there is nothing to weigh"


def test_what_was_lent_comes_back_as_it_was(net: Net, teacher: nn.Module, loader: Loader) -> None:
    student = net(4)
    student[1].eval()
    teacher.train()
    before = copy.deepcopy(teacher)
    states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    result = distill(student, teacher, loader, steps=2, settings=TrainingSettings(mixed_precision="bf16"))
    assert result.model is student
    assert student.training
    assert not student[1].training
    assert all(module.training for module in teacher.modules())
    assert equal(before, teacher)
    assert "forward" not in vars(student)
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.array_equal(np.random.get_state()[1], states[1])
    assert random.getstate() == states[2]
    assert not any(module._forward_hooks for module in (*student.modules(), *teacher.modules()))
    distill(student, teacher, loader, steps=1)  # another precision in the same process


def test_an_accelerator_of_the_script_keeps_its_precision(net: Net, teacher: nn.Module, loader: Loader) -> None:
    AcceleratorState._reset_state()
    theirs = Accelerator(mixed_precision="bf16")
    try:
        distill(net(4), teacher, loader, steps=1)
        assert theirs.mixed_precision == "bf16"
        assert theirs.state.mixed_precision == AcceleratorState().mixed_precision == "bf16"
    finally:
        AcceleratorState._reset_state()


@pytest.mark.parametrize("loss", ["kd", "feature"])
@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_the_teacher_computes_in_the_precision_of_the_run(
    net: Net, teacher: nn.Module, loader: Loader, precision: str, loss: str
) -> None:
    seen: list[torch.dtype] = []
    settings = TrainingSettings(mixed_precision=precision)
    with teacher[0].register_forward_hook(lambda _module, _inputs, output: seen.append(output.dtype)):
        distill(net(4), teacher, loader, steps=2, loss=loss, settings=settings)
    assert seen[-2:] == [torch.bfloat16 if precision == "bf16" else torch.float32] * 2


def test_the_same_seed_gives_the_same_weights(net: Net, teacher: nn.Module, loader: Loader) -> None:
    def run(seed: int) -> nn.Module:
        torch.rand(3)
        return distill(net(4), teacher, loader, steps=5, settings=TrainingSettings(seed=seed)).model

    assert equal(run(1), run(1))
    assert not equal(run(1), run(2))


def test_a_loss_of_ones_own(net: Net, teacher: nn.Module, loader: Loader) -> None:
    class Mine(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))

        def forward(self, student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
            return (self.scale * student - teacher).abs().mean()

    loss = Mine()
    distill(net(4), teacher, loader, steps=3, loss=loss, task_loss=None)
    assert loss.scale.item() != 1.0


def test_batches_as_dicts_and_outputs_with_logits(net: Net, teacher: nn.Module, loader: Loader) -> None:
    class Wrapped(nn.Module):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, pixel_values: Tensor) -> SimpleNamespace:
            return SimpleNamespace(logits=self.inner(pixel_values))

    batches = [{"pixel_values": inputs, "labels": labels} for inputs, labels in loader]
    result = distill(Wrapped(net(4)), Wrapped(teacher), batches, epochs=4, settings=FAST, evaluation=batches)
    assert result.history[-1].loss < result.history[0].loss


def test_teacher_and_student_see_the_same_augmented_batch(net: Net, teacher: nn.Module, loader: Loader) -> None:
    seen: list[Tensor] = []

    class Watching(nn.Module):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, inputs: Tensor) -> Tensor:
            seen.append(inputs)
            result: Tensor = self.inner(inputs)
            return result

    distill(
        Watching(net(4)),
        Watching(teacher),
        loader,
        steps=1,
        augment=lambda batch: batch + torch.rand(len(batch), 1, 1, 1),
    )
    assert torch.equal(seen[-1], seen[-2])
    assert not torch.equal(seen[-1], seen[0])


def test_it_stops_early_and_keeps_the_best(net: Net, teacher: nn.Module, loader: Loader) -> None:
    scores = iter([0.1, 0.5, 0.4, 0.3, 0.9])
    kept: list[dict[str, Tensor]] = []

    def evaluation(model: nn.Module) -> float:
        assert not model.training
        kept.append(copy.deepcopy(model.state_dict()))
        return next(scores)

    result = distill(net(4), teacher, loader, epochs=9, evaluation=evaluation, patience=2)
    assert (result.stopped, result.best, len(result.history)) == ("early", 0.5, 4)
    assert all(torch.equal(value, kept[1][name]) for name, value in result.model.state_dict().items())


def test_averaged_weights_are_what_is_kept(net: Net, teacher: nn.Module, loader: Loader) -> None:
    plain = distill(net(4), teacher, loader, steps=6).model
    averaged = distill(net(4), teacher, loader, steps=6, settings=TrainingSettings(ema=0.9)).model
    assert not equal(plain, averaged)


def test_accumulated_batches_make_one_step(net: Net, loader: Loader, batches: list[tuple[Tensor, Tensor]]) -> None:
    """Two batches of 16 in one step are one batch of 32, in a net without batch statistics."""
    settings = TrainingSettings(optimizer="sgd", lr=0.1, clip_norm=None, warmup=0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 4))
    other = copy.deepcopy(model)
    one, two = batches[:2]
    joined = [(torch.cat([one[0], two[0]]), torch.cat([one[1], two[1]]))]
    finetune(model, [one, two], epochs=1, settings=TrainingSettings(**{**vars(settings), "gradient_accumulation": 2}))
    finetune(other, joined, epochs=1, settings=settings)
    torch.testing.assert_close(model[1].weight, other[1].weight, rtol=1e-5, atol=1e-6)


def refused(net: Net, data: object, match: str, **more: object) -> None:
    arguments = {"epochs": 1, **more}
    with pytest.raises(InputError, match=match):
        distill(net(4), net(8), data, **arguments)  # type: ignore[arg-type]


def test_data_that_cannot_be_used(net: Net, batches: list[tuple[Tensor, Tensor]]) -> None:
    refused(net, iter(batches), "can be read only once; training reads it in each epoch")
    refused(net, [], "the data has not one batch")
    refused(net, 7, "is a int, which cannot be iterated over")
    refused(net, [("picture.png", 3)], "in a batch, input 0 is a str, not a tensor")
    refused(net, [(torch.rand(2, 1, 8, 8),) * 3], "a batch is a tuple of 3")
    refused(net, [(torch.rand(2, 1, 8, 8), torch.zeros(3).long())], "different sizes")
    refused(net, [(torch.rand(2, 1, 8, 8), torch.tensor([0, 4]))], "labels run from 0 to 4; the model has 4 classes")
    with pytest.raises(InputError, match="the batches have no labels"):
        finetune(net(4), [batches[0][0]], epochs=1)
    with pytest.raises(InputError, match="no built-in loss fits"):
        finetune(net(4), [(batches[0][0], torch.rand(16))], epochs=1)


def test_a_function_may_begin_a_new_reading(net: Net, teacher: nn.Module, batches: list[tuple[Tensor, Tensor]]) -> None:
    def read() -> Iterator[tuple[Tensor, Tensor]]:
        yield from batches

    assert distill(net(4), teacher, read, epochs=2).steps == 6


def test_data_that_ends_early(net: Net, teacher: nn.Module, batches: list[tuple[Tensor, Tensor]]) -> None:
    class Short(list[tuple[Tensor, Tensor]]):
        def __len__(self) -> int:
            return 5

    result = distill(net(4), teacher, Short(batches), epochs=2)
    assert result.steps == 6
    assert [finding.code for finding in result.findings] == ["data-ended-early"]
    assert "3 batches where 5 were announced" in result.findings[0].message


def test_arguments_that_contradict(net: Net, batches: list[tuple[Tensor, Tensor]]) -> None:
    refused(net, batches, "either epochs or steps; epochs=1 and steps=5", steps=5)
    refused(net, batches, "neither is given", epochs=None)
    refused(net, batches, "epochs must be a whole number, 1 or more; it is 0", epochs=0)
    refused(net, batches, "patience is given and evaluation is not", patience=2)
    refused(net, batches, "loss is 'kl'; it is one of: kd, dkd", loss="kl")
    refused(net, batches, "mixed precision 'fp16' needs a GPU", settings=TrainingSettings(mixed_precision="fp16"))
    refused(net, batches, "the student has no layer '9'", loss="feature", distillation=Distillation(taps=(("9", "0"),)))
    model = net(4)
    with pytest.raises(InputError, match="student and teacher are the same module"):
        distill(model, model, batches, epochs=1)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    with pytest.raises(InputError, match="nothing to train"):
        distill(model, net(8), batches, epochs=1)


@pytest.mark.parametrize(
    ("field", "value"),
    [("lr", 0), ("lr", float("nan")), ("optimizer", "adam"), ("warmup", 1.0), ("clip_norm", -1), ("seed", -1)],
)
def test_impossible_settings_are_named(field: str, value: object) -> None:
    with pytest.raises(InputError, match=f"{field} "):
        TrainingSettings(**{field: value})  # type: ignore[arg-type]


def test_outputs_of_different_shapes_are_both_named(net: Net, batches: list[tuple[Tensor, Tensor]]) -> None:
    teacher = nn.Sequential(nn.Flatten(), nn.Linear(64, 9))
    with pytest.raises(InputError, match=r"student's output has the shape \(16, 4\), the teacher's \(16, 9\)"):
        distill(net(4), teacher, batches, epochs=1)


def test_the_cache_gives_what_the_teacher_said(net: Net, teacher: nn.Module, loader: Loader, tmp_path: object) -> None:
    asked: list[int] = []
    teacher.register_forward_hook(lambda *_: asked.append(1))
    plain = distill(net(4), teacher, loader, epochs=4)
    without = len(asked)
    cached = distill(net(4), teacher, loader, epochs=4, cache=tmp_path)  # type: ignore[arg-type]
    assert len(asked) - without < without / 2
    assert cached.history[-1].loss == pytest.approx(plain.history[-1].loss, rel=1e-4)
    again = len(asked)
    distill(net(4), teacher, loader, epochs=2, cache=tmp_path)  # type: ignore[arg-type]
    assert len(asked) - again == 1, "only the look at the first batch"


def test_a_cache_of_data_that_changes_is_refused(
    net: Net, batches: list[tuple[Tensor, Tensor]], tmp_path: object
) -> None:
    class Noisy(Dataset[tuple[Tensor, int]]):
        def __len__(self) -> int:
            return 8

        def __getitem__(self, index: int) -> tuple[Tensor, int]:
            return torch.rand(1, 8, 8), index % 4

    refused(net, DataLoader(Noisy(), batch_size=4), "other values for the same sample", cache=tmp_path)
    refused(net, batches, "cache and augment exclude each other", cache=tmp_path, augment=torch.clone)
    refused(net, batches, "learns from inner layers, which are not cached", cache=tmp_path, loss="attention")
    noisy = distill(
        net(4),
        net(8),
        lambda: (torch.rand(4, 1, 8, 8) for _ in range(2)),
        epochs=4,
        cache=tmp_path,  # type: ignore[arg-type]
    )
    assert "teacher-cache-useless" in {finding.code for finding in noisy.findings}
