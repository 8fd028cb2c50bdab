"""Pruning, as a training script imports it: a smaller copy of a module, its file, and the way back.

pruned = edgekit.prune(model, torch.randn(1, 3, 32, 32), speedup=2.0)
train(pruned.model)
pruned.save("net.safetensors")
model = edgekit.load_pruned(Net, "net.safetensors")
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from torch import Tensor, nn

from edgekit.errors import ModelLoadError, RecipeError
from edgekit.load.factory import build_module
from edgekit.shrink.pruning.importance import Loss
from edgekit.shrink.pruning.latency_search import prune_to_latency
from edgekit.shrink.pruning.pruned import Pruned
from edgekit.shrink.pruning.pruner import prune_module
from edgekit.shrink.pruning.saving import restore
from edgekit.shrink.pruning.settings import Evidence, PruneSettings
from edgekit.shrink.pruning.target import read_target
from edgekit.shrink.pruning.tracing import Example
from edgekit.training.int8_timing import Int8Timer
from edgekit.types.progress import Progress
from edgekit.types.strict_table import one_of

SCHEDULES = ("one-shot", "iterative")
STEPS = 5
"""Rounds of an iterative schedule when none are named."""


def prune(
    model: nn.Module,
    example: Example,
    *,
    speedup: float | None = None,
    macs: float | str | None = None,
    size: int | str | None = None,
    latency: float | None = None,
    importance: str | None = None,
    scope: str = "global",
    round_to: int = 8,
    max_ratio: float = 0.9,
    ignore: Sequence[str] = (),
    schedule: str = "one-shot",
    steps: int | None = None,
    data: Iterable[object] | None = None,
    loss: Loss | None = None,
    train: Callable[[nn.Module], object] | None = None,
    repair: bool = True,
    seed: int = 0,
    progress: Progress | None = None,
) -> Pruned:
    """Cut channels, heads and hidden units out of a copy of a module, until one target is met.

    What belongs together is cut together (residual additions, concatenation, depthwise and grouped convolutions,
    attention, LSTM); outputs keep their channels. Every group of layers is tried before it is trusted, and one that the
    module's code cannot do without is left alone, with a finding that says why. The smaller module needs training.

    Args:
        model: Any module; left as it was. Its training flags are kept in the copy.
        example: Arguments of one call: a tensor, or a tuple or dict of them. Their shapes decide what a MAC count is.
        speedup: So many times fewer MACs, above 1.
        macs: At most so many MACs; a number or a text such as "20M".
        size: At most so many bytes of float32 weights; a number or a text such as "1MB".
        latency: At most this share of the time that the unpruned module's int8 file takes on this CPU.
        importance: "group-norm", "taylor", "bn-scale" or "lamp"; without a choice, "taylor" where there are data and a
            loss, else "group-norm".
        scope: "global" (layers compete, by importance per saved MAC) or "local" (the same share of every layer).
        round_to: Widths become multiples of this, since odd widths are slow; a layer that is not wider stays whole. For
            nets with layers of 16 channels, 4 or 2 gives finer steps.
        max_ratio: No layer loses more than this share of its channels.
        ignore: Shell patterns of module paths that keep their output channels, for example ("head.*",).
        schedule: "one-shot", or "iterative": several rounds, with `train` in between.
        steps: Rounds of an iterative schedule; 5 without.
        data: Shuffled batches, walked through several times: inputs, or (inputs, labels). For "taylor", for
            `repair` (the first 8), and to re-estimate BatchNorm after cutting.
        loss: (module, batch) -> scalar tensor, for "taylor".
        train: Called with the module between the rounds of an iterative schedule; trains it in place.
        repair: With data, refit by least squares the layers that lost inputs, so that they say what they said before.
        seed: Of random choices.
        progress: Who watches.

    Returns:
        The smaller module with its plan, counts and findings.

    Raises:
        RecipeError: Not exactly one target, or a setting that makes no sense.
        ShrinkError: Nothing can be cut, or the target cannot be met; the message has the best that can.
    """
    target = read_target(speedup=speedup, macs=macs, size=size, latency=latency)
    one_of("schedule", schedule, SCHEDULES)
    if schedule == "one-shot" and (steps or 1) != 1:
        raise RecipeError(f"a one-shot schedule has one step, found steps={steps}", hint='use schedule="iterative"')
    chosen = importance or ("taylor" if data is not None and loss is not None else "group-norm")
    rounds = 1 if schedule == "one-shot" else (STEPS if steps is None else steps)
    settings = PruneSettings(chosen, scope, round_to, max_ratio, _patterns(ignore), rounds, seed, repair)
    evidence = Evidence(*_walks(data), loss=loss, train=train)
    if target.kind == "latency":
        inputs = None if evidence.inputs is None else evidence.inputs()
        with TemporaryDirectory(prefix="edgekit-") as folder:
            timer = Int8Timer(model, example, inputs, workdir=Path(folder), seed=seed)
            return prune_to_latency(
                model, example, target, settings=settings, evidence=evidence, measure=timer.ratio, progress=progress
            )
    return prune_module(model, example, target, settings=settings, evidence=evidence, progress=progress)


def load_pruned(factory: Callable[[], nn.Module] | str, path: str | os.PathLike[str]) -> nn.Module:
    """Rebuild a pruned module from its original class and the file that `Pruned.save` wrote.

    Args:
        factory: Builds the unpruned module: a class or function without arguments, or its place as "module:name".
        path: The .safetensors file. It may come from anywhere: nothing in it is run.

    Raises:
        ModelLoadError: Damaged file, or a plan or weights that do not fit the class; says which module, what was
            expected and what was found.
    """
    if isinstance(factory, str):
        module = build_module(factory)
    elif callable(factory) and not isinstance(factory, nn.Module):
        module = factory()
    else:
        raise ModelLoadError(f"the factory must be a class or function, found a {type(factory).__name__}")
    if not isinstance(module, nn.Module):
        raise ModelLoadError(f"the factory gave a {type(module).__name__}, not a torch.nn.Module")
    return restore(module, Path(path))


def _patterns(ignore: Sequence[str]) -> tuple[str, ...]:
    if isinstance(ignore, str):
        raise RecipeError(
            f"ignore must be a tuple of patterns, found the text {ignore!r}", hint=f'ignore=("{ignore}",)'
        )
    return tuple(ignore)


def _walks(
    data: Iterable[object] | None,
) -> tuple[Callable[[], Iterable[object]] | None, Callable[[], Iterable[Example]] | None]:
    """Fresh walks over the batches, and over their inputs alone."""
    if data is None:
        return None, None
    batches = data if not isinstance(data, Iterator) else list(data)
    return (lambda: batches), (lambda: (_inputs_of(batch) for batch in batches))


def _inputs_of(batch: object) -> Example:
    """The arguments of forward in a batch: itself, or the first of (inputs, labels)."""
    if isinstance(batch, Tensor | Mapping):
        return batch
    if isinstance(batch, Sequence) and len(batch) > 0:
        first = batch[0]
        if isinstance(first, Tensor | Mapping | tuple | list):
            return first
    raise RecipeError(f"a batch must be a tensor, a dict, or (inputs, labels), found a {type(batch).__name__}")
