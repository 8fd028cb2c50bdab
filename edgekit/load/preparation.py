"""A live module made ready to be traced: values in every weight, no wrappers, on the CPU, in float32."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import nn

from edgekit.errors import ModelLoadError
from edgekit.load.call import numpy_name
from edgekit.types.finding import Finding, Severity
from edgekit.types.spec import TensorSpec


def prepare(
    module: nn.Module, inputs: Sequence[TensorSpec]
) -> tuple[nn.Module, Sequence[TensorSpec], tuple[Finding, ...]]:
    """The module and its inputs in float32, and what was cast; the user's own module is not touched.

    Raises:
        ModelLoadError: Weights without values (lazy, on the meta device), or with NaN or infinity in them.
    """
    _refuse_without_values(module)
    plain, kinds = _plain(module)
    _refuse_not_finite(plain)
    if not kinds:
        return plain, inputs, ()
    return plain, [_widened(spec) for spec in inputs], (_cast_finding(kinds, inputs),)


def _plain(module: nn.Module) -> tuple[nn.Module, list[str]]:
    """Without wrappers, on the CPU, in float32; copied only where that changes it; the other float types it had."""
    while True:
        if isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
            module = module.module
        elif isinstance(inner := getattr(module, "_orig_mod", None), nn.Module):
            module = inner
        else:
            break
    tensors = [*module.parameters(), *module.buffers()]
    kinds = sorted({numpy_name(t.dtype) for t in tensors if t.dtype.is_floating_point and t.dtype != torch.float32})
    if not kinds and all(t.device.type == "cpu" for t in tensors):
        return module, []
    return copy.deepcopy(module).to("cpu").float(), kinds


def _widened(spec: TensorSpec) -> TensorSpec:
    """A float input as the cast weights need it."""
    is_other_float = spec.dtype in ("float16", "bfloat16", "float64")
    return replace(spec, dtype="float32") if is_other_float else spec


def _cast_finding(kinds: list[str], inputs: Sequence[TensorSpec]) -> Finding:
    message = f"weights were {' and '.join(kinds)}; the float model and every comparison use float32"
    cast = [str(spec) for spec in inputs if _widened(spec) != spec]
    if cast:
        message += f", and so do the inputs {', '.join(cast)}"
    return Finding("cast-to-float32", message, Severity.NOTE)


def _refuse_without_values(module: nn.Module) -> None:
    named = [*module.named_parameters(), *module.named_buffers()]
    lazy = [name for name, tensor in named if nn.parameter.is_lazy(tensor)]
    if lazy:
        raise ModelLoadError(
            f"{len(lazy)} tensor(s) of lazy modules have no shape yet: {', '.join(lazy[:5])}",
            hint="call the module once on an example input, then load its trained weights",
        )
    empty = [name for name, tensor in named if tensor.is_meta]
    if empty:
        raise ModelLoadError(
            f"{len(empty)} tensor(s) are on the meta device, which holds no values: {', '.join(empty[:5])}",
            hint="build the module on the CPU, or load its weights with load_state_dict(..., assign=True)",
        )


def _refuse_not_finite(module: nn.Module) -> None:
    bad = [name for name, p in module.named_parameters() if p.is_floating_point() and not torch.isfinite(p).all()]
    if bad:
        raise ModelLoadError(
            f"{len(bad)} weight tensor(s) hold NaN or infinity: {', '.join(bad[:5])}",
            hint="the training diverged or the file is damaged; use an earlier checkpoint",
        )
