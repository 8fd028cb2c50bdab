"""Types of flag values: what click shows in the help, completes in the shell, and checks before any work starts."""

from __future__ import annotations

from collections.abc import Iterable

import click
from click.shell_completion import CompletionItem

from edgekit.errors import RecipeError
from edgekit.types.notation import read_input


class InputText(click.ParamType[str]):
    """`NAME:1x3x224x224[:dtype]`, kept as text because that is what a recipe holds."""

    name = "NAME:SIZES[:DTYPE]"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Refuse what is not an input."""
        try:
            read_input(value)
        except RecipeError as error:
            self.fail(f"{error}; {error.hint}" if error.hint else str(error), param, ctx)
        return value


class NameList(click.ParamType[tuple[str, ...]]):
    """Names separated by commas; the shell completes the known ones."""

    name = "LIST"

    def __init__(self, known: Iterable[str]) -> None:
        self.known = tuple(known)

    def convert(
        self, value: str | tuple[str, ...], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """The names; that each is known is for the recipe to say."""
        return value if isinstance(value, tuple) else tuple(part.strip() for part in value.split(",") if part.strip())

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """The known names that are not in the list yet."""
        head, comma, last = incomplete.rpartition(",")
        used = head.split(",")
        return [
            CompletionItem(f"{head}{comma}{name}") for name in self.known if name.startswith(last) and name not in used
        ]
