"""Frozen dataclasses as plain JSON data and back: one set of rules for every report that edgekit writes.

Fields keep their names, enums become their values, paths their file names, tuples lists, and the numbers that JSON
lacks the strings "inf", "-inf" and "nan".

Law: from_plain(type(x), to_plain(x)) == x for a dataclass of bool, int, float, str, enums, tuples, mappings with text
keys, `X | None` and such dataclasses.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import types
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from edgekit.errors import InputError

T = TypeVar("T")
NOT_FINITE = ("inf", "-inf", "nan")
_NAMES = {bool: "true or false", int: "an integer", float: "a number", str: "a text"}


def to_plain(value: object) -> Any:
    """Any value of edgekit.types as dicts, lists, strings and numbers."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        reported = [item for item in dataclasses.fields(value) if item.metadata.get("reported", True)]
        return {item.name: to_plain(getattr(value, item.name)) for item in reported}
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Path):
        return value.name
    if type(value).__module__ == "numpy" and hasattr(value, "item"):  # `edgekit verify` does without numpy
        return to_plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def from_plain(kind: type[T], data: object, *, where: str) -> T:
    """Build the dataclass `kind` from what `to_plain` made of it.

    A field that `kind` lacks is left out, for a later version may have added it; one that is missing takes its
    default. Nothing else is bent into shape.

    Args:
        kind: A dataclass.
        data: What was read.
        where: What it is, for messages.

    Raises:
        InputError: A field without a default is missing, or a value has the wrong type; says which.
    """
    if not isinstance(data, Mapping):
        raise _wrong(where, "an object", data)
    hints = _hints(kind)  # type: ignore[arg-type]  # mypy takes a type for what cannot be hashed
    known = dataclasses.fields(kind)  # type: ignore[arg-type]  # T is a dataclass, which typing cannot say
    for item in known:
        required = item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING
        if required and item.name not in data:
            raise InputError(
                f"{where}.{item.name} is missing", hint="the file is damaged, or was not written by edgekit"
            )
    values = {
        item.name: _value(hints[item.name], data[item.name], f"{where}.{item.name}")
        for item in known
        if item.name in data
    }
    return kind(**values)


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _value(hint: Any, found: Any, where: str) -> Any:
    """`found` as the annotation `hint` wants it, or an InputError that names both."""
    origin = get_origin(hint)
    if origin in (types.UnionType, Union):
        if found is None:
            return None
        hint = next(option for option in get_args(hint) if option is not type(None))
        origin = get_origin(hint)
    if origin is tuple:
        return _items(get_args(hint)[0], found, where)
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(found, Mapping):
            raise _wrong(where, "an object", found)
        return {key: _value(get_args(hint)[1], item, f"{where}.{key}") for key, item in found.items()}
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return from_plain(hint, found, where=where)
    if issubclass(hint, Enum):
        return _member(hint, found, where)
    return _number(found, where) if hint is float else _exact(hint, found, where)


def _items(hint: Any, found: Any, where: str) -> tuple[Any, ...]:
    """A tuple of any length; raw samples come by the ten thousand, so integers are looked at in one go."""
    if not isinstance(found, list):
        raise _wrong(where, "a list", found)
    if hint is int and all(type(item) is int for item in found):
        return tuple(found)
    return tuple(_value(hint, item, f"{where}[{index}]") for index, item in enumerate(found))


def _member(hint: type[Enum], found: Any, where: str) -> Enum:
    values = [member.value for member in hint]
    if not isinstance(found, str) or found not in values:
        raise _wrong(where, f"one of {', '.join(map(str, values))}", found)
    return hint(found)


def _number(found: Any, where: str) -> float:
    if isinstance(found, str) and found in NOT_FINITE:
        return float(found)
    if type(found) is int or (type(found) is float and math.isfinite(found)):
        try:
            return float(found)
        except OverflowError as error:
            raise _wrong(where, "a number", found) from error
    raise _wrong(where, "a number", found)


def _exact(hint: type, found: Any, where: str) -> Any:
    if type(found) is not hint:
        raise _wrong(where, _NAMES[hint], found)
    return found


def _wrong(where: str, wanted: str, found: object) -> InputError:
    shown = repr(found) if isinstance(found, str | int | float | None) else ""
    short = shown if len(shown) <= 60 else f"{shown[:60]}..."
    return InputError(f"{where} must be {wanted}, found {short} ({type(found).__name__})".replace("  ", " "))
