"""Repair: weights of the layers that read cut channels, fitted so that they say what they said before.

Least squares of each layer's former output on the inputs it still has (channel pruning, He et al. 2017, arXiv
1707.06168; ThiNet, Luo et al. 2017, arXiv 1707.06342), layer by layer in the order of the call, so that each one also
makes up for what the ones before it lost. No labels are needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgekit.shrink.pruning.batchnorm import reestimate_batchnorm
from edgekit.shrink.pruning.layers import Axis
from edgekit.shrink.pruning.tracing import Example, call, evaluating, quiet

RIDGE = 1e-2
"""Pull towards the present weights, as a share of the mean squared input."""
ROWS = 12_000
"""Positions of a batch that are looked at, evenly spread."""
COLUMNS = 4608
"""Layers with more inputs than this (channels times kernel) are left as they are: their fit would take minutes."""


@dataclass(frozen=True, eq=False)
class Sums:
    """Normal equations of one layer: x has a last column of ones."""

    xx: Tensor
    xy: Tensor
    rows: int


def repair(
    pruned: nn.Module,
    original: nn.Module,
    kept: Mapping[Axis, Sequence[int]],
    inputs: Callable[[], Iterable[Example]],
    *,
    batches: int = 8,
) -> list[str]:
    """Refit, in place, the layers of `pruned` that lost inputs.

    Args:
        pruned: The cut module.
        original: The same before cutting; not changed.
        kept: What the cut left of each axis it touched.
        inputs: Fresh walks over batches of inputs.
        batches: How many of them to look at.

    Returns:
        Paths of the layers that were refitted.
    """
    readers = {path for path, side in kept if side == "in"}
    order = [path for path in _called(pruned, inputs) if path in readers and _is_fittable(pruned.get_submodule(path))]
    for path in order:
        reestimate_batchnorm(pruned, inputs(), batches=batches)
        sums = _observe(pruned, original, path, list(islice(inputs(), batches)))
        if sums is not None:
            _solve(pruned.get_submodule(path), sums, kept.get((path, "out")))
    return order


def _called(module: nn.Module, inputs: Callable[[], Iterable[Example]]) -> list[str]:
    """Paths of the layers in the order of their first call; those called more than once are left out."""
    order: list[str] = []
    hooks = [
        layer.register_forward_pre_hook(lambda *_, path=path: order.append(path))
        for path, layer in module.named_modules()
        if isinstance(layer, nn.Conv2d | nn.Linear)
    ]
    try:
        with evaluating(module), torch.no_grad(), quiet():
            for batch in islice(inputs(), 1):
                call(module, batch)
    finally:
        for hook in hooks:
            hook.remove()
    return [path for path in order if order.count(path) == 1]


def _is_fittable(layer: nn.Module) -> bool:
    if isinstance(layer, nn.Conv2d):
        plain = layer.groups == 1 and layer.padding_mode == "zeros" and not isinstance(layer.padding, str)
        return plain and layer.weight[0].numel() <= COLUMNS
    return isinstance(layer, nn.Linear) and layer.in_features <= COLUMNS


def _observe(pruned: nn.Module, original: nn.Module, path: str, batches: Sequence[Example]) -> Sums | None:
    seen: dict[str, Tensor] = {}
    layer = pruned.get_submodule(path)

    def before(module: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        seen["x"] = arguments[0].detach()

    def after(module: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> None:
        seen["y"] = output.detach()

    hooks = [layer.register_forward_pre_hook(before), original.get_submodule(path).register_forward_hook(after)]
    sums: Sums | None = None
    try:
        with evaluating(pruned), evaluating(original), torch.no_grad(), quiet():
            for batch in batches:
                call(pruned, batch)
                call(original, batch)
                sums = _add(sums, *_rows(layer, seen["x"], seen["y"]))
    finally:
        for hook in hooks:
            hook.remove()
    return sums


def _rows(layer: nn.Module, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Inputs and outputs of every position, float64."""
    if isinstance(layer, nn.Conv2d):
        assert not isinstance(layer.padding, str)
        patches = functional.unfold(x, layer.kernel_size, layer.dilation, layer.padding, layer.stride)
        x, y = patches.transpose(1, 2).flatten(0, 1), y.flatten(2).transpose(1, 2).flatten(0, 1)
    else:
        x, y = x.flatten(0, -2), y.flatten(0, -2)
    stride = -(-len(x) // ROWS)
    x, y = x[::stride], y[::stride]
    return torch.cat([x, x.new_ones(len(x), 1)], 1), y


def _add(sums: Sums | None, x: Tensor, y: Tensor) -> Sums:
    xx, xy = (x.T @ x).double(), (x.T @ y).double()
    return Sums(xx, xy, len(x)) if sums is None else Sums(sums.xx + xx, sums.xy + xy, sums.rows + len(x))


def _solve(layer: nn.Module, sums: Sums, outputs: Sequence[int] | None) -> None:
    """Weights nearest to the present ones that fit the rows; the ones' column is the bias, or is left to BatchNorm."""
    weight, bias = layer.weight, layer.bias
    xy = sums.xy if outputs is None else sums.xy[:, list(outputs)]
    assert isinstance(weight, nn.Parameter)
    present = torch.cat([weight.detach().flatten(1).double().T, weight.new_zeros(1, len(weight)).double()])
    if isinstance(bias, Tensor):
        present[-1] = bias.detach().double()
    pull = RIDGE * torch.diag(sums.xx)[:-1].mean().clamp_min(1e-12) * torch.ones(len(present), dtype=torch.float64)
    pull[-1] = 1e-9 * sums.rows
    fitted = torch.linalg.solve(sums.xx + torch.diag(pull), xy + pull[:, None] * present)
    if not bool(fitted.isfinite().all()):
        return
    with torch.no_grad():
        weight.copy_(fitted[:-1].T.reshape(weight.shape))
        if isinstance(bias, Tensor):
            bias.copy_(fitted[-1])
