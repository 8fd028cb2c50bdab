"""Reading a TOML table into a frozen dataclass, strictly: no key is ignored, no value is bent into shape.

A misspelt key in a recipe that is silently dropped changes the result and tells nobody, so each one is an error that
says where it stands, what is allowed there, and what was probably meant.
"""

from __future__ import annotations

import difflib
import types
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from edgekit.errors import RecipeError

T = TypeVar("T")
_NAMES = {bool: "true or false", int: "an integer", float: "a number", str: "a text"}


def read(kind: type[T], table: Mapping[str, Any], *, where: str = "") -> T:
    """Build `kind` from a table, nested dataclasses from nested tables; absent keys keep their defaults.

    Args:
        kind: A dataclass whose annotations are bool, int, float, str, tuples of these, `X | None` or dataclasses.
        table: What `tomllib` read.
        where: Dotted path of the table in its file, for messages.

    Raises:
        RecipeError: Unknown key, missing key, wrong type, or a value that `kind` itself refuses.
    """
    hints = get_type_hints(kind)
    known = [item.name for item in fields(kind)]  # type: ignore[arg-type]  # T is a dataclass, which typing cannot say
    for key in table:
        if key not in known:
            raise unknown(_join(where, key), _join(where, ""), [_join(where, name) for name in known])
    values = {key: _value(hints[key], value, _join(where, key)) for key, value in table.items()}
    try:
        return kind(**values)
    except TypeError as error:
        raise RecipeError(f"table '{where}' is incomplete: {error}") from error


def unknown(found: str, place: str, allowed: Iterable[str]) -> RecipeError:
    """The error for a name that is not on the list, with the nearest one that is."""
    names = list(allowed)
    near = difflib.get_close_matches(found, names, n=1)
    guess = f"did you mean '{near[0]}'? " if near else ""
    return RecipeError(f"unknown key '{found}'", hint=f"{guess}allowed: {', '.join(names)}")


def one_of(key: str, found: str, allowed: Iterable[str]) -> None:
    """Refuse a text that is not among the allowed ones.

    Raises:
        RecipeError: It is not, with the nearest allowed one as a hint.
    """
    names = list(allowed)
    if found in names:
        return
    near = difflib.get_close_matches(found, names, n=1)
    raise RecipeError(
        f"{key} must be one of {', '.join(names)}, found '{found}'", hint=f"did you mean '{near[0]}'?" if near else ""
    )


def between(key: str, found: float, low: float, high: float) -> None:
    """Refuse a number outside [low, high].

    Raises:
        RecipeError: It is outside, or not a number at all.
    """
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise RecipeError(f"{key} must be a number, found {found!r} ({type(found).__name__})")
    if not low <= found <= high:
        raise RecipeError(f"{key} must be from {low} to {high}, found {found}")


def _join(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def _value(hint: Any, found: Any, where: str) -> Any:
    """`found` as the annotation `hint` wants it, or a RecipeError that names both."""
    if get_origin(hint) in (types.UnionType, Union):
        hint = next(option for option in get_args(hint) if option is not type(None))
    if get_origin(hint) is tuple:
        return _items(get_args(hint), found, where)
    if is_dataclass(hint) and isinstance(hint, type):
        if not isinstance(found, Mapping):
            raise _wrong(where, "a table", found)
        return read(hint, found, where=where)
    if hint is float and type(found) is int:
        return float(found)
    if type(found) is not hint:
        raise _wrong(where, _NAMES[hint], found)
    return found


def _items(hints: tuple[Any, ...], found: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(found, list | tuple):
        raise _wrong(where, "a list", found)
    if hints[-1] is Ellipsis:
        hints = (hints[0],) * len(found)
    if len(found) != len(hints):
        raise RecipeError(f"{where} must have {len(hints)} entries, found {len(found)}: {found!r}")
    return tuple(
        _value(hint, item, f"{where}[{index}]") for index, (hint, item) in enumerate(zip(hints, found, strict=True))
    )


def _wrong(where: str, wanted: str, found: Any) -> RecipeError:
    return RecipeError(f"{where} must be {wanted}, found {found!r} ({type(found).__name__})")
