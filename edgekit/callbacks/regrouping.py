"""An optimizer that goes on with other parameters: what a trainer made once and holds is changed in place."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Protocol

from torch import Tensor, nn

_MASKED = re.compile(r"\.parametrizations\.(\w+)\.original$")
"""What torch adds to the name of a weight that has a mask."""


class Optimizer(Protocol):
    """What torch's optimizers and their wrappers have in common."""

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """Parameters with their options."""
        ...

    @property
    def state(self) -> Any:
        """Momenta by parameter."""
        ...


def names_of(net: nn.Module) -> dict[int, str]:
    """id of each parameter -> its name; that of a masked weight is the weight's."""
    return {id(value): _MASKED.sub(r".\1", f".{name}")[1:] for name, value in net.named_parameters()}


def regroup(optimizer: Optimizer, old: Mapping[int, str], rounded: nn.Module, *, prefix: str) -> None:
    """Give an optimizer the parameters of a rounded net in place of the old net's.

    A weight goes to the group of the weight of its name. New ones (biases from folded BatchNorms, scales) go to the
    first group without weight decay, else to the last. Other parameters keep their group; momenta of old ones are
    dropped.

    Args:
        optimizer: Changed in place, so that schedulers and wrappers that hold it go on.
        old: `names_of` the old net.
        rounded: The new net, whose names are `<prefix><old name>`.
        prefix: See there.
    """
    groups = optimizer.param_groups
    home = {
        old[id(value)]: index for index, group in enumerate(groups) for value in group["params"] if id(value) in old
    }
    for group in groups:
        for value in group["params"]:
            if id(value) in old:
                optimizer.state.pop(value, None)
        group["params"] = [value for value in group["params"] if id(value) not in old]
    plain = next((index for index, group in enumerate(groups) if not group.get("weight_decay")), len(groups) - 1)
    for name, value in rounded.named_parameters():
        if value.requires_grad:
            place = home.get(name.removeprefix(prefix), plain)
            parameters: list[Tensor] = groups[place]["params"]
            parameters.append(value)
