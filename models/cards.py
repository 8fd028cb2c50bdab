"""Figures of a net: kept in `measures.json`, shown as a table between two marks in `card.md`.

Only what the same weights give again on any machine is kept: counts, sizes, shares with their intervals. How fast a
file is depends on who runs it, so that is for `edgekit demo NAME` to say.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from edgekit.check.intervals import wilson
from edgekit.units import size

OPEN, CLOSE = "<!-- figures -->", "<!-- end of figures -->"
_COLUMNS = ("", "right", "accuracy (95 %)", "against float, points (95 %)", "parameters", "MACs", "file", "made by")


@dataclass(frozen=True)
class Figure:
    """One row of a card.

    Attributes:
        name: What was measured, for example "int8 ONNX".
        right: Test pictures that it gives their own class.
        total: Test pictures.
        difference: Accuracy less the float net's on the same pictures, 0..1, and the ends of its 95 % interval
            (Newcombe 1998, method 10). None for the float net.
        parameters: Numbers in the module's parameters.
        macs: Multiplications with addition for one picture.
        file: Name of the file.
        size_bytes: Its size.
        command: What makes it.
    """

    name: str
    right: int
    total: int
    difference: tuple[float, float, float] | None
    parameters: int
    macs: int
    file: str
    size_bytes: int
    command: str


def read_figures(folder: Path) -> list[Figure]:
    """The figures of a net, none where there is no file yet."""
    path = folder / "measures.json"
    if not path.exists():
        return []
    rows = json.loads(path.read_text(encoding="utf-8"))["figures"]
    return [Figure(**{**row, "difference": row["difference"] and tuple(row["difference"])}) for row in rows]


def write_figures(folder: Path, figures: Sequence[Figure]) -> None:
    """Keep the figures and put them in the card; a row of the same name is replaced, others stay."""
    rows = {figure.name: figure for figure in (*read_figures(folder), *figures)}
    text = json.dumps({"schema": "edgekit.measures/1", "figures": [asdict(row) for row in rows.values()]}, indent=1)
    (folder / "measures.json").write_text(text + "\n", encoding="utf-8")
    card = folder / "card.md"
    card.write_text(with_table(card.read_text(encoding="utf-8"), list(rows.values())), encoding="utf-8")


def with_table(card: str, figures: Sequence[Figure]) -> str:
    """The card's text with the table between its two marks made anew."""
    before, _, rest = card.partition(OPEN)
    _, _, after = rest.partition(CLOSE)
    return f"{before}{OPEN}\n{table(figures)}\n{CLOSE}{after}"


def table(figures: Sequence[Figure]) -> str:
    """The figures in Markdown."""
    lines = ["| " + " | ".join(_COLUMNS) + " |", "|---" * len(_COLUMNS) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(_cells(figure)) + " |" for figure in figures)])


def _cells(figure: Figure) -> tuple[str, ...]:
    share = wilson(figure.right, figure.total)
    difference = "-"
    if figure.difference is not None:
        middle, low, high = (100 * value for value in figure.difference)
        difference = f"{middle:+.1f} ({low:+.1f} to {high:+.1f})"
    return (
        figure.name,
        f"{figure.right} of {figure.total}",
        f"{share.estimate:.1%} ({share.low:.1%} to {share.high:.1%})".replace("%", " %"),
        difference,
        f"{figure.parameters:,}".replace(",", " "),
        f"{figure.macs / 1e6:.2f} M",
        f"`{figure.file}`, {size(figure.size_bytes)}",
        f"`{figure.command}`",
    )
