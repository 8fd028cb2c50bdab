"""One call of a module: the example inputs that a trace runs on, and what their tensors are called."""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import torch
from torch import Tensor, nn

from edgekit.errors import ModelLoadError
from edgekit.load.quiet import first_line
from edgekit.types.spec import TensorSpec

Argument: TypeAlias = object
"""A tensor, a constant, or nested lists, tuples and dicts of them, as torch calls take them."""

_EXAMPLE = "--input NAME:1x3x224x224 (Python: inputs=[TensorSpec(name, shape)])"


@dataclass(frozen=True, eq=False)
class Call:
    """Arguments of `forward`.

    Attributes:
        args: Positional arguments.
        kwargs: Keyword arguments.
        specs: One per tensor among the arguments, in the order that torch flattens them in.
    """

    args: tuple[Argument, ...]
    kwargs: dict[str, Argument] = field(default_factory=dict)
    specs: tuple[TensorSpec, ...] = ()


def call_of(module: nn.Module, inputs: Sequence[TensorSpec], *, seed: int = 0) -> Call:
    """Seeded random arguments for `forward`, from the declared inputs.

    An input goes to the parameter of its name; when no name is a parameter's, they go by position and keep the names
    that the user gave.

    Args:
        module: Whose `forward` is to be called.
        inputs: What it takes, batch axis included.
        seed: Of the values: normal for floats, 0 or 1 for integers (an embedding has at least two rows).

    Raises:
        ModelLoadError: No inputs, names that are partly wrong, or a required parameter without an input.
    """
    names, required, variadic = parameters_of(module)
    if not inputs:
        raise ModelLoadError(
            f"{type(module).__name__} does not say what shape its input has; forward takes ({', '.join(names)})",
            hint=f"say it with {_EXAMPLE}",
        )
    tensors = {spec.name: tensor_of(spec, seed=seed + index) for index, spec in enumerate(inputs)}
    if len(tensors) != len(inputs):
        raise ModelLoadError(f"two inputs have the same name: {', '.join(spec.name for spec in inputs)}")
    unknown = [name for name in tensors if name not in names]
    if len(unknown) == len(tensors):
        return _by_position(module, names, required, variadic, inputs, tensors)
    if unknown:
        raise ModelLoadError(
            f"forward has no parameter {', '.join(unknown)}; it takes ({', '.join(names)})",
            hint="name each input as forward does, or none of them to give them by position",
        )
    missing = [name for name in required if name not in tensors]
    if missing:
        raise ModelLoadError(f"no shape was given for input {', '.join(missing)} of forward", hint=f"add {_EXAMPLE}")
    ordered = [spec for name in names for spec in inputs if spec.name == name]
    count = next((i for i, spec in enumerate(ordered) if spec.name != names[i]), len(ordered))
    args = tuple(tensors[spec.name] for spec in ordered[:count])
    kwargs: dict[str, Argument] = {spec.name: tensors[spec.name] for spec in ordered[count:]}
    return Call(args, kwargs, tuple(ordered))


def _by_position(
    module: nn.Module,
    names: list[str],
    required: list[str],
    variadic: bool,
    inputs: Sequence[TensorSpec],
    tensors: dict[str, Tensor],
) -> Call:
    if len(inputs) < len(required) or (len(inputs) > len(names) and not variadic):
        raise ModelLoadError(
            f"{type(module).__name__}.forward takes ({', '.join(names)}), but {len(inputs)} input(s) were given: "
            f"{', '.join(str(spec) for spec in inputs)}",
            hint=f"give one {_EXAMPLE} for each",
        )
    return Call(tuple(tensors.values()), {}, tuple(inputs))


def parameters_of(module: nn.Module) -> tuple[list[str], list[str], bool]:
    """Names of forward's parameters, those without a default, and whether it takes `*args`."""
    names, required, variadic = [], [], False
    for name, parameter in inspect.signature(module.forward).parameters.items():
        if parameter.kind is parameter.VAR_POSITIONAL:
            variadic = True
        elif parameter.kind is not parameter.VAR_KEYWORD:
            names.append(name)
            if parameter.default is parameter.empty:
                required.append(name)
    return names, required, variadic


def tensor_of(spec: TensorSpec, *, seed: int) -> Tensor:
    """Seeded values of the spec's shape and dtype, without touching torch's own random state.

    Raises:
        ModelLoadError: torch has no such element type, or the memory has no room for the values.
    """
    dtype = getattr(torch, spec.dtype, None)
    if not isinstance(dtype, torch.dtype):
        raise ModelLoadError(f"input {spec} has an element type that torch does not know: {spec.dtype!r}")
    generator = torch.Generator().manual_seed(seed)
    try:
        if dtype.is_floating_point:
            return torch.randn(spec.shape, generator=generator).to(dtype)
        return torch.randint(0, 2, spec.shape, generator=generator).to(dtype)
    except RuntimeError as error:  # what torch raises for memory, and for sizes that it cannot count or are negative
        raise ModelLoadError(
            f"no tensor can be made for input {spec}, {math.prod(spec.shape) * dtype.itemsize} bytes: "
            f"{first_line(error)}",
            hint="declare the sizes that the model runs on, with a batch of 1",
        ) from error


def numpy_name(dtype: torch.dtype) -> str:
    """numpy's name of a torch element type: the same word, without the package."""
    return str(dtype).removeprefix("torch.")
