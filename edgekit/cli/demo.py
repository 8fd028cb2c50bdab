"""`edgekit demo`: a real net on real pictures, told as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from edgekit.cli.terminal import Terminal, needing, output_options

if TYPE_CHECKING:
    from rich.table import Table

    from edgekit.demo.answers import Answer
    from edgekit.demo.catalogue import DemoNet

NOTE = (
    "The photographs come with scikit-image and scikit-learn. Calibration saw random crops of them, the table shows "
    "their centres: it tells whether the files agree with the float model, not how accurate that is."
)
OUT = "demo-out"
EXAMPLES = """\b
Examples:
  edgekit demo                     (EfficientNet-Lite0 on photographs)
  edgekit demo --list
  edgekit demo tiny-vit --json > report.json
"""


def _complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from edgekit.demo.catalogue import NETS

    return [CompletionItem(net.name, help=net.text) for net in NETS if net.name.startswith(incomplete)]


@click.command(epilog=EXAMPLES, short_help="Compress a net that comes with edgekit and compare the files on pictures.")
@click.argument("name", required=False, metavar="[NAME]", shell_complete=_complete)
@click.option("--list", "listing", is_flag=True, help="List the nets and leave.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    show_default=f"{OUT}, or {OUT}/NAME",
    help="Folder for the files, the report and the photographs.",
)
@output_options
@click.pass_obj
def demo(terminal: Terminal, /, *, name: str | None, listing: bool, out: Path | None) -> None:
    """Compress a real net, and ask every file about real pictures.

    Without a NAME it is EfficientNet-Lite0 with its ImageNet weights. The others are small nets of edgekit's own,
    calibrated on training pictures and scored on test pictures. Weights, class names and pictures come with installed
    packages: nothing is downloaded.
    """
    from edgekit.demo.catalogue import LITE0, find_net

    if listing:
        _list(terminal)
        return
    net = find_net(name or LITE0)
    out = out or (Path(OUT) / name if name else Path(OUT))
    (_demo_lite0 if net.name == LITE0 else _demo_zoo)(terminal, net, out)


def _list(terminal: Terminal) -> None:
    from edgekit.demo.catalogue import NETS

    if terminal.json:
        terminal.result([{"name": net.name, "text": net.text} for net in NETS])
        return
    wide = max(len(net.name) for net in NETS)
    for net in NETS:
        click.echo(f"{net.name:{wide}}  {net.text}")


def _demo_lite0(terminal: Terminal, net: DemoNet, out: Path) -> None:
    with terminal.work() as progress:
        with needing("demo"):
            from edgekit.demo import story
        found = story.run(out, progress=progress)
    if terminal.json:
        photographs = {photo: _plain(row) for photo, row in found.answers.items()}
        terminal.result({"photographs": photographs, "report": found.result.report.to_dict()})
        return
    from rich.console import Console

    from edgekit.report.terminal import show_report

    console = Console()
    console.print(_answer_table("photograph", list(found.answers.items())))
    show_report(found.result.report, console)
    console.print(f"\n{NOTE}", highlight=False)
    console.print(f"Everything is in [bold]{out}[/]: the files, report.md, and the photographs.", highlight=False)


def _demo_zoo(terminal: Terminal, net: DemoNet, out: Path) -> None:
    with terminal.work() as progress:
        with needing("demo"):
            from edgekit.demo import zoo
        found = zoo.run(net, out, progress=progress)
    if terminal.json:
        pictures = [
            {"index": example.index, "truth": example.truth, "answers": _plain(example.answers)}
            for example in found.examples
        ]
        terminal.result({"net": net.name, "pictures": pictures, "report": found.result.report.to_dict()})
        return
    from rich.console import Console

    from edgekit.report.terminal import show_report

    console = Console()
    rows = [(f"{example.index}, a {example.truth}", example.answers) for example in found.examples]
    console.print(_answer_table("test picture", rows))
    console.print("Of every class the test picture that the float net is least sure of.\n", highlight=False)
    show_report(found.result.report, console)
    console.print(f"\nThe files, report.md and recipe.toml are in [bold]{out}[/].", highlight=False)


def _plain(row: Mapping[str, Answer]) -> dict[str, object]:
    return {model: {"name": says.name, "probability": says.probability} for model, says in row.items()}


def _answer_table(heading: str, rows: Sequence[tuple[str, Mapping[str, Answer]]]) -> Table:
    """One row per picture; an answer that differs from the float model's, the first, is marked."""
    from rich.table import Table

    table = Table(title="What each model sees, and how sure it is")
    for title in (heading, *rows[0][1]):
        table.add_column(title)
    for picture, row in rows:
        first = next(iter(row.values())).name
        cells = [
            f"{'' if says.name == first else '[yellow]≠ [/]'}{says.name} [dim]{says.probability:.0%}[/]"
            for says in row.values()
        ]
        table.add_row(picture, *cells)
    return table
