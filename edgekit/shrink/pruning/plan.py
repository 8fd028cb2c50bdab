"""PruningPlan: what was cut, as data. With it and the original class anyone can rebuild the smaller module.

Written as JSON. Read strictly: unknown or double keys, wrong types and sizes that grow are errors, since a plan may
come from anywhere. A plan can only make a module smaller than the class it is applied to.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from edgekit.digest import canonical_json
from edgekit.errors import ModelLoadError
from edgekit.shrink.pruning.layers import Axis

FORMAT = "edgekit-pruning-plan"
VERSION = 1
LARGEST_PLAN_BYTES = 32_000_000

Size = int | tuple[int, ...]


@dataclass(frozen=True)
class LayerPlan:
    """One module whose sizes changed.

    Attributes:
        kind: Name of its class.
        attributes: name -> (before, after).
        kept: "out" or "in" -> channels that stayed, counted in the original.
    """

    kind: str
    attributes: Mapping[str, tuple[Size, Size]]
    kept: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class PruningPlan:
    """Everything that differs in shape between a module and its pruned copy.

    Attributes:
        model: Name of the class that was pruned.
        layers: dotted path of a module ("" is the model) -> what changed in it.
        tensors: name in the state dict -> (shape before, shape after).
    """

    model: str
    layers: Mapping[str, LayerPlan]
    tensors: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]]

    def to_json(self) -> str:
        """Canonical JSON: the same plan always gives the same text."""
        layers = {
            path: {"kind": layer.kind, "attributes": _plain(layer.attributes), "kept": _plain(layer.kept)}
            for path, layer in self.layers.items()
        }
        value = {"format": FORMAT, "version": VERSION, "model": self.model, "layers": layers}
        return canonical_json({**value, "tensors": _plain(self.tensors)})

    @staticmethod
    def from_json(text: str) -> PruningPlan:
        """Read a plan; `PruningPlan.from_json(plan.to_json()) == plan`.

        Raises:
            ModelLoadError: Not such a plan, or one that another version wrote.
        """
        return _Reader().plan(text)


def compare(original: nn.Module, pruned: nn.Module, kept: Mapping[Axis, Sequence[int]]) -> PruningPlan:
    """The plan that turns `original` into `pruned`, whose modules have the same paths."""
    layers: dict[str, LayerPlan] = {}
    sides: dict[str, dict[str, tuple[int, ...]]] = {}
    for (path, side), channels in sorted(kept.items()):
        sides.setdefault(path, {})[side] = tuple(channels)
    after = dict(pruned.named_modules())
    for path, module in original.named_modules():
        changed = {
            name: (value, now)
            for name, value in sizes_of(module).items()
            if (now := sizes_of(after[path]).get(name, value)) != value
        }
        if changed:
            layers[path] = LayerPlan(type(module).__name__, changed, sides.get(path, {}))
    shapes = {name: tuple(tensor.shape) for name, tensor in pruned.state_dict().items()}
    tensors = {
        name: (tuple(tensor.shape), shapes[name])
        for name, tensor in original.state_dict().items()
        if tuple(tensor.shape) != shapes[name]
    }
    return PruningPlan(type(original).__name__, layers, tensors)


def sizes_of(module: nn.Module) -> dict[str, Size]:
    """Attributes of a module that are integers or tuples of them."""
    found: dict[str, Size] = {}
    for name, value in vars(module).items():
        is_tuple = isinstance(value, tuple) and value and all(type(item) is int for item in value)
        if type(value) is int or is_tuple:
            found[name] = value if type(value) is int else tuple(value)
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


class _Reader:
    """Builds a plan from JSON; `_fail` says where it went wrong."""

    def plan(self, text: str) -> PruningPlan:
        if len(text) > LARGEST_PLAN_BYTES:
            raise self._fail(f"has {len(text)} characters, more than {LARGEST_PLAN_BYTES}")
        try:
            value = json.loads(text, object_pairs_hook=_only_once, parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            raise self._fail(f"is not valid JSON: {error}") from error
        self._keys(value, {"format", "version", "model", "layers", "tensors"}, "the plan")
        if value["format"] != FORMAT or type(value["version"]) is not int or value["version"] != VERSION:
            found = f"{value['format']!r} version {value['version']!r}"
            raise self._fail(f"is {found}; this version reads '{FORMAT}' version {VERSION}")
        if not isinstance(value["model"], str):
            raise self._fail("names no model")
        layers = {path: self._layer(path, layer) for path, layer in self._table(value["layers"], "layers").items()}
        tensors = {
            name: self._change(pair, f"tensor {name}", self._shape)
            for name, pair in self._table(value["tensors"], "tensors").items()
        }
        return PruningPlan(value["model"], layers, tensors)

    def _layer(self, path: str, value: Any) -> LayerPlan:
        where = f"module {path}"
        self._keys(value, {"kind", "attributes", "kept"}, where)
        if not isinstance(value["kind"], str):
            raise self._fail(f"{where} has no kind")
        attributes = {
            name: self._change(pair, f"{where}.{name}", self._size)
            for name, pair in self._table(value["attributes"], where).items()
        }
        kept = {
            side: self._shape(channels, f"kept channels of {path}", low=0)
            for side, channels in self._table(value["kept"], where).items()
        }
        return LayerPlan(value["kind"], attributes, kept)

    def _change(self, value: Any, where: str, read: Any) -> tuple[Any, Any]:
        if not isinstance(value, list) or len(value) != 2:
            raise self._fail(f"{where} must be [before, after], found {_short(value)}")
        before, after = (read(item, where) for item in value)
        pairs = zip(_tuple(before), _tuple(after), strict=False)
        if len(_tuple(before)) != len(_tuple(after)) or any(new > old for old, new in pairs):
            raise self._fail(f"{where} grows from {before} to {after}; pruning only makes smaller")
        return before, after

    def _size(self, value: Any, where: str) -> Size:
        return self._shape(value, where) if isinstance(value, list) else self._shape([value], where)[0]

    def _shape(self, value: Any, where: str, low: int = 1) -> tuple[int, ...]:
        if not isinstance(value, list) or any(type(item) is not int or not low <= item < 2**40 for item in value):
            raise self._fail(f"{where} must be sizes from {low} up, found {_short(value)}")
        return tuple(value)

    def _table(self, value: Any, where: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self._fail(f"{where} must be a table, found {_short(value)}")
        return value

    def _keys(self, value: Any, wanted: set[str], where: str) -> None:
        found = set(self._table(value, where))
        if found != wanted:
            raise self._fail(f"{where} has the keys {sorted(found)}, wanted {sorted(wanted)}")

    def _fail(self, what: str) -> ModelLoadError:
        return ModelLoadError(f"the pruning plan {what}", hint="use a file that `Pruned.save` wrote, unchanged")


def _tuple(size: Size) -> tuple[int, ...]:
    return size if isinstance(size, tuple) else (size,)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 80 else f"{text[:77]}..."


def _only_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        double = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {double!r} is there twice")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")
