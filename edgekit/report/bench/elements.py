"""HTML as nested calls: every text is escaped when it is put in, so that no name of a user can become markup."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

_UNSOUND = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
VOID = ("wbr", "rect", "line", "path", "circle")


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


Child = str | Iterable["Child"]


def element(tag: str, *children: Child, **attributes: str | float | bool | None) -> Html:
    """One element; a name that Python reserves takes a trailing underscore, other underscores become hyphens.

    An attribute that is None or False is left out, one that is True stands without a value.

    >>> element("td", "a < b", class_="number", data_device=1)
    '<td class="number" data-device="1">a &lt; b</td>'
    """
    given = ((name, value) for name, value in attributes.items() if value is not None and value is not False)
    said = "".join(_attribute(name, value) for name, value in given)
    if tag in VOID:
        return Html(f"<{tag}{said}>" if tag == "wbr" else f"<{tag}{said}/>")
    return Html(f"<{tag}{said}>{join(children)}</{tag}>")


def breakable(name: str) -> Html:
    """A name that may be broken after its dots, dashes, underscores and slashes."""
    parts = re.findall(r"[^._/-]*[._/-]|[^._/-]+", name)
    return Html(element("wbr").join(_text(part) for part in parts))


def join(children: Iterable[Child]) -> Html:
    """Children one after the other, escaped unless they are HTML already."""
    return Html("".join(_text(child) for child in children))


def _text(child: Child) -> str:
    if isinstance(child, Html):
        return child
    return escape(child) if isinstance(child, str) else join(child)


def _attribute(name: str, value: str | float | bool | None) -> str:
    said = name.rstrip("_").replace("_", "-")
    return f" {said}" if value is True else f' {said}="{escape(str(value))}"'


def escape(text: str) -> str:
    """Control characters and lone surrogates, which HTML cannot hold, become the replacement character."""
    return html.escape(_UNSOUND.sub("\ufffd", text))
