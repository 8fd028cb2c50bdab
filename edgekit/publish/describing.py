"""What a change changes, line by line, computed from the metadata itself: nothing that would be signed is left out."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from typing import Any

from edgekit import digest
from edgekit.channel.tuf_objects import Key, Metadata, Root, Targets
from edgekit.errors import KeyFileError, MalformedError
from edgekit.publish.change import Change
from edgekit.publish.key_names import name_key, public_key
from edgekit.publish.periods import HOUR
from edgekit.seal.keys import PublicKey
from edgekit.seal.tuf_signer import tuf_key

_ABSENT = object()
LONGEST_VALUE = 160
MOST_CHARACTERS = 2**25
"""Of all paths in a document; a family of 10,000 models has a twentieth of it."""


def describe(change: Change, *, whole: bool = False) -> tuple[str, ...]:
    """Every difference between the metadata in force and that which is to be signed.

    Args:
        change: It.
        whole: Tell all that would be signed instead: where nobody knows that what the change calls the metadata in
            force is.

    Returns:
        One line per role, and below it one indented line per value that is new, gone or different. Keys go by their
        fingerprints. Values from the request are quoted as JSON, so that they cannot pass for lines of ours.

    Raises:
        MalformedError: There is more to tell than anybody can look through.
    """
    lines = []
    for role, metadata in change.files.items():
        before = None if whole else change.before.get(role)
        names = _key_names(metadata, before)
        old = _flat(_brief(before), names) if before else {}
        new = _flat(_brief(metadata), names)
        version = metadata.signed.version
        versions = f"{before.signed.version} -> {version}" if before else version
        lines.append(f"{role}: version {versions}")
        lines += [f"  {line}" for line in _differences(old, new)]
    for role, period in change.periods.items():
        lines.append(f"{role}: valid for {period // HOUR} hours, which no signature covers")
    if change.restart:
        lines.append("snapshot and timestamp: versions begin at 1 again")
    return tuple(lines)


def _brief(metadata: Metadata[Any]) -> dict[str, Any]:
    """The signed part, in which keys of ours are told by their names alone, which cover all there is of them."""
    document: dict[str, Any] = metadata.signed.to_dict()
    for holder in (document, document.get("delegations", {})):
        if "keys" in holder:
            listed = {keyid: Key.from_dict(keyid, dict(key)) for keyid, key in holder["keys"].items()}
            ours = {keyid for keyid, key in listed.items() if (known := public_key(key)) and tuf_key(known) == key}
            odd = {keyid: key for keyid, key in holder["keys"].items() if keyid not in ours}
            holder["keys"] = sorted(_Name(name_key(listed[keyid])) for keyid in ours)
            holder |= {"odd keys": odd} if odd else {}
    return document


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    paths = sorted({*old, *new})

    def leads_on(path: str) -> bool:
        place = bisect_left(paths, f"{path} ")
        return place < len(paths) and paths[place].startswith(f"{path} ")

    for path in paths:
        before, after = old.get(path, _ABSENT), new.get(path, _ABSENT)
        if before == after or path == "version":
            continue
        if {} in (before, after) and leads_on(path):
            continue  # what it was empty of is told
        if isinstance(before, list) and isinstance(after, list):
            yield from _list_differences(path, before, after)
        elif before is _ABSENT:
            yield f"+ {path}: {_told(after)}"
        elif after is _ABSENT:
            yield f"- {path}: {_told(before)}"
        else:
            yield f"  {path}: {_told(before)} -> {_told(after)}"


def _list_differences(path: str, before: list[Any], after: list[Any]) -> Iterator[str]:
    gone, come = [item for item in before if item not in after], [item for item in after if item not in before]
    if not gone and not come:
        yield f"  {path}: {_told(before)} -> {_told(after)}"
    for sign, items in (("-", gone), ("+", come)):
        for item in items:
            yield f"{sign} {path}: {_told(item)}"


def _flat(value: Any, names: Mapping[str, str]) -> dict[str, Any]:
    """Path -> value, of everything in a document; lists of plain values stay whole.

    Raises:
        MalformedError: The paths are too long together: each repeats all keys that lead to its value.
    """
    found: dict[str, Any] = {}
    characters = 0
    for path, item in _leaves(value, names, ""):
        characters += len(path)
        if characters > MOST_CHARACTERS:
            raise MalformedError(
                f"telling what would be signed takes more than {MOST_CHARACTERS} characters",
                hint="nobody can look through that: do not sign it",
            )
        found[path] = item
    return found


def _leaves(value: Any, names: Mapping[str, str], path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            shown = key if _is_plain(key) else json.dumps(key)
            yield from _leaves(item, names, f"{path} {shown}".strip())
    elif isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        labels: set[str] = set()
        for number, item in enumerate(value):
            label = item["name"] if isinstance(item, dict) and _is_plain(item.get("name")) else str(number)
            if label in labels:  # as the name of another entry; under one path, only the last would be told
                label = json.dumps(f"{label} {number}")
            labels.add(label)
            yield from _leaves(item, names, f"{path} {label}".strip())
    elif isinstance(value, list):
        yield path, [_named(item, names) for item in value]
    else:
        yield path, _named(value, names)


def _is_plain(text: object) -> bool:
    return isinstance(text, str) and text.isascii() and text.isprintable() and " " not in text and text != ""


def _named(value: Any, names: Mapping[str, str]) -> Any:
    """Keys by their fingerprints, everything else as it is."""
    if not isinstance(value, str):
        return value
    if value.startswith("-----BEGIN PUBLIC KEY-----"):
        try:
            return _Name(str(PublicKey.from_pem(value)))
        except KeyFileError:
            return value
    return _Name(names[value]) if value in names else value


class _Name(str):
    """A text of ours, which needs no quotes."""

    __slots__ = ()


def _told(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_told, value)) or "none"
    text = str(value) if isinstance(value, _Name) else json.dumps(value)
    if len(text) <= LONGEST_VALUE:
        return text
    return f"{text[:LONGEST_VALUE]}... ({len(text)} characters, sha256 {digest.of_bytes(text.encode())})"


def _key_names(*metadata: Metadata[Any] | None) -> dict[str, str]:
    """Key id -> name, of all keys that the old or the new metadata lists."""
    names: dict[str, str] = {}
    for each in metadata:
        signed = each.signed if each else None
        if isinstance(signed, Root):
            names |= {keyid: name_key(key) for keyid, key in signed.keys.items()}
        elif isinstance(signed, Targets) and signed.delegations:
            names |= {keyid: name_key(key) for keyid, key in signed.delegations.keys.items()}
    return names
