"""`edgekit demo`: a real net on real photographs, told as tables."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgekit.cli.terminal import Terminal, needing, output_options

if TYPE_CHECKING:
    from rich.table import Table

    from edgekit.demo.story import DemoResult

NOTE = (
    "The photographs come with scikit-image and scikit-learn. Calibration saw random crops of them, the table shows "
    "their centres: it tells whether the files agree with the float model, not how accurate that is."
)


@click.command(short_help="Compress EfficientNet-Lite0 and compare the files on photographs.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("demo-out"),
    show_default=True,
    help="Folder for the files, the report and the photographs.",
)
@output_options
@click.pass_obj
def demo(terminal: Terminal, /, *, out: Path) -> None:
    """Compress EfficientNet-Lite0 with its real ImageNet weights, and ask every file about real photographs.

    Weights, class names and photographs come with installed packages: nothing is downloaded.
    """
    with terminal.work() as progress:
        with needing("demo"):
            from edgekit.demo import story
        found = story.run(out, progress=progress)
    if terminal.json:
        terminal.result(_document(found))
    else:
        _show(found, out)


def _document(found: DemoResult) -> dict[str, object]:
    answers = {
        photo: {model: {"name": says.name, "probability": says.probability} for model, says in row.items()}
        for photo, row in found.answers.items()
    }
    return {"photographs": answers, "report": found.result.report.to_dict()}


def _show(found: DemoResult, out: Path) -> None:
    from rich.console import Console

    from edgekit.report.terminal import show_report

    console = Console()
    console.print(_photo_table(found))
    show_report(found.result.report, console)
    console.print(f"\n{NOTE}", highlight=False)
    console.print(f"Everything is in [bold]{out}[/]: the files, report.md, and the photographs.", highlight=False)


def _photo_table(found: DemoResult) -> Table:
    """One row per photograph; an answer that differs from the float model's is marked."""
    from rich.table import Table

    table = Table(title="What each model sees, and how sure it is")
    models = list(next(iter(found.answers.values())))
    for heading in ("photograph", *models):
        table.add_column(heading)
    for photo, row in found.answers.items():
        truth = row[models[0]].name
        cells = [
            f"{'' if says.name == truth else '[yellow]≠ [/]'}{says.name} [dim]{says.probability:.0%}[/]"
            for says in row.values()
        ]
        table.add_row(photo, *cells)
    return table
