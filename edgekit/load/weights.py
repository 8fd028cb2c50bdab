"""State dicts: found inside whatever a training script saved, matched with a module's names, loaded strictly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from edgekit.errors import ModelLoadError
from edgekit.types.finding import Finding, Severity

AVERAGED = ("state_dict_ema", "ema_state_dict", "model_ema", "ema_model", "params_ema", "ema")
"""Keys of averaged weights. They come first, as in timm: they are what was evaluated."""

USUAL = ("state_dict", "model_state_dict", "model_state", "model", "net", "network", "params", "weights", "module")
WRAPPERS = ("module.", "_orig_mod.", "model.", "net.", "network.")
"""What DataParallel, torch.compile, Lightning and habit put before every name."""

_NOT_WEIGHTS = ("optim", "sched", "scaler", "amp", "loss", "criterion")
_DEPTH = 3
_EXAMPLES = 4


@dataclass(frozen=True, eq=False)
class Weights:
    """A state dict inside a checkpoint.

    Attributes:
        key: Where it was, for example "state_dict"; "" for the whole file.
        tensors: Parameter and buffer name -> tensor.
    """

    key: str
    tensors: Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class _Fit:
    """One state dict, less one prefix, against a module's own names."""

    weights: Weights
    prefix: str
    tensors: Mapping[str, Tensor]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    reshaped: tuple[str, ...]

    @property
    def misfits(self) -> int:
        return len(self.missing) + len(self.unexpected) + len(self.reshaped)


def find_weights(checkpoint: object) -> list[Weights]:
    """Every state dict in a loaded checkpoint, the most likely first: averaged weights, the usual keys, others."""
    return sorted(_walk(checkpoint, "", depth=0), key=lambda weights: _rank(weights.key))


def load_weights(module: nn.Module, candidates: list[Weights], *, maker: str) -> tuple[Finding, ...]:
    """Copy the first candidate that fits the module exactly into it.

    A wrapper's prefix is taken off where that makes the names fit; `num_batches_tracked` may be missing, since
    inference does not read it.

    Args:
        module: Changed in place, only when everything fits.
        candidates: From `find_weights`, at least one.
        maker: Where the module came from, for messages.

    Raises:
        ModelLoadError: None fits; the message is about the closest.
    """
    expected = module.state_dict()
    fits = [_fit(weights, prefix, expected) for weights in candidates for prefix in _prefixes(weights.tensors)]
    good = next((fit for fit in fits if fit.misfits == 0), None)
    if good is None:
        raise _misfit(min(fits, key=lambda fit: fit.misfits), expected, maker)
    try:
        module.load_state_dict({**expected, **good.tensors})
    except Exception as error:  # hooks of the user's own modules
        raise ModelLoadError(f"{maker} refuses the weights: {error}") from error
    return tuple(_notes(good, candidates))


def _walk(value: object, key: str, *, depth: int) -> Iterator[Weights]:
    if not isinstance(value, Mapping) or not value:
        return
    if all(isinstance(item, Tensor) or str(name).endswith("_extra_state") for name, item in value.items()):
        tensors = {str(name): item for name, item in value.items() if isinstance(item, Tensor)}
        if tensors and all(isinstance(name, str) for name in value):
            yield Weights(key, tensors)
    elif depth < _DEPTH:
        for name, item in value.items():
            if isinstance(name, str) and not name.lower().startswith(_NOT_WEIGHTS):
                yield from _walk(item, f"{key}.{name}" if key else name, depth=depth + 1)


def _rank(key: str) -> tuple[int, int]:
    last = key.rpartition(".")[2].lower()
    if any(name in key.lower().split(".") for name in AVERAGED):
        return 0, 0
    return (1, USUAL.index(last)) if last in USUAL else (2, 0)


def _prefixes(tensors: Mapping[str, Tensor]) -> list[str]:
    """The empty prefix, then every chain of up to three wrappers that some name starts with."""
    found = [""]
    for _ in range(3):
        longer = [prefix + wrapper for prefix in found for wrapper in WRAPPERS]
        found += [p for p in longer if p not in found and any(name.startswith(p) for name in tensors)]
    return found


def _fit(weights: Weights, prefix: str, expected: Mapping[str, Tensor]) -> _Fit:
    tensors = {name.removeprefix(prefix): t for name, t in weights.tensors.items() if name.startswith(prefix)}
    missing = tuple(n for n in expected if n not in tensors and not n.endswith("num_batches_tracked"))
    unexpected = tuple(name for name in tensors if name not in expected)
    reshaped = tuple(
        name
        for name, tensor in tensors.items()
        if name in expected and not nn.parameter.is_lazy(expected[name]) and tensor.shape != expected[name].shape
    )
    return _Fit(weights, prefix, tensors, missing, unexpected, reshaped)


def _misfit(fit: _Fit, expected: Mapping[str, Tensor], maker: str) -> ModelLoadError:
    parts = [f"{len(n)} {what} ({_some(n)})" for what, n in (("missing", fit.missing), ("unexpected", fit.unexpected))]
    shapes = [f"{n} is {_size(fit.tensors[n])}, the module has {_size(expected[n])}" for n in fit.reshaped]
    parts.append(f"{len(shapes)} of another shape ({_some(shapes)})")
    said = ", ".join(part for part, names in zip(parts, (fit.missing, fit.unexpected, shapes), strict=True) if names)
    where = f" under '{fit.weights.key}'" if fit.weights.key else ""
    if fit.reshaped and not fit.missing and not fit.unexpected:
        hint = "the names fit: let the factory build the same sizes, for example the number of classes"
    elif not any(name in fit.tensors for name in expected):
        hint = "no name fits: this factory builds another network, or the file holds another part of it"
    else:
        hint = "let the factory build the network exactly as it was trained"
    return ModelLoadError(
        f"the {len(fit.weights.tensors)} tensors{where} do not fit the {len(expected)} of {maker}: {said}", hint=hint
    )


def _notes(fit: _Fit, candidates: list[Weights]) -> Iterator[Finding]:
    if len(candidates) > 1:
        others = ", ".join(f"'{other.key}'" for other in candidates if other is not fit.weights)
        yield Finding(
            "weights-chosen",
            f"the checkpoint holds several sets of weights; '{fit.weights.key}' is used, not {others}",
            Severity.NOTE,
            hint="to use another, save it alone: torch.save(checkpoint[KEY], 'weights.pt')",
        )
    outside = len(fit.weights.tensors) - len(fit.tensors)
    if outside:
        message = f"{outside} tensor(s) outside '{fit.prefix}' belong to no part of the module and were left out"
        yield Finding("weights-left-out", message, Severity.NOTE)


def _some(names: tuple[str, ...] | list[str]) -> str:
    return ", ".join(names[:_EXAMPLES]) + (", ..." if len(names) > _EXAMPLES else "")


def _size(tensor: Tensor) -> str:
    return "x".join(str(size) for size in tensor.shape) or "scalar"
