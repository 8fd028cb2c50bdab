"""What every written file says about itself, as strings under keys that begin with "edgekit."."""

from __future__ import annotations

from edgekit import digest
from edgekit.types.graph import QuantizedGraph
from edgekit.types.model import Model
from edgekit.types.preprocessing import Preprocessing
from edgekit.types.recipe import Recipe
from edgekit.version import __version__


def describe(
    model: Model, recipe: Recipe, *, preprocessing: Preprocessing | None, quantized: QuantizedGraph | None = None
) -> dict[str, str]:
    """Metadata of a file made from `model`.

    Nothing in it depends on the time or the machine: the same model, data and recipe give the same bytes.

    Args:
        model: What was loaded.
        recipe: The settings of the run.
        preprocessing: How an image becomes the input, if inputs are images.
        quantized: For int8 files, adds the scale and zero point of every quantized input and output, also where the
            file itself takes and gives floats.
    """
    strings = {
        "edgekit.version": __version__,
        "edgekit.model": model.name,
        "edgekit.source.sha256": model.digest,
        "edgekit.recipe.sha256": digest.of_bytes(_settings(recipe).to_toml().encode()),
    }
    if preprocessing is not None:
        strings["edgekit.preprocessing"] = digest.canonical_json(preprocessing.to_dict())
    if quantized is not None:
        border = [*quantized.graph.inputs, *quantized.graph.outputs]
        scales = {
            name: {"scale": float(quantized.qparams[name].scale), "zero_point": int(quantized.qparams[name].zero_point)}
            for name in border
            if name in quantized.qparams
        }
        strings["edgekit.scales"] = digest.canonical_json(scales)
    return strings


def _settings(recipe: Recipe) -> Recipe:
    """The recipe without the places of its files: moving a project must not change the bytes it gives."""
    return recipe.with_fields({"model.factory": "", "calibration.data": "", "evaluation.data": ""})
