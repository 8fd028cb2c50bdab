from __future__ import annotations

import dataclasses

import click
import pytest
from click.testing import CliRunner

from edgekit.cli.compress import compress
from edgekit.cli.fields import fields, set_option
from edgekit.errors import RecipeError
from edgekit.types.recipe import Recipe


def given(*words: str) -> dict[str, object]:
    """What the flags of `compress` say, by field."""
    context = compress.make_context("compress", ["model.onnx", *words])
    return fields(context)


def test_without_flags_no_field_is_given() -> None:
    assert given() == {}


@pytest.mark.parametrize(
    ("words", "field", "value"),
    [
        (["--calibration", "photos"], "calibration.data", "photos"),
        (["--preprocess", "imagenet"], "calibration.preprocessing", "imagenet"),
        (["--input", "x:1x3", "--input", "y:1x4:int64"], "model.inputs", ("x:1x3", "y:1x4:int64")),
        (["--model", "net.py:build"], "model.factory", "net.py:build"),
        (["--io", "int8"], "emit.io", "int8"),
        (["--formats", "onnx-int8, tflite-int8"], "emit.formats", ("onnx-int8", "tflite-int8")),
        (["--eval", "labelled"], "evaluation.data", "labelled"),
        (["--samples", "7"], "calibration.samples", 7),
        (["--held-back", "0.5"], "calibration.held_back", 0.5),
        (["--seed", "9"], "calibration.seed", 9),
        (["--set", "quantize.pair_safe=false"], "quantize.pair_safe", False),
        (["--set", "quantize.range=mse"], "quantize.range", "mse"),
        (["--set", 'quantize.float_modules=["head.*", "stem"]'], "quantize.float_modules", ("head.*", "stem")),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_flag_is_a_field_of_the_recipe(words: list[str], field: str, value: object) -> None:
    table, _, key = field.partition(".")
    recipe = Recipe().with_fields(given(*words))
    assert getattr(getattr(recipe, table), key) == value
    default = Recipe()
    expected = dataclasses.replace(default, **{table: dataclasses.replace(getattr(default, table), **{key: value})})
    assert recipe == expected, "and it changes no other field"


def test_the_help_shows_the_recipes_own_defaults() -> None:
    shown = " ".join(CliRunner().invoke(compress, ["--help"], terminal_width=200).output.split())
    for default in ("128", "0.25", "float", "onnx-fp32,onnx-int8,onnx-x86,onnx-qop,tflite-int8"):
        assert f"[default: {default}]" in shown


@pytest.mark.parametrize(
    "words", [["--set", "quantize.rnage=mse"], ["--set", "quantize.pair_safe=yes"], ["--samples", "0"]]
)
def test_an_impossible_field_is_a_recipe_error(words: list[str]) -> None:
    with pytest.raises(RecipeError):
        Recipe().with_fields(given(*words))


def test_an_input_that_is_none_is_refused_before_any_work() -> None:
    with pytest.raises(click.BadParameter, match="not an input"):
        given("--input", "1x3x224x224")


def test_formats_are_completed_after_a_comma() -> None:
    kind = next(parameter.type for parameter in compress.params if parameter.name == "emit_formats")
    parameter = click.Option(["--formats"])
    context = click.Context(compress)
    offered = [item.value for item in kind.shell_complete(context, parameter, "onnx-int8,onnx-")]
    assert offered == ["onnx-int8,onnx-fp32", "onnx-int8,onnx-x86", "onnx-int8,onnx-qop"]


def test_set_takes_any_toml_value() -> None:
    @click.command()
    @set_option
    def verb() -> None: ...

    context = verb.make_context("verb", ["--set", "a.b=1.5", "--set", "a.c=word", "--set", "a.d="])
    assert fields(context) == {"a.b": 1.5, "a.c": "word", "a.d": ""}
