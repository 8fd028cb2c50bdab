"""JSON from outside, read so that two programs cannot read it differently: RFC 8785's I-JSON, with bounds.

A key that comes twice, a number that a double cannot hold, NaN, a lone surrogate, deep nesting: each is refused. What
is signed is moreover canonical: the one text that RFC 8785 allows for its value.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any, NoReturn

import rfc8785

from edgekit.errors import MalformedError

DEEPEST = 32
LARGEST_INTEGER = 2**53 - 1
"""Beyond it, readers that keep numbers in doubles would see another one."""


def canonical(value: Any) -> bytes:
    """The one text of a value, RFC 8785 (JSON Canonicalization Scheme), UTF-8.

    Whole floats are written as integers, 2.0 as 2.

    Raises:
        ValueError: It holds something that I-JSON cannot say: NaN, a whole number beyond 2**53 - 1, a lone surrogate;
            or it is nested too deep to be read back.
    """
    text = _dump(value)
    try:
        read_strict(text, where="the value", limit_bytes=len(text))
    except MalformedError as error:
        raise ValueError(str(error)) from error
    return text


def read_strict(data: bytes, *, where: str, limit_bytes: int) -> Any:
    """The value of a JSON text.

    Args:
        data: The text, in UTF-8 without a byte order mark.
        where: What it is, for messages.
        limit_bytes: Largest text that is looked at.

    Raises:
        MalformedError: Too long, no UTF-8, no JSON, or not the same to every reader; says where.
    """
    if len(data) > limit_bytes:
        raise MalformedError(f"{where} has {len(data)} bytes; at most {limit_bytes} are read")
    try:
        value = json.loads(
            data.decode("utf-8"), object_pairs_hook=_object(where), parse_constant=_constant(where), parse_int=_integer
        )
    except UnicodeDecodeError as error:
        raise MalformedError(f"{where} is no UTF-8 text: {error.reason} at byte {error.start}") from error
    except (json.JSONDecodeError, _NumberError) as error:
        raise MalformedError(f"{where} is no strict JSON: {error}") from error
    except RecursionError as error:
        raise _too_deep(where) from error
    _check_values(value, where, DEEPEST)
    return value


def read_canonical(data: bytes, *, where: str, limit_bytes: int) -> Any:
    """As `read_strict`, of a text that must be canonical.

    Raises:
        MalformedError: As there, or another text of the same value is the canonical one.

    Law: read_canonical(canonical(value)) == value.
    """
    value = read_strict(data, where=where, limit_bytes=limit_bytes)
    if _dump(value) != data:
        raise MalformedError(f"{where} is not in canonical form (RFC 8785)")
    return value


def object_with(
    value: object, *, required: Collection[str], optional: Collection[str] = (), where: str
) -> Mapping[str, Any]:
    """A JSON object that has these keys, and no others.

    Args:
        value: What was read.
        required: Keys that it has to have.
        optional: Keys that it may have.
        where: What it is, for messages.

    Raises:
        MalformedError: It is something else; says what.
    """
    if not isinstance(value, dict):
        raise MalformedError(f"{where} is no JSON object")
    for key in required:
        if key not in value:
            raise MalformedError(f"{where} lacks {key!r}")
    for key in value:
        if key not in required and key not in optional:
            raise MalformedError(f"{where} has {key[:80]!r}, which has no place there")
    return value


def _dump(value: Any) -> bytes:
    try:
        return bytes(rfc8785.dumps(value))
    except (rfc8785.CanonicalizationError, UnicodeEncodeError, RecursionError) as error:
        raise ValueError(str(error)) from error


class _NumberError(ValueError):
    """An integer that a double cannot hold."""


def _integer(digits: str) -> int:
    if len(digits) > 17 or abs(int(digits)) > LARGEST_INTEGER:
        raise _NumberError(f"the integer {digits[:24]} is beyond 2**53 - 1")
    return int(digits)


def _constant(where: str) -> Any:
    def refuse(name: str) -> NoReturn:
        raise MalformedError(f"{where} holds {name}, which is no JSON")

    return refuse


def _object(where: str) -> Any:
    def build(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
            raise MalformedError(f"{where} has the key {twice[:80]!r} twice")
        return found

    return build


def _check_values(value: Any, where: str, levels: int) -> None:
    """No lone surrogate, no number beyond a double, and no more than `levels` levels of objects and lists."""
    if isinstance(value, str):
        try:
            value.encode("utf-8")
        except UnicodeEncodeError as error:
            raise MalformedError(f"{where} holds a lone surrogate, which UTF-8 cannot say") from error
    elif isinstance(value, float) and not math.isfinite(value):
        raise MalformedError(f"{where} holds a number beyond the range of a double")
    elif isinstance(value, dict | list):
        if not levels:
            raise _too_deep(where)
        parts = (*value, *value.values()) if isinstance(value, dict) else value
        for part in parts:
            _check_values(part, where, levels - 1)


def _too_deep(where: str) -> MalformedError:
    return MalformedError(f"{where} is nested deeper than {DEEPEST} levels")
