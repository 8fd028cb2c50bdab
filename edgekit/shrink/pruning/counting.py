"""Counting: multiply-accumulates and parameters, of a module and of what it would be with fewer channels.

A search asks for hundreds of widths. Each layer's cost is a product of its two widths, so it is counted once and
scaled; what no layer owns (products of activations) is counted on the real module by torch's own flop counter.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.utils.flop_counter import FlopCounterMode

from edgekit.shrink.pruning.layers import Axis, is_statistic, slabs, tensor_of
from edgekit.shrink.pruning.tracing import Example, call, evaluating, quiet

BYTES = 4
"""Of a float32 weight."""


@dataclass(frozen=True)
class Term:
    """One product: `amount * kept(first) / all(first) * kept(second) / all(second)`.

    Attributes:
        amount: In MACs or parameters.
        axes: The axes whose widths it is proportional to; an axis twice for a square.
    """

    amount: float
    axes: tuple[Axis, ...]


def count_parameters(module: nn.Module) -> int:
    """Parameters, shared ones once."""
    return sum(parameter.numel() for parameter in module.parameters())


def count_macs(module: nn.Module, example: Example) -> int:
    """Multiply-accumulates of one call: convolutions, matrix products, attention and recurrent layers.

    Additions, normalization and activations are not counted, as in the literature. In eval mode, without gradients.
    """
    total = 0

    def recurrent(layer: nn.Module, inputs: tuple[Tensor, ...], output: object) -> None:
        nonlocal total
        total += _positions(layer, inputs, output) * _weights(layer)

    hooks = [m.register_forward_hook(recurrent) for m in module.modules() if isinstance(m, nn.RNNBase)]
    counter = _FlopsOutsideRecurrent(display=False)
    try:
        with evaluating(module), quiet(), torch.no_grad(), _visible_attention(), counter:
            for layer in module.modules():
                if isinstance(layer, nn.RNNBase):
                    hooks += counter.paused_in(layer)
            call(module, example)
    finally:
        for hook in hooks:
            hook.remove()
    return total + counter.get_total_flops() // 2 - counter.skipped // 2


@contextmanager
def _visible_attention() -> Iterator[None]:
    """Attention as matrix products, since torch's counter does not know its fused kernels."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


class _FlopsOutsideRecurrent(FlopCounterMode):
    """Counts flops, and those inside of recurrent layers apart: torch counts some of their kernels and not others."""

    def __init__(self, *, display: bool) -> None:
        super().__init__(display=display)
        self.skipped = 0

    def paused_in(self, layer: nn.Module) -> list[torch.utils.hooks.RemovableHandle]:
        start = 0

        def enter(module: nn.Module, inputs: object) -> None:
            nonlocal start
            start = self.get_total_flops()

        def leave(module: nn.Module, inputs: object, output: object) -> None:
            self.skipped += self.get_total_flops() - start

        return [layer.register_forward_pre_hook(enter), layer.register_forward_hook(leave)]


def mac_terms(module: nn.Module, example: Example) -> list[Term]:
    """The MACs of every layer that `layers` knows, as products of its widths."""
    terms: list[Term] = []

    def record(path: str) -> Callable[[nn.Module, tuple[Tensor, ...], object], None]:
        def hook(layer: nn.Module, inputs: tuple[Tensor, ...], output: object) -> None:
            positions = _positions(layer, inputs, output)
            terms.extend(Term(positions * term.amount, term.axes) for term in _weight_terms(path, layer, macs=True))

        return hook

    kinds = (_ConvNd, nn.Linear, nn.LSTM, nn.MultiheadAttention)
    hooks = [m.register_forward_hook(record(path)) for path, m in module.named_modules() if isinstance(m, kinds)]
    try:
        with evaluating(module), quiet(), torch.no_grad():
            call(module, example)
    finally:
        for handle in hooks:
            handle.remove()
    return terms


def parameter_terms(module: nn.Module) -> list[Term]:
    """The parameters of every layer, as products of its widths; shared ones once."""
    seen: set[int] = set()
    terms: list[Term] = []
    for path, layer in module.named_modules():
        for term, tensor in _terms_with_tensors(path, layer):
            if id(tensor) not in seen:
                seen.add(id(tensor))
                terms.append(term)
    for name, parameter in module.named_parameters():
        if id(parameter) not in seen:
            axes = tuple((name, f"dim{dimension}") for dimension in range(parameter.dim()))
            terms.append(Term(parameter.numel(), axes))
    return terms


def amount(terms: list[Term], share: Callable[[Axis], float]) -> float:
    """The sum of all terms when each axis keeps `share(axis)` of its channels."""
    return sum(term.amount * math.prod(share(axis) for axis in term.axes) for term in terms)


def _weight_terms(path: str, layer: nn.Module, *, macs: bool) -> Iterator[Term]:
    for term, tensor in _terms_with_tensors(path, layer):
        if not macs or tensor.dim() >= 2:
            yield term


def _terms_with_tensors(path: str, layer: nn.Module) -> Iterator[tuple[Term, Tensor]]:
    axes: dict[str, list[Axis]] = {}
    for side in ("out", "in"):
        for slab in slabs(layer, side):
            if not is_statistic(slab):
                axes.setdefault(slab.tensor, []).append((path, side))
    for name, found in axes.items():
        tensor = tensor_of(layer, name)
        assert tensor is not None
        yield Term(tensor.numel(), tuple(found)), tensor


def _positions(layer: nn.Module, inputs: tuple[Tensor, ...], output: object) -> int:
    """How often one call uses each weight."""
    if isinstance(layer, _ConvTransposeNd):
        return int(inputs[0].numel() // int(layer.in_channels))
    if isinstance(layer, _ConvNd):
        assert isinstance(output, Tensor)
        return int(output.numel() // int(layer.out_channels))
    if isinstance(layer, nn.Linear):
        return int(inputs[0].numel() // layer.in_features) if inputs else 0
    if isinstance(layer, nn.RNNBase):
        first = inputs[0]
        values = first.data if isinstance(first, nn.utils.rnn.PackedSequence) else first
        return int(values.numel() // int(layer.input_size))
    if isinstance(layer, nn.MultiheadAttention) and inputs:
        return int(inputs[0].numel() // int(layer.embed_dim))
    return 0


def _weights(layer: nn.Module) -> int:
    return sum(parameter.numel() for parameter in layer.parameters() if parameter.dim() >= 2)
