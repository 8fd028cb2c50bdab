"""Mutations of a manifest that reach beyond the checks of its shape: a name is another one wherever it stands."""

from __future__ import annotations

import json
from collections.abc import Sequence
from random import Random
from typing import Any

from tests.fuzz import hostile
from tests.fuzz.json_mutation import mutate_json
from tests.fuzz.json_text import read, write


def mutate_manifest(random: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """A changed `manifest.json`; 4 of 10 times one whose parts still fit one another."""
    if random.random() < 0.6:
        return mutate_json(random, data, others, canonical=0.98)
    document = json.loads(data)
    old = random.choice(_names(document))
    document = _renamed(document, old, _other(random, old, document))
    document["files"].sort(key=lambda file: file["path"])
    for variant in document["variants"]:
        variant["files"].sort()
    return write(read(json.dumps(document).encode()))


def _names(document: Any) -> list[str]:
    """Paths, names of variants, of runtimes and of tensors, and the bundle's own."""
    found = [file["path"] for file in document["files"]]
    for variant in document["variants"]:
        found += [variant["name"], variant["requires"]["runtime"]["name"], variant["requires"]["arch"]]
        found += [tensor["name"] for tensor in (*variant["inputs"], *variant["outputs"])]
    return [*found, document["name"], document["semver"], document["license"]]


def _other(random: Random, old: str, document: Any) -> str:
    choices = (
        hostile.name(random),
        hostile.name(random),
        f"{old}/x",
        old.upper(),
        f"{old}.",
        f"../{old}",
        old.replace("/", "_"),
        random.choice(_names(document)),
        f"{random.choice(_names(document))}/{old}",
    )
    return random.choice(choices)


def _renamed(value: Any, old: str, new: str) -> Any:
    if isinstance(value, dict):
        return {key: _renamed(item, old, new) for key, item in value.items()}
    if isinstance(value, list):
        return [_renamed(item, old, new) for item in value]
    return new if value == old else value
