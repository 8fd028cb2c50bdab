"""Terminal: what goes to the person and what goes to the next program.

Results go to stdout and nothing else does: with `--json` it holds one JSON document, also for an error. Progress,
notes and logs go to stderr.
"""

from __future__ import annotations

import json
import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, Any, TypeVar

import click

from edgekit.errors import EdgekitError, MissingExtraError
from edgekit.types.progress import Progress, Silent

if TYPE_CHECKING:
    from rich.console import Console

F = TypeVar("F", bound=Callable[..., object])


class Terminal:
    """Where the command line writes. One per run.

    Attributes:
        json: stdout gets one JSON document.
        told: It has been written.
        quiet: No progress and no notes; errors still show.
        verbose: Warnings and debug logs of every library show.
        command: The command line that was given, for the report.
    """

    def __init__(self, command: str = "edgekit") -> None:
        self.command = command
        self.json = False
        self.told = False
        self.quiet = False
        self.verbose = False

    def note(self, text: str) -> None:
        """A line for the person, on stderr; see `visible`."""
        if not self.quiet:
            click.echo(visible(text), err=True)

    def result(self, document: object) -> None:
        """The result as JSON, on stdout."""
        self.told = True
        text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
        click.echo(text.encode(errors="backslashreplace").decode())  # of names that are no UTF-8: an escape of JSON

    def show_error(self, error: EdgekitError) -> None:
        """The message and its hint; as JSON on stdout too when that was asked for and no result stands there yet."""
        click.echo(f"{click.style('error:', fg='red', bold=True)} {visible(str(error))}", err=True)
        if error.hint:
            click.echo(f"{click.style('hint:', bold=True)} {visible(error.hint)}", err=True)
        if self.json and not self.told:
            name = type(error).__name__
            self.result(
                {"error": {"type": name, "message": str(error), "hint": error.hint, "exit_code": error.exit_code}}
            )

    @contextmanager
    def work(self) -> Iterator[Progress]:
        """The time of a library call: progress on stderr, and whatever a library prints goes there too.

        Warnings are held back unless `verbose`: those that matter to the user are findings in the report.
        """
        console = _console(sys.stderr)
        with _logs(console, level=logging.DEBUG if self.verbose else logging.ERROR), redirect_stdout(sys.stderr):
            warnings.simplefilter("default" if self.verbose else "ignore")
            if self.quiet:
                yield Silent()
            else:
                from edgekit.cli.progress import watch

                with watch(console) as progress:
                    yield progress


@contextmanager
def needing(extra: str) -> Iterator[None]:
    """The imports of a verb's work: what is not installed there becomes an error that names the extra.

    Raises:
        MissingExtraError: A package of another project is absent.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").split(".")[0]
        if isinstance(error, EdgekitError) or package in ("", "edgekit"):
            raise
        raise MissingExtraError(package, extra=extra) from error


def output_options(command: F) -> F:
    """`--json`, `--quiet` and `--verbose`, which every verb that does work has; they set the Terminal."""

    def flag(name: str, attribute: str, text: str) -> Callable[[F], F]:
        def remember(context: click.Context, parameter: click.Parameter, value: bool) -> None:
            setattr(context.ensure_object(Terminal), attribute, value)

        return click.option(name, is_flag=True, expose_value=False, callback=remember, help=text)

    for add in (
        flag("--verbose", "verbose", "Show warnings and debug logs of every library."),
        flag("--quiet", "quiet", "Show errors only."),
        flag("--json", "json", "Write the result, or the error, to stdout as one JSON document."),
    ):
        command = add(command)
    return command


def visible(text: str) -> str:
    """A message as it may be shown: it may quote a server, so what would paint on the screen becomes an escape."""
    return "".join(letter if letter.isprintable() or letter in "\n\t" else _escape(letter) for letter in text)


def _escape(letter: str) -> str:
    return letter.encode("unicode_escape").decode()


def _console(stream: Any) -> Console:
    from rich.console import Console

    return Console(file=stream)


@contextmanager
def _logs(console: Console, *, level: int) -> Iterator[None]:
    """Logs and warnings of every library on `console`; the settings of before come back afterwards."""
    from rich.logging import RichHandler

    root = logging.getLogger()
    handler, before = RichHandler(console=console, show_time=False, show_path=False), root.level
    root.addHandler(handler)
    root.setLevel(level)
    with warnings.catch_warnings():
        logging.captureWarnings(True)
        try:
            yield
        finally:
            logging.captureWarnings(False)
            root.removeHandler(handler)
            root.setLevel(before)
