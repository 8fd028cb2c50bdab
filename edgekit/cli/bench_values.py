"""Flags that the verbs of `edgekit bench` share: which devices, with how many threads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click
from click.shell_completion import CompletionItem

F = TypeVar("F", bound=Callable[..., object])

PROVIDERS = ("cpu", "xnnpack", "cuda", "tensorrt")
URIS = ("local:", "ssh://", "adb:", "qemu-user:cortex-a72", "qemu-user:cortex-a53", "qemu-system:cortex-a76")
"""What the shell offers for --on; addresses are the user's."""
MOST_THREADS = 1024


class Counts(click.ParamType[tuple[int, ...]]):
    """Whole numbers from 1, separated by commas."""

    name = "N[,N...]"

    def convert(
        self, value: str | tuple[int, ...], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """The numbers, each once."""
        if isinstance(value, tuple):
            return value
        parts = [part.strip() for part in value.split(",") if part.strip()]
        if not parts or not all(part.isdecimal() and 1 <= int(part) <= MOST_THREADS for part in parts):
            self.fail(f"'{value}' is no list of whole numbers from 1 to {MOST_THREADS}", param, ctx)
        return tuple(dict.fromkeys(int(part) for part in parts))


class Uri(click.ParamType[str]):
    """A device; which ones there are is for the library to say."""

    name = "URI"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """As it is."""
        return value

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """How the kinds of devices begin."""
        return [CompletionItem(uri) for uri in URIS if uri.startswith(incomplete)]


COUNTS = Counts()


def device_options(command: F) -> F:
    """`--on`, `--runtime` and `--threads`."""
    for add in (
        click.option(
            "--threads", type=COUNTS, default="1", show_default=True, help="Thread counts, each measured on its own."
        ),
        click.option(
            "--runtime",
            type=click.Path(path_type=Path, dir_okay=False),
            metavar="FILE",
            help="Portable runtime to bring along to ssh: and adb: devices; `edgekit bench bundle` builds it.",
        ),
        click.option(
            "--on", type=Uri(), multiple=True, default=("local:",), show_default=True, help="A device. May be repeated."
        ),
    ):
        command = add(command)
    return command
