"""BatchNorm re-estimation: running statistics of the module as it is now.

After cutting (or quantizing) weights the stored means and variances are those of another network; a pass over some
batches, with plain averages instead of the exponential ones, gives back most of what that costs.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from edgekit.errors import ShrinkError
from edgekit.shrink.pruning.tracing import Example, call, quiet


def reestimate_batchnorm(module: nn.Module, data: Iterable[Example], *, batches: int | None = None) -> int:
    """Replace every BatchNorm's running statistics by their average over some batches, in place.

    Only BatchNorm layers run in training mode meanwhile; dropout and all else stay in eval mode. Weights, momentum and
    training flags are left as they were.

    Args:
        module: Any module.
        data: Inputs, batched: tensors, or tuples or dicts of arguments of `forward`. At least 2 values per channel.
        batches: Stop after so many; None takes all.

    Returns:
        How many batches were used; 0 when the module has no BatchNorm with running statistics.

    Raises:
        ShrinkError: There is no batch.
    """
    norms = [m for m in module.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    if not norms:
        return 0
    flags = [(child, child.training) for child in module.modules()]
    momenta = [norm.momentum for norm in norms]
    saved = [{name: buffer.clone() for name, buffer in norm.named_buffers()} for norm in norms]
    count = 0
    try:
        module.eval()
        for norm in norms:
            norm.train()
            norm.reset_running_stats()
            norm.momentum = None  # torch's way to ask for the cumulative average
        with torch.no_grad(), quiet():
            for batch in data:
                if batches is not None and count >= batches:
                    break
                call(module, batch)
                count += 1
    finally:
        for norm, momentum, buffers in zip(norms, momenta, saved, strict=True):
            norm.momentum = momentum
            if not count:
                for name, buffer in buffers.items():
                    getattr(norm, name).copy_(buffer)
        for child, training in flags:
            child.training = training
    if not count:
        raise ShrinkError(
            "BatchNorm cannot be re-estimated: there is no batch", hint="pass at least one batch of inputs"
        )
    return count
