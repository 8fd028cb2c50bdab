"""Flags that are fields of the recipe: what the user gave is gathered by field, in order to be put over a recipe."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from typing import Any, TypeVar

import click

from edgekit.types.recipe import Recipe

F = TypeVar("F", bound=Callable[..., object])

_GIVEN = "edgekit.fields"


def field_option(
    field: str,
    flag: str,
    *,
    text: str,
    metavar: str | None = None,
    kind: click.ParamType[Any] | None = None,
    repeated: bool = False,
) -> Callable[[F], F]:
    """A flag for one field; the default that the help shows is the recipe's own, so the two cannot part.

    Args:
        field: Dotted path in the recipe, for example "calibration.samples".
        flag: For example "--samples".
        text: What the help says.
        metavar: What the help calls the value.
        kind: click type of the value; None takes it from the field's default.
        repeated: The flag may be given several times, for a field that is a list.
    """
    table, _, key = field.partition(".")
    default = getattr(getattr(Recipe(), table), key)
    shown = ",".join(default) if isinstance(default, tuple) else "" if default is None else str(default)

    def remember(context: click.Context, parameter: click.Parameter, value: object) -> None:
        absent = value is None or (repeated and value == ())  # a list that was given empty is for the recipe to refuse
        if not absent:
            fields(context)[field] = list(value) if isinstance(value, tuple) else value

    return click.option(
        flag,
        field.replace(".", "_"),
        type=kind or type(default),
        metavar=metavar,
        multiple=repeated,
        expose_value=False,
        callback=remember,
        help=f"{text}  [default: {shown}]" if shown else text,
    )


def set_option(command: F) -> F:
    """`--set KEY=VALUE`: any field, also those without a flag of their own."""

    def remember(context: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> None:
        for assignment in value:
            key, _, text = assignment.partition("=")
            fields(context)[key.strip()] = _toml_value(text.strip())

    return click.option(
        "--set",
        "_set",
        metavar="KEY=VALUE",
        multiple=True,
        expose_value=False,
        callback=remember,
        help="Any field of the recipe, as TOML: quantize.weight_only=true.",
    )(command)


def fields(context: click.Context) -> dict[str, object]:
    """Dotted field -> value, of the flags that were given."""
    found = context.meta.setdefault(_GIVEN, {})
    assert isinstance(found, dict)
    return found


def _toml_value(text: str) -> object:
    """A TOML value; a bare word is a text."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
