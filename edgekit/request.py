"""Request: what was asked for, with the recipe's word where an argument was left out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgekit.budget import refuse_contradictions
from edgekit.check.accuracy import Metric
from edgekit.errors import RecipeError
from edgekit.targets.variants import formats_of
from edgekit.types.artifact import FORMATS, Format, with_int4_weights
from edgekit.types.decided import DecidedModel
from edgekit.types.notation import write_preprocessing
from edgekit.types.preprocessing import Preprocessing
from edgekit.types.recipe import FILES, Recipe
from edgekit.types.spec import TensorSpec


@dataclass(frozen=True, eq=False)
class Request:
    """One run, settled.

    Attributes:
        model: A live module or a path.
        calibration: Data in any form, or None.
        inputs: Declared inputs; empty when nobody declared any.
        factory: What builds the module of a state dict, or None.
        preprocessing: For images: a spec, its short text, or None.
        evaluation: Labelled data in any form, or None.
        metric: What scores a labelled sample: a function, its place, or None for top-1.
        recipe: All settings, with the arguments that a recipe can hold written into it.
    """

    model: object
    calibration: object
    inputs: tuple[TensorSpec, ...]
    factory: str | None
    preprocessing: Preprocessing | str | None
    evaluation: object
    metric: Metric | str | None
    recipe: Recipe


def settle(
    model: object,
    *,
    calibration: object,
    inputs: Sequence[TensorSpec],
    factory: str | None,
    preprocessing: Preprocessing | str | None,
    evaluation: object,
    metric: Metric | str | None,
    recipe: Recipe | None,
) -> Request:
    """Put the arguments over the recipe: an explicit one, else the `edgekit.toml` beside the model, else the default.

    A live module that has no declared inputs takes their shapes from the first batch of calibration data.

    Raises:
        RecipeError: The recipe beside the model is not one, or asks for what excludes one another.
    """
    if recipe is None:
        recipe = Recipe.beside(Path(model)) if isinstance(model, str | os.PathLike) else Recipe()
    calibration = recipe.calibration.data or None if calibration is None else calibration
    evaluation = recipe.evaluation.data or None if evaluation is None else evaluation
    metric = recipe.evaluation.metric or None if metric is None else metric
    specs = tuple(inputs) or recipe.model.specs()
    if not isinstance(model, DecidedModel) and not specs and not isinstance(model, str | os.PathLike):
        specs, calibration = _inputs_from_data(model, calibration)
    factory = factory or recipe.model.factory or None
    preprocessing = preprocessing or recipe.calibration.preprocessing or None
    written = recipe.with_fields(
        {
            "model.factory": factory or "",
            "model.inputs": [str(spec) for spec in specs],
            "calibration.data": _place(calibration),
            "calibration.preprocessing": write_preprocessing(preprocessing)
            if isinstance(preprocessing, Preprocessing)
            else preprocessing or "",
            "evaluation.data": _place(evaluation),
            "evaluation.metric": metric if isinstance(metric, str) else "",
        }
    )
    refuse_contradictions(written, labelled=evaluation is not None)
    return Request(model, calibration, specs, factory, preprocessing, evaluation, metric, written)


def wanted_formats(recipe: Recipe) -> tuple[Format, ...]:
    """The files of every run that this one is to write: those asked for, and the general ones its targets use.

    Raises:
        RecipeError: A target that there is not.
    """
    asked = tuple(name for name in FORMATS if name in recipe.emit.formats)
    if recipe.quantize.weight_bits == 4:
        return with_int4_weights(asked)
    return (*asked, *(name for name in formats_of(recipe.emit.targets, asked) if name in FORMATS))


def refuse_overwriting(model: object, out: Path) -> None:
    """A model called like one of the files is not to be replaced by what was made from it.

    Raises:
        RecipeError: `out` is the model's own folder, and a file of the run would have the model's name.
    """
    if not isinstance(model, str | os.PathLike):
        return
    source = Path(model).expanduser().resolve()
    if source in {(out / name).resolve() for name in FILES.values()}:
        raise RecipeError(
            f"the folder {out} holds the model itself, and the run would overwrite {source.name}",
            hint="choose another folder with --out",
        )


def _inputs_from_data(model: object, data: object) -> tuple[tuple[TensorSpec, ...], object]:
    from torch import nn  # only a live module needs torch here

    from edgekit.load.first_batch import inputs_from_data

    return inputs_from_data(model, data) if isinstance(model, nn.Module) else ((), data)


def _place(data: object) -> str:
    """Where data lies, when it has a place that a recipe can name."""
    return str(data) if isinstance(data, str | os.PathLike) else ""
