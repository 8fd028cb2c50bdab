"""From trained weights to integers: the quantizer's own decisions, on the constants and ranges training ended with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from edgekit.errors import ShrinkError
from edgekit.shrink.qat.activations import DIVERGED
from edgekit.shrink.qat.module import QatModule
from edgekit.shrink.quantization.quantize import decide
from edgekit.shrink.quantization.weights import round_weight
from edgekit.types.graph import QuantizedGraph
from edgekit.types.plan import Weight
from edgekit.types.qparams import Array, QParams


@torch.no_grad()
def finish(module: QatModule) -> QuantizedGraph:
    """The integers that `module` computes with in evaluation mode.

    Its graph's float constants are the trained ones, so a float file of it is the net before rounding.

    Raises:
        ShrinkError: Weights or values are no numbers any more; the layers are named.
    """
    refuse_diverged(module)
    tensors = module.rounding.float_constants()
    constants = {name: _array(tensor) for name, tensor in tensors.items()}
    layout = module.layout.with_constants(constants)
    plan = replace(module.plan, ranges=module.ranges.ranges())
    if module.settings.learn_scales:
        plan = replace(plan, weights=_learned(module, tensors, constants))
    return decide(layout, {}, plan)


def refuse_diverged(module: QatModule) -> None:
    """Stop where training left something that is no number.

    Raises:
        ShrinkError: Naming the layers.
    """
    lost = [
        f"{name.removeprefix('net.')}"
        for name, tensor in (*module.named_parameters(), *module.named_buffers())
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all())
    ]
    if lost:
        raise ShrinkError(f"{len(lost)} tensor(s) hold NaN or infinity: {', '.join(lost[:5])}", hint=DIVERGED)
    producers = module.layout.graph.producers
    values = [name for name, ok in zip(module.ranges.names, module.ranges.finite.tolist(), strict=True) if not ok]
    if values:
        labels = [producers[name].label if name in producers else f"input {name}" for name in values]
        raise ShrinkError(
            f"the last training step computed NaN or infinity at {', '.join(labels[:5])}",
            hint=DIVERGED,
        )


def _learned(module: QatModule, tensors: Mapping[str, Tensor], constants: Mapping[str, Array]) -> dict[str, Weight]:
    """Weights at the scales that were learned, as far as kernels can live with them."""
    table = module.ranges.table(module.rounding.peaks(tensors))
    weights = {}
    for spec in module.specs:
        scale = _array(module.rounding.scale(spec, tensors, table))
        params = QParams(scale, np.zeros(scale.shape, np.int32), axis=spec.axis)
        weights[spec.name] = Weight(params, round_weight(constants[spec.name], params, limit=spec.limit))
    return weights


def _array(tensor: Tensor) -> Array:
    array: Array = tensor.detach().cpu().numpy().copy()
    return array
