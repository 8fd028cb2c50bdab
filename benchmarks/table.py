"""Puts a benchmark's table between its markers in benchmarks/README.md, and its JSON into results/."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent


def keep(name: str, data: dict[str, Any], table: str) -> None:
    """Write results/NAME.json and the table marked `NAME` in the README.

    Raises:
        ValueError: The README has no such markers.
    """
    text = json.dumps(data, indent=1, sort_keys=True) + "\n"
    (FOLDER / "results" / f"{name}.json").write_text(text, encoding="utf-8")
    readme = FOLDER / "README.md"
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    before, found, rest = readme.read_text(encoding="utf-8").partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"benchmarks/README.md lacks the markers {begin} and {end}")
    readme.write_text(f"{before}{begin}\n{table}\n{end}{after}", encoding="utf-8")


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, first column to the left and the others to the right."""
    rule = ["---"] + ["---:"] * (len(header) - 1)
    return "\n".join("| " + " | ".join(row) + " |" for row in (header, rule, *rows))
