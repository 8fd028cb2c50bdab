"""JSON as a tree that can hold what JSON must not say (a key twice, NaN, a lone surrogate), and its text.

Objects are lists of pairs, so that keys may come twice and in any order; `Raw` is text that is written as it is.
"""

from __future__ import annotations

import json
import math
from random import Random
from typing import Any

import rfc8785

DEEPEST = 100
LONGEST_INTEGER = 400


class Raw(str):
    """Text in the place of a value."""


class Pairs(list[list[Any]]):
    """An object: `[key, value]` lists, in the order of writing."""


def read(data: bytes) -> Any:
    """The tree of a JSON text.

    Raises:
        ValueError: It is none, or is nested too deep to be worked with.

    Law: write(read(data)) == data for canonical JSON.
    """
    try:
        tree = json.loads(data, object_pairs_hook=_pairs, parse_float=_float, parse_int=_int, parse_constant=Raw)
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    level = [tree]
    for _ in range(DEEPEST):
        level = [part for value in level for part in _parts(value)]
        if not level:
            return tree
    raise ValueError("nested too deep")


def write(tree: Any) -> bytes:
    """The tree's text, as canonical as it can be: RFC 8785 wherever that has a text for it."""
    return _text(tree, order=True).encode("utf-8", "surrogatepass")


def write_loosely(tree: Any, random: Random) -> bytes:
    """Another text of the same tree: blanks, escapes, another order, another encoding; some are no JSON."""
    text = _text(tree, order=random.random() < 0.5)
    how = random.randrange(7)
    if how == 0:
        return text.replace(",", ", ").replace(":", ": ").encode("utf-8", "surrogatepass")
    if how == 1:
        return text.replace("a", "\\u0061", random.randrange(1, 4)).encode("utf-8", "surrogatepass")
    if how == 2:
        return b"\xef\xbb\xbf" + text.encode("utf-8", "surrogatepass")
    if how == 3:
        return text.encode("utf-16", "surrogatepass")
    if how == 4:
        return (text + random.choice((" ", "\n", "\0", "{}", ",", "//x"))).encode("utf-8", "surrogatepass")
    if how == 5:
        return text.replace("/", "\\/").encode("utf-8", "surrogatepass")
    return text.encode("latin-1", "replace")


def _text(tree: Any, *, order: bool) -> str:
    if isinstance(tree, Raw):
        return str(tree)
    if isinstance(tree, Pairs):
        pairs = sorted(tree, key=_utf16) if order else tree
        return "{" + ",".join(f"{_string(key)}:{_text(value, order=order)}" for key, value in pairs) + "}"
    if isinstance(tree, list):
        return "[" + ",".join(_text(item, order=order) for item in tree) + "]"
    if isinstance(tree, str):
        return _string(tree)
    if isinstance(tree, float):
        return rfc8785.dumps(tree).decode() if math.isfinite(tree) else str(tree)
    return json.dumps(tree)


def _parts(value: Any) -> list[Any]:
    if isinstance(value, Pairs):
        return [part for _, part in value]
    return value if isinstance(value, list) else []


def _pairs(pairs: list[tuple[str, Any]]) -> Pairs:
    return Pairs([key, value] for key, value in pairs)


def _int(text: str) -> Any:
    """An integer, or the text of one that Python would not write again."""
    return int(text) if len(text) <= LONGEST_INTEGER else Raw(text)


def _float(text: str) -> Any:
    """A double, or the text of what none can be."""
    number = float(text)
    return number if math.isfinite(number) else Raw(text)


def _string(text: str) -> str:
    """As RFC 8785 writes it; lone surrogates, which it cannot, as escapes."""
    is_odd = any(0xD800 <= ord(character) <= 0xDFFF for character in text)
    return json.dumps(text, ensure_ascii=is_odd)


def _utf16(pair: list[Any]) -> bytes:
    return str(pair[0]).encode("utf-16-be", "surrogatepass")
