"""The front door: every topology is cut, keeps its outputs' shapes, and comes back from its file the same."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from benchmarks.nets.resnet20 import ResNet20
from edgekit.errors import ModelLoadError, RecipeError, ShrinkError
from edgekit.shrink.pruning.counting import count_macs, count_parameters
from edgekit.shrink.pruning.plan import PruningPlan
from edgekit.shrink.pruning.tracing import outputs
from edgekit.training.pruning import load_pruned, prune
from tests.shrink.pruning.topologies import CASES, Residual, build


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("scope", ["global", "local"])
def test_every_topology_is_cut_and_comes_back(name: str, scope: str, tmp_path: Path) -> None:
    net, example = build(name)
    state = {key: tensor.clone() for key, tensor in net.state_dict().items()}
    before = outputs(net, example)
    pruned = prune(net, example, speedup=1.4, round_to=4, scope=scope)
    after = outputs(pruned.model, example)
    assert type(pruned.model) is type(net)
    assert [tensor.shape for tensor in after] == [tensor.shape for tensor in before]
    assert pruned.macs == count_macs(pruned.model, example) <= pruned.base_macs / 1.4
    assert pruned.parameters == count_parameters(pruned.model) < pruned.base_parameters
    assert all(torch.equal(tensor, state[key]) for key, tensor in net.state_dict().items())
    loaded = load_pruned(CASES[name].build, pruned.save(tmp_path / "net.safetensors")).eval()
    assert all(torch.equal(one, two) for one, two in zip(outputs(loaded, example), after, strict=True))
    assert PruningPlan.from_json(pruned.plan.to_json()) == pruned.plan
    pruned.model.train()
    sum(tensor.square().mean() for tensor in flat(pruned.model(example))).backward()  # type: ignore[union-attr]


def flat(value: Tensor | dict[str, Tensor]) -> list[Tensor]:
    return list(value.values()) if isinstance(value, dict) else [value]


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("split", "stem.0"),
        ("residual", "stem.0"),
        ("residual", "short.0"),
        ("depthwise", "multiplied"),
        ("grouped", "stem.0"),
        ("grouped", "grouped.0"),
        ("norms", "first"),
        ("attention", "down"),
        ("fused-attention", "attention.qkv"),
        ("separate-attention", "attention.value"),
        ("uncounted-attention", "attention.value"),
        ("lstm", "lstm"),
        ("lstm-stacked", "lstm"),
        ("called-twice", "shared.0"),
        ("tied-weights", "embed"),
    ],
)
def test_these_layers_are_among_what_can_be_cut(name: str, layer: str) -> None:
    net, example = build(name)
    widths = prune(net, example, speedup=1.8, round_to=4, scope="local").widths
    assert layer in widths
    assert widths[layer][1] < widths[layer][0]


def test_whole_heads_go_with_the_attributes_that_count_them() -> None:
    net, example = build("separate-attention")
    pruned = prune(net, example, speedup=1.2, ignore=("up", "down", "embed"))
    attention = pruned.model.attention
    assert attention.num_attention_heads < 4
    assert attention.all_head_size == attention.query.out_features == 8 * attention.num_attention_heads


@pytest.mark.parametrize("name", ["uncounted-attention", "normed-attention"])
@pytest.mark.parametrize("round_to", [2, 4, 8])
def test_heads_stay_whole_where_the_code_would_make_new_ones_of_what_is_left(name: str, round_to: int) -> None:
    """16 of 32 channels fit a reshape into heads of 8, also when they are half of each head."""
    net, example = build(name)
    pruned = prune(net, example, speedup=1.8, round_to=round_to, scope="local")
    kept = pruned.plan.layers["attention.value"].kept["out"]
    heads = {channel // 8 for channel in kept}
    assert 0 < len(heads) < 4
    assert list(kept) == [8 * head + place for head in sorted(heads) for place in range(8)]


def test_channels_with_a_place_are_found_beside_layers_that_mix_channels() -> None:
    """The numbers behind a LayerNorm change with its width; those of the other layers are compared all the same."""
    net, example = build("mirrored")
    pruned = prune(net, example, speedup=1.4, round_to=4)
    assert [finding.where for finding in pruned.findings] == ["mirrored"]
    assert pruned.widths.keys() == {"up"}


def test_a_group_that_the_code_cannot_do_without_stays_with_a_finding() -> None:
    net, example = build("fixed-reshape")
    pruned = prune(net, example, speedup=1.3, round_to=4)
    (finding,) = [finding for finding in pruned.findings if finding.where == "fixed.0"]
    assert "keeps its channels" in finding.message
    assert pruned.model.fixed[0].out_channels == 16


def test_resnet20_with_padded_shortcuts_keeps_its_stream() -> None:
    net = ResNet20().eval()
    pruned = prune(net, torch.randn(1, 3, 32, 32), speedup=2.0)
    assert 20_275_520 * 0.97 <= pruned.macs <= 20_275_520
    assert pruned.model.conv1.out_channels == 16
    assert "layer1.0.conv1" in str(pruned)
    assert [finding.where for finding in pruned.findings] == ["conv1"]


@pytest.mark.parametrize("target", [{"macs": 15e6}, {"macs": "15M"}, {"size": "0.6MB"}, {"size": 600_000}])
def test_targets_hold_and_are_not_overshot_by_much(target: dict[str, float]) -> None:
    pruned = prune(ResNet20().eval(), torch.randn(1, 3, 32, 32), round_to=4, **target)  # type: ignore[arg-type]
    found, asked = (pruned.macs, 15e6) if "macs" in target else (pruned.size, 6e5)
    assert asked * 0.95 <= found <= asked


@pytest.mark.parametrize(
    "wanted", [{}, {"speedup": 2.0, "macs": 1e6}, {"speedup": 0.9}, {"macs": "many"}, {"latency": 2.0}]
)
def test_a_target_that_makes_no_sense_is_refused(wanted: dict[str, float]) -> None:
    with pytest.raises(RecipeError):
        prune(nn.Linear(2, 2), torch.randn(1, 2), **wanted)  # type: ignore[arg-type]


def test_a_target_out_of_reach_names_the_best_there_is() -> None:
    with pytest.raises(ShrinkError, match=r"cannot be met: the best reachable is \d+\.\d M MACs"):
        prune(ResNet20().eval(), torch.randn(1, 3, 32, 32), speedup=50.0)


def test_a_module_without_anything_to_cut_is_refused() -> None:
    with pytest.raises(ShrinkError, match="no layer that can be pruned"):
        prune(nn.Linear(4, 4), torch.randn(1, 4), speedup=1.5)


def test_a_call_that_fails_is_a_plain_error() -> None:
    with pytest.raises((ShrinkError, RuntimeError)):
        prune(Residual().eval(), torch.randn(1, 4, 8, 8), speedup=1.5)


def test_ignored_layers_keep_their_channels() -> None:
    net, example = build("plain")
    pruned = prune(net, example, speedup=1.2, ignore=("body.0.*",))
    assert pruned.model.body[0][0].out_channels == 16
    with pytest.raises(ShrinkError, match="is ignored"):
        prune(net, example, speedup=1.2, ignore=("*",))


@pytest.mark.parametrize("importance", ["group-norm", "taylor", "bn-scale", "lamp"])
def test_importances_differ_and_repeat(importance: str) -> None:
    net, example = build("residual")
    data = [(torch.randn(4, 3, 8, 8), torch.randint(0, 5, (4,))) for _ in range(3)]

    def loss(module: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        return nn.functional.cross_entropy(module(batch[0]), batch[1])

    one, two = (
        prune(net, example, speedup=1.5, round_to=4, importance=importance, data=data, loss=loss)  # type: ignore[arg-type]
        for _ in range(2)
    )
    assert one.plan == two.plan
    assert all(parameter.grad is None for parameter in net.parameters())


def test_data_repairs_what_cutting_broke() -> None:
    net, example = build("residual")
    data = [torch.randn(32, 3, 8, 8) for _ in range(6)]
    fresh = torch.randn(64, 3, 8, 8)
    wanted = outputs(net, fresh)[0]
    errors = [
        float(
            (outputs(prune(net, example, speedup=1.6, round_to=4, data=data, repair=mends).model, fresh)[0] - wanted)
            .square()
            .mean()
        )
        for mends in (False, True)
    ]
    assert errors[1] < errors[0] * 0.8


def test_an_iterative_schedule_trains_in_between_and_ends_at_the_target(tmp_path: Path) -> None:
    net, example = build("residual")
    seen: list[int] = []
    pruned = prune(
        net,
        example,
        speedup=2.0,
        round_to=2,
        schedule="iterative",
        steps=3,
        train=lambda module: seen.append(count_macs(module, example)),
    )
    assert len(seen) == 2
    assert pruned.base_macs > seen[0] > seen[1] > pruned.macs
    loaded = load_pruned(Residual, pruned.save(tmp_path / "net.safetensors")).eval()
    assert torch.equal(loaded(example), pruned.model(example))
    path, layer = next((path, layer) for path, layer in pruned.plan.layers.items() if "out" in layer.kept)
    kept = list(layer.kept["out"])
    weight = net.get_submodule(path).weight
    assert isinstance(weight, Tensor)
    assert kept == sorted(set(kept))
    assert max(kept) < len(weight)


def test_training_flags_and_frozen_parameters_stay() -> None:
    net, example = build("residual")
    net.stem.train()
    net.one[0].weight.requires_grad_(requires_grad=False)
    pruned = prune(net, example, speedup=1.5, round_to=4)
    assert pruned.model.stem.training
    assert not pruned.model.one.training
    assert not pruned.model.one[0].weight.requires_grad


def test_a_latency_target_is_measured_on_this_machine() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 64, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(64, 64, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(64, 5),
    ).eval()
    pruned = prune(net, torch.randn(1, 3, 32, 32), latency=0.8)
    assert any(candidate.time_ratio <= 0.8 for candidate in pruned.candidates)
    assert "latency-measured" in {finding.code for finding in pruned.findings}


@given(
    widths=st.lists(st.integers(4, 24), min_size=2, max_size=4),
    is_residual=st.booleans(),
    speedup=st.floats(1.1, 2.5),
    round_to=st.sampled_from([1, 2, 4]),
    seed=st.integers(0, 99),
)
@settings(max_examples=15)
def test_law_shapes_stay_the_target_holds_and_the_file_gives_the_same(
    widths: list[int],
    is_residual: bool,
    speedup: float,
    round_to: int,
    seed: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            pairs = zip([3, *widths], widths, strict=False)
            self.layers = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairs)
            self.norms = nn.ModuleList(nn.BatchNorm2d(width) for width in widths)
            self.last = nn.Linear(widths[-1], 3)

        def forward(self, image: Tensor) -> Tensor:
            for layer, norm in zip(self.layers, self.norms, strict=True):
                after = torch.relu(norm(layer(image)))
                image = after + image if is_residual and after.shape == image.shape else after
            return self.last(image.mean((2, 3)))

    torch.manual_seed(seed)
    net, example = Net().eval(), torch.randn(2, 3, 6, 6)
    pruned = None
    with suppress(ShrinkError):  # rounded widths of so small a net may not reach the target
        pruned = prune(net, example, speedup=speedup, round_to=round_to)
    if pruned is None:
        return
    assert pruned.model(example).shape == net(example).shape
    assert pruned.macs <= pruned.base_macs / speedup
    loaded = load_pruned(Net, pruned.save(tmp_path_factory.mktemp("law") / "net.safetensors")).eval()
    assert torch.equal(loaded(example), pruned.model(example))


def test_a_file_for_another_class_says_what_does_not_fit(tmp_path: Path) -> None:
    net, example = build("residual")
    path = prune(net, example, speedup=1.5, round_to=4).save(tmp_path / "net.safetensors")
    with pytest.raises(ModelLoadError, match="for the class Residual, found a Linear"):
        load_pruned(lambda: nn.Linear(2, 2), path)

    def wider() -> nn.Module:
        other = Residual()
        other.stem[0] = nn.Conv2d(3, 20, 3)
        return other

    with pytest.raises(ModelLoadError, match=r"stem.0.out_channels must be 16 before pruning, found 20"):
        load_pruned(wider, path)
