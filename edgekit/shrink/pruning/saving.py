"""Saving: a pruned module as one .safetensors file, its plan in the file's metadata; and the way back.

Nothing is pickled. Loading builds the original class, makes it as small as the plan says, and takes the weights only if
every name and shape fits.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import safetensors
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from edgekit.errors import ModelLoadError, StorageError
from edgekit.shrink.pruning.layers import axis_size, is_grouped, slabs, tensor_of
from edgekit.shrink.pruning.plan import LARGEST_PLAN_BYTES, PruningPlan, sizes_of

PLAN_KEY = "edgekit.pruning"
_HEADER_BYTES = LARGEST_PLAN_BYTES + 64_000_000
_HINT = "build the class exactly as it was before pruning, with the same arguments"


def save_pruned(module: nn.Module, plan: PruningPlan, path: Path) -> None:
    """Write weights and plan to one file, atomically. A tensor that several layers share is written once.

    Raises:
        StorageError: The folder cannot be written.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in _distinct(module).items()}
    metadata = {"format": "pt", PLAN_KEY: plan.to_json()}
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        os.close(handle)
    except OSError as error:
        raise StorageError(f"{path.parent} cannot be written: {error}") from error
    try:
        save_file(tensors, temporary, metadata=metadata)
        with open(temporary, "rb+") as stream:
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except (OSError, safetensors.SafetensorError) as error:
        raise StorageError(f"{path} cannot be written: {error}") from error
    finally:
        Path(temporary).unlink(missing_ok=True)


def read_plan(path: Path) -> PruningPlan:
    """The plan inside a file of `save_pruned`.

    Raises:
        ModelLoadError: No such file, no safetensors file, or no plan in it.
    """
    if not path.is_file():
        raise ModelLoadError(f"{path} is no file")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except (OSError, safetensors.SafetensorError) as error:
        raise ModelLoadError(f"{path.name} is not a safetensors file, or it is damaged: {error}") from error
    if PLAN_KEY not in metadata:
        raise ModelLoadError(f"{path.name} holds no pruning plan", hint="use a file that `Pruned.save` wrote")
    return PruningPlan.from_json(metadata[PLAN_KEY])


def restore(module: nn.Module, path: Path) -> nn.Module:
    """Make the original module what the file says, in place.

    Args:
        module: As the class builds it, unpruned.
        path: What `save_pruned` wrote.

    Returns:
        The module, with its own training flags.

    Raises:
        ModelLoadError: The plan does not fit the module (says which part, what it wanted and found), or the weights do
            not fit the plan.
    """
    plan = read_plan(path)
    _refuse_huge(module, path)
    shrink_as_planned(module, plan)
    expected = _distinct(module)
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            _check_tensors(file, expected, path)
            tensors = {name: file.get_tensor(name) for name in expected}
    except (OSError, safetensors.SafetensorError) as error:
        raise ModelLoadError(f"{path.name} cannot be read: {error}") from error
    with torch.no_grad():
        for name, tensor in expected.items():
            tensor.copy_(tensors[name])
    return module


def shrink_as_planned(module: nn.Module, plan: PruningPlan) -> None:
    """Give the original module the sizes of a plan, in place.

    Its weights are the first channels of each layer: numbers of the right size, and not those that pruning kept.

    Raises:
        ModelLoadError: The plan does not fit the module.
    """
    if type(module).__name__ != plan.model:
        raise ModelLoadError(f"the plan is for the class {plan.model}, found a {type(module).__name__}", hint=_HINT)
    _shrink(module, plan)
    _check_sizes(module)


def _refuse_huge(module: nn.Module, path: Path) -> None:
    most = sum(tensor.numel() * tensor.element_size() for tensor in module.state_dict().values()) + _HEADER_BYTES
    if (size := path.stat().st_size) > most:
        raise ModelLoadError(f"{path.name} has {size} bytes, more than the unpruned module's {most}", hint=_HINT)


def _shrink(module: nn.Module, plan: PruningPlan) -> None:
    modules = dict(module.named_modules())
    for path, layer in plan.layers.items():
        where = path or "the model"
        found = modules.get(path)
        if found is None:
            raise ModelLoadError(f"the plan cuts {path}, and {type(module).__name__} has no such module", hint=_HINT)
        if type(found).__name__ != layer.kind:
            raise ModelLoadError(f"{where} must be a {layer.kind}, found a {type(found).__name__}", hint=_HINT)
        sizes = sizes_of(found)
        for name, (before, after) in layer.attributes.items():
            if name not in sizes or sizes[name] != before:
                is_there = f"found {sizes[name]}" if name in sizes else "found no such size"
                raise ModelLoadError(f"{where}.{name} must be {before} before pruning, {is_there}", hint=_HINT)
            setattr(found, name, after)
    _shrink_tensors(module, plan)


def _shrink_tensors(module: nn.Module, plan: PruningPlan) -> None:
    owners = dict(module.named_parameters(remove_duplicate=False)) | dict(module.named_buffers(remove_duplicate=False))
    made: dict[int, Tensor] = {}
    for name, (before, after) in plan.tensors.items():
        tensor = owners.get(name)
        if tensor is None:
            raise ModelLoadError(f"the plan cuts the tensor {name}, and there is none", hint=_HINT)
        if tuple(tensor.shape) != before:
            raise ModelLoadError(
                f"{name} must have the shape {before} before pruning, found {tuple(tensor.shape)}", hint=_HINT
            )
        if id(tensor) not in made:
            small = tensor.detach()[tuple(slice(size) for size in after)].clone()  # its values are not meant to last
            is_weight = isinstance(tensor, nn.Parameter)
            made[id(tensor)] = nn.Parameter(small, requires_grad=tensor.requires_grad) if is_weight else small
        if tuple(made[id(tensor)].shape) != after:
            raise ModelLoadError(f"{name} is shared with another layer, and the plan gives them different shapes")
        place, _, last = name.rpartition(".")
        setattr(module.get_submodule(place), last, made[id(tensor)])


def _check_sizes(module: nn.Module) -> None:
    """Whether the tensors of every known layer have the sizes that its attributes say."""
    for path, layer in module.named_modules():
        for side in ("out", "in"):
            size = axis_size(layer, side)
            for slab in slabs(layer, side):
                tensor = tensor_of(layer, slab.tensor)
                wanted = size * slab.blocks * slab.inner
                if side == "in" and is_grouped(layer) and slab.axis == 1:
                    wanted //= int(layer.groups)
                if tensor is not None and tensor.shape[slab.axis] != wanted:
                    found = tuple(tensor.shape)
                    raise ModelLoadError(f"the plan contradicts itself: {path}.{slab.tensor} is {found}, not {wanted}")


def _check_tensors(file: safetensors.safe_open, expected: dict[str, Tensor], path: Path) -> None:
    names = set(file.keys())  # type: ignore[no-untyped-call]
    if missing := sorted(set(expected) - names):
        raise ModelLoadError(f"{path.name} lacks {len(missing)} tensors: {', '.join(missing[:3])}", hint=_HINT)
    if more := sorted(names - set(expected)):
        raise ModelLoadError(f"{path.name} has {len(more)} tensors too many: {', '.join(more[:3])}", hint=_HINT)
    for name, tensor in expected.items():
        shape = tuple(file.get_slice(name).get_shape())  # type: ignore[no-untyped-call]
        if shape != tuple(tensor.shape):
            raise ModelLoadError(f"{name} must have the shape {tuple(tensor.shape)}, {path.name} has {shape}")


def _distinct(module: nn.Module) -> dict[str, Tensor]:
    """The state dict's tensors under their first names."""
    wanted = module.state_dict(keep_vars=True)
    found: dict[int, str] = {}
    for name, tensor in wanted.items():
        found.setdefault(id(tensor), name)
    return {name: wanted[name] for name in found.values()}
