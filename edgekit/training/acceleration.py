"""Hugging Face Accelerate, opened for one run: CPU, one GPU, or the processes that a launcher started.

The only file that imports `accelerate`, so that its absence is told in one way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from edgekit.errors import InputError, MissingExtraError

try:
    from accelerate import Accelerator as Accelerator
    from accelerate.data_loader import BatchSamplerShard as BatchSamplerShard
    from accelerate.state import AcceleratorState, PartialState
    from accelerate.utils import broadcast
except ImportError as error:
    raise MissingExtraError("accelerate", extra="train") from error


@contextmanager
def opened(mixed_precision: str) -> Iterator[Accelerator]:
    """An Accelerator as long as the block runs; afterwards the process has the precision that it had before.

    Accelerate keeps one precision per process and refuses a second one, so that of the script (or of a Trainer that
    ran earlier) is set aside.

    Args:
        mixed_precision: "no", "bf16" or "fp16".

    Raises:
        InputError: The machine cannot compute so.
    """
    outside = dict(AcceleratorState._shared_state)
    AcceleratorState._reset_state()
    try:
        with _refused_by_name(mixed_precision):
            accelerator = Accelerator(mixed_precision=mixed_precision)
        if mixed_precision == "fp16" and accelerator.device.type == "cpu":
            raise InputError("mixed precision 'fp16' needs a GPU, and this is a CPU", hint="'bf16' works on both")
        try:
            yield accelerator
        finally:
            accelerator.free_memory()
    finally:
        AcceleratorState._reset_state()
        AcceleratorState._shared_state.update(outside)


@contextmanager
def _refused_by_name(mixed_precision: str) -> Iterator[None]:
    """What Accelerate says of a precision that the machine lacks, as an error of ours."""
    try:
        yield
    except ValueError as error:
        raise InputError(
            f"mixed precision {mixed_precision!r} is not possible here: {error}", hint="fp16 needs a GPU; try 'bf16'"
        ) from error


def synchronised(module: nn.Module, accelerator: Accelerator) -> nn.Module:
    """A module that learns the same in all processes; alone, the module itself."""
    if accelerator.num_processes == 1:
        return module
    devices = [accelerator.local_process_index] if accelerator.device.type == "cuda" else None
    return DistributedDataParallel(module, device_ids=devices)


def process_index() -> int:
    """Number of this process, from 0; 0 without a launcher."""
    return int(PartialState().process_index)


def share_state(model: nn.Module, accelerator: Accelerator) -> None:
    """Every process gets the first one's buffers: statistics of normalisation are not kept equal by gradients."""
    if accelerator.num_processes > 1:
        for value in model.buffers():
            value.copy_(broadcast(value.detach().clone()))


def mean_over_processes(value: float, accelerator: Accelerator) -> float:
    """The mean of a number that each process has."""
    if accelerator.num_processes == 1:
        return value
    return float(accelerator.reduce(torch.tensor(value, dtype=torch.float64, device=accelerator.device), "mean"))


def from_main(value: float, accelerator: Accelerator) -> float:
    """The main process's number, in all of them."""
    if accelerator.num_processes == 1:
        return value
    return float(broadcast(torch.tensor(value, dtype=torch.float64, device=accelerator.device)))


def gathered(tensors: Mapping[str, Tensor], accelerator: Accelerator) -> dict[str, Tensor]:
    """Every process's tensors of equal shapes, stacked along a new first axis, on the CPU."""
    found = {}
    for name, value in tensors.items():
        row = value[None].to(accelerator.device) if accelerator.num_processes > 1 else value[None]
        found[name] = accelerator.gather(row).cpu() if accelerator.num_processes > 1 else row.cpu()
    return found
