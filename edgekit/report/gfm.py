"""GitHub-flavoured Markdown: tables, code and lists of findings, with everything that is not ours made plain text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from edgekit.report.tables import Table
from edgekit.types.finding import Finding


def escape(text: str) -> str:
    """Names come from the user's model or device: what Markdown, HTML and mentions would act on is made plain text."""
    flat = " ".join(text.split())
    for mark in "\\`*_[]|":
        flat = flat.replace(mark, f"\\{mark}")
    return re.sub(r"(?<!\w)@(?=\w)", "@&#8203;", flat.replace("<", "&lt;"))


def code_span(text: str) -> str:
    """A name as code, inside a table or outside; it may hold backticks and bars.

    >>> code_span("net.onnx"), code_span("a`b")
    ('`net.onnx`', '``a`b``')
    """
    flat = " ".join(text.split()).replace("|", "\\|") or " "
    longest = max((len(run) for run in re.findall(r"`+", flat)), default=0)
    pad = " " if flat.startswith("`") or flat.endswith("`") else ""
    fence = "`" * (longest + 1)
    return f"{fence}{pad}{flat}{pad}{fence}"


def sentence(text: str) -> str:
    """Capital and full stop, unless it begins with the name of a file or a module."""
    first = text.split(" ", 1)[0]
    begun = text[:1].upper() + text[1:] if first.isalpha() else text
    return begun if begun.endswith((".", "?", "!")) else f"{begun}."


def list_findings(findings: Iterable[Finding], *, empty: str) -> Iterator[str]:
    """One line per finding, or `empty`."""
    lines = [_finding(finding) for finding in findings]
    yield from lines or [empty]


def _finding(finding: Finding) -> str:
    hint = f" *{escape(sentence(finding.hint))}*" if finding.hint else ""
    return f"- **{finding.severity.value}** {code_span(finding.code)} {escape(sentence(finding.message))}{hint}"


def table(content: Table) -> Iterator[str]:
    """Its lines: the first column to the left, the others to the right; cells are escaped."""
    yield from rows(content.columns, ([escape(cell) for cell in row] for row in content.rows))


def rows(columns: Iterable[str], cells: Iterable[Iterable[str]], *, left: Iterable[str] = ()) -> Iterator[str]:
    """Lines of a table whose cells are Markdown already.

    Args:
        columns: Headings, plain text.
        cells: Rows.
        left: Headings of further columns, besides the first, that are text and not numbers.
    """
    names, plain = list(columns), set(left)
    yield "| " + " | ".join(escape(name) for name in names) + " |"
    marks = ["---" if index == 0 or name in plain else "---:" for index, name in enumerate(names)]
    yield "| " + " | ".join(marks) + " |"
    for row in cells:
        yield "| " + " | ".join(row) + " |"


def code(language: str, text: str) -> Iterator[str]:
    """A fenced block and the empty line after it."""
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    yield f"{fence}{language}"
    yield text
    yield fence
    yield ""
