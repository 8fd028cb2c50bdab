"""The chain before the files: prune, distill or fine-tune, train for int8, as far as the recipe asks for it.

Each step hands a torch module to the next and leaves its result in the run's step folder, so that a run which was
killed goes on where it was. What comes out takes the place of the model in the rest of the run.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from edgekit.errors import InputError, RecipeError
from edgekit.load.first_batch import inputs_from_data
from edgekit.load.trainable import open_trainable
from edgekit.load.training_data import load_training_data
from edgekit.request import Request
from edgekit.simplify.simplification import Simplified
from edgekit.training.chain_steps import Chain
from edgekit.training.evaluation import open_examination
from edgekit.training.step_folder import StepFolder
from edgekit.types.finding import Finding
from edgekit.types.model import Model
from edgekit.types.progress import Progress
from edgekit.types.recipe import Recipe
from edgekit.types.spec import TensorSpec
from edgekit.types.training_summary import TrainingSummary


@dataclass(frozen=True, eq=False)
class Trained:
    """What the chain hands on.

    Attributes:
        request: The same request about the trained module, with calibration data.
        name: Of the model that was given.
        digest: Of its weights.
        summary: For the report.
        findings: Of every step.
        folder: To be removed once the run's files are written.
    """

    request: Request
    name: str
    digest: str
    summary: TrainingSummary
    findings: tuple[Finding, ...]
    folder: StepFolder

    def named(self, simplified: Simplified, loaded: Model) -> tuple[Simplified, Model]:
        """Both under the name and digest of the model that was given, not of the module that was trained."""
        graph, decided = replace(simplified.graph, name=self.name), loaded.decided
        if decided is not None:
            decided = replace(decided, name=self.name, quantized=replace(decided.quantized, graph=graph))
        return replace(simplified, graph=graph), replace(loaded, name=self.name, digest=self.digest, decided=decided)


def train_as_asked(request: Request, out: Path, workdir: Path, *, trust_pickle: bool, progress: Progress) -> Trained:
    """Run every step that the recipe asks for.

    Args:
        request: The run; its model is a live module, a state dict or a pickled module.
        out: Output folder of the run; the step folder lies beside it.
        workdir: For temporary files.
        trust_pickle: Unpickle a whole module.
        progress: Who watches.

    Raises:
        RecipeError: Steps that need training data, and there is none.
        ModelLoadError: The source holds no module.
        ShrinkError: A target of pruning that cannot be reached.
        TrainingError: The loss is not finite.
    """
    recipe = request.recipe
    refuse_without_data(recipe)
    source = open_trainable(request.model, factory=request.factory or "", trust_pickle=trust_pickle)
    data = load_training_data(recipe.train.data) if recipe.train.data else None
    inputs = _inputs(request, source.module, data)
    folder = StepFolder(out, model=source.digest, recipe=recipe)
    examination = open_examination(request, inputs, workdir)
    chain = Chain(recipe, source, data, inputs, folder, examination, progress)
    module = chain.run()
    if request.calibration is None and data is not None:
        request = replace(request, calibration=data)
    summary = TrainingSummary(
        recipe.train.data,
        chain.examination.samples.count if chain.examination else 0,
        tuple(chain.steps),
        tuple(chain.resumed),
    )
    request = replace(request, model=module, inputs=inputs, factory=None)
    return Trained(request, source.name, source.digest, summary, (*source.findings, *chain.findings), folder)


def refuse_without_data(recipe: Recipe) -> None:
    """Stop before any work when a step that trains has nothing to train on.

    Raises:
        RecipeError: So it is.
    """
    asked = {
        "distill.teacher": recipe.distill.teacher,
        "qat.length": recipe.qat.length,
        "prune.schedule = iterative": recipe.prune.target and recipe.prune.schedule == "iterative",
        "prune.importance = taylor": recipe.prune.target and recipe.prune.importance == "taylor",
    }
    needing = [name for name, value in asked.items() if value]
    if needing and not recipe.train.data:
        raise RecipeError(
            f"{needing[0]} needs training data, and there is none",
            hint="name a DataLoader, or a function that gives one: --train data.py:loader",
        )
    if recipe.qat.length and (recipe.quantize.weight_only or recipe.quantize.weight_bits == 4):
        raise RecipeError(
            "qat.length trains for int8 weights and activations, and quantize asks for other files",
            hint="leave out quantize.weight_only and quantize.weight_bits",
        )


def _inputs(request: Request, module: nn.Module, data: Iterable[Any] | None) -> tuple[TensorSpec, ...]:
    """The module's inputs: as declared, else as the first batch of any data says.

    Raises:
        InputError: Nobody says.
    """
    if request.inputs:
        return request.inputs
    for source in (data, request.calibration):
        if source is not None:
            specs, _ = inputs_from_data(module, source)
            if specs:
                return specs
    raise InputError(
        "the shapes of the model's inputs are not known",
        hint="declare each: --input x:1x3x224x224",
    )
