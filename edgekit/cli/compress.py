"""`edgekit compress`: the flags put over a recipe, and one library call with it."""

from __future__ import annotations

from pathlib import Path

import click

from edgekit.cli.fields import field_option, fields, set_option
from edgekit.cli.terminal import Terminal, needing, output_options
from edgekit.cli.training_flags import training_options
from edgekit.cli.values import InputText, NameList
from edgekit.types.artifact import FORMATS
from edgekit.types.recipe import BACKENDS, EFFORTS, IO, Recipe
from edgekit.types.target import TARGETS

EXAMPLES = """\b
Examples:
  edgekit compress model.pt2 --calibration photos/ --preprocess imagenet
  edgekit compress weights.pt --model net.py:build --input x:1x3x224x224 --calibration x.npz
  edgekit compress model.onnx --calibration photos/ --preprocess mean=127,std=128 --eval labelled/ --max-drop 0.5
  edgekit compress model.pt2 --calibration photos/ --effort thorough --min-sqnr 24 --max-size 5.2MB
  edgekit compress model.pt                    (as edgekit.toml beside it says, else without data)
  edgekit compress model.pt2 --calibration photos/ --for host,arm,tensorrt
  edgekit compress weights.pt --model net.py:build --train data.py:loader --prune 1.5x --distill self --qat 2ep
  edgekit compress model.onnx --recipe edgekit-out/recipe.toml --json > report.json
"""


@click.command(epilog=EXAMPLES, short_help="Turn a model into int8 ONNX and int8 TFLite files.")
@click.argument("model", type=click.Path(path_type=Path), metavar="MODEL")
@field_option(
    "calibration.data",
    "--calibration",
    metavar="DATA",
    text="Unlabelled inputs: a folder of images, .npz, .npy, or module:function that yields batches.",
)
@field_option(
    "calibration.preprocessing",
    "--preprocess",
    metavar="SPEC",
    text="How an image becomes the input: imagenet, lite, 0..1, -1..1, or mean=127,std=128,size=224.",
)
@field_option(
    "model.inputs",
    "--input",
    kind=InputText(),
    repeated=True,
    text="An input that the file does not describe, for example x:1x3x224x224. May be repeated.",
)
@field_option(
    "model.factory",
    "--model",
    metavar="MODULE:NAME",
    text="What builds the module of a state dict: package.module:name, or file.py:name.",
)
@click.option("--trust-pickle", is_flag=True, help="Unpickle a whole module. This runs whatever code the file holds.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("edgekit-out"),
    show_default=True,
    help="Folder for the files and the report.",
)
@click.option(
    "--recipe",
    "recipe_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Settings in TOML; flags win over it.  [default: edgekit.toml beside MODEL]",
)
@field_option("emit.io", "--io", kind=click.Choice(IO), text="Element type of the files' inputs and outputs.")
@field_option("emit.formats", "--formats", kind=NameList(FORMATS), text="Which files to write.")
@field_option(
    "emit.targets",
    "--for",
    kind=NameList(TARGETS),
    text="Also write the file that is right and fast for each of these: x86-avx2, x86-vnni, arm, xnnpack, tensorrt, "
    "qnn, or host (this machine's CPU, found by running candidates).",
)
@field_option(
    "evaluation.data", "--eval", metavar="DATA", text="Labelled inputs, for the accuracy with its confidence interval."
)
@field_option(
    "evaluation.metric",
    "--metric",
    metavar="MODULE:NAME",
    text="What scores a labelled sample, higher is better: a function of (outputs, label); without it, top-1.",
)
@field_option(
    "quantize.effort", "--effort", kind=click.Choice(EFFORTS), text="How far to climb for accuracy; fast is one pass."
)
@field_option(
    "budget.seconds", "--time-budget", metavar="SECONDS", text="Begin no further rung after this; 0: no limit."
)
@field_option(
    "budget.max_drop",
    "--max-drop",
    kind=click.FLOAT,
    metavar="POINTS",
    text="Largest loss of the metric against float on the same labelled samples, points.",
)
@field_option("budget.min_sqnr", "--min-sqnr", kind=click.FLOAT, metavar="DB", text="Smallest SQNR of the outputs, dB.")
@field_option(
    "budget.min_agreement",
    "--min-agreement",
    kind=click.FLOAT,
    metavar="SHARE",
    text="Smallest share of samples with the float model's top-1, 0..1.",
)
@field_option("budget.max_size", "--max-size", metavar="SIZE", text="Largest size of a file, for example 5.2MB.")
@field_option(
    "budget.max_latency_ratio",
    "--max-latency-ratio",
    kind=click.FLOAT,
    metavar="RATIO",
    text="Largest time of this machine's file, as a share of the float file's.",
)
@field_option("quantize.weight_bits", "--weight-bits", metavar="BITS", text="8, or 4: int4 weights, float activations.")
@field_option("quantize.backend", "--backend", kind=click.Choice(BACKENDS), text="Who decides scales and integers.")
@field_option("calibration.samples", "--samples", metavar="N", text="Take at most N samples from the data.")
@field_option("calibration.held_back", "--held-back", metavar="SHARE", text="Share kept out of it, for the check.")
@field_option("calibration.seed", "--seed", metavar="N", text="Of every random choice.")
@training_options
@set_option
@output_options
@click.pass_context
def compress(
    context: click.Context, /, *, model: Path, trust_pickle: bool, out: Path, recipe_file: Path | None
) -> None:
    """Turn a trained model into int8 ONNX and int8 TFLite files, check them, and report.

    MODEL is a torch.export program (.pt2), TorchScript, a state dict (.pt, .pth, .safetensors) with --model, or a
    float ONNX file. Without --calibration, inputs are synthesized to match the model's BatchNorm statistics, or only
    the weights become int8; the report says what that costs.

    With --train, the model is pruned, distilled and trained for int8 first, as far as asked for. Such a run that was
    killed goes on where it was when the same command is given again.
    """
    recipe = Recipe.from_file(recipe_file) if recipe_file else Recipe.beside(model)
    recipe = recipe.with_fields(fields(context))
    terminal = context.ensure_object(Terminal)
    with terminal.work() as progress:
        with needing("compress"):
            from edgekit.pipeline import compress as compress_model

        result = compress_model(
            model,
            trust_pickle=trust_pickle,
            out=out,
            recipe=recipe,
            progress=progress,
            command=terminal.command,
        )
    if terminal.json:
        terminal.result(result.report.to_dict())
    elif not terminal.quiet:
        from rich.console import Console

        from edgekit.report.terminal import show_report

        console = Console()
        show_report(result.report, console)
        console.print(f"\nThe files, report.md and recipe.toml are in [bold]{out}[/].", highlight=False)
    result.raise_for_budget()
