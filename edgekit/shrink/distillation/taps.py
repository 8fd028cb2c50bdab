"""Taps: outputs of inner layers, caught by forward hooks while a model runs, addressed by module names."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from torch import Tensor, nn

from edgekit.errors import InputError


class Taps:
    """What the tapped layers gave in the latest forward pass."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self._caught: dict[str, Tensor] = {}

    def catch(self, name: str, output: object) -> None:
        """Keep the output of a layer; of several outputs, the first."""
        first = output[0] if isinstance(output, (tuple, list)) and output else output
        if not isinstance(first, Tensor):
            raise InputError(f"the tapped layer '{name}' gives {type(first).__name__}, not a tensor")
        self._caught[name] = first

    def take(self) -> list[Tensor]:
        """The outputs in the order of the names; they are forgotten here, so that no graph stays alive.

        Raises:
            InputError: A tapped layer did not run.
        """
        silent = [name for name in self.names if name not in self._caught]
        if silent:
            raise InputError(f"the tapped layer '{silent[0]}' did not run in this forward pass")
        found = [self._caught[name] for name in self.names]
        self._caught.clear()
        return found


@contextmanager
def tapped(model: nn.Module, names: Sequence[str], *, owner: str = "model") -> Iterator[Taps]:
    """Catch outputs of the layers `names` as long as the block runs.

    Args:
        model: Whose layers; its forward does not change.
        names: As in `model.named_modules()`.
        owner: What the model is to the user, for messages: "student".

    Raises:
        InputError: There is no such layer; the message has the nearest names.
    """
    modules = dict(model.named_modules())
    for name in names:
        if name not in modules or not name:
            raise _unknown(name, list(modules), owner)
    taps = Taps(names)
    hooks = [
        modules[name].register_forward_hook(lambda _module, _inputs, output, name=name: taps.catch(name, output))
        for name in dict.fromkeys(names)
    ]
    try:
        yield taps
    finally:
        for hook in hooks:
            hook.remove()


def last_feature_map(model: nn.Module, run: Callable[[], object], *, axes: int = 4) -> str | None:
    """Name of the last layer of a pass that gives a map of more than one position; None when there is none.

    Args:
        model: Whose layers.
        run: Runs the model once.
        axes: How many the map has, with those of batch and channels: 4 for images.
    """
    found: list[str] = []

    def look(name: str, output: object) -> None:
        if isinstance(output, Tensor) and output.dim() == axes and output.shape[2:].numel() > 1:
            found.append(name)

    hooks = [
        module.register_forward_hook(lambda _module, _inputs, output, name=name: look(name, output))
        for name, module in model.named_modules()
        if name and not any(module.children())
    ]
    try:
        run()
    finally:
        for hook in hooks:
            hook.remove()
    return found[-1] if found else None


def _unknown(name: str, known: list[str], owner: str) -> InputError:
    named = [one for one in known if one]
    near = difflib.get_close_matches(name, named, n=3, cutoff=0.4) or named[:5]
    return InputError(
        f"the {owner} has no layer '{name}'; the nearest are: {', '.join(near) or 'none, it has no layers'}",
        hint="taps are pairs (layer of the student, layer of the teacher), named as in model.named_modules()",
    )
