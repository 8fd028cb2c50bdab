"""`manifest.json`: canonical JSON of a Manifest, read so that nothing in it can surprise whoever uses it.

The schema in `manifest.schema.json` says the shape; what it cannot say (unique paths, variants that name files that are
there, rules for the runtime that is asked for) is in `edgekit.bundle.manifest_rules`. Fields that are not known are
left out: a later version may have added them. One that a reader must not ignore changes the schema's name.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from edgekit.bundle.manifest_rules import check_manifest
from edgekit.errors import InputError, MalformedError
from edgekit.types.manifest import FILE_NAME, SCHEMA, Manifest
from edgekit.types.plain import from_plain, to_plain
from edgekit.types.strict_json import canonical, read_canonical

MOST_BYTES = 2**20
SCHEMA_NAME = "manifest.schema.json"
"""The JSON Schema, beside this file."""


def write_manifest(manifest: Manifest) -> bytes:
    """The bytes of `manifest.json`.

    Raises:
        MalformedError: It breaks a rule that readers hold it to.

    Law: read_manifest(write_manifest(manifest)) == manifest.
    """
    check_manifest(manifest)
    try:
        data = canonical({**to_plain(manifest), "preprocessing": manifest.preprocessing})
    except ValueError as error:
        raise MalformedError(f"{FILE_NAME} cannot be written: {error}") from error
    if len(data) > MOST_BYTES:
        raise MalformedError(f"{FILE_NAME} has {len(data)} bytes; at most {MOST_BYTES} are allowed")
    return data


def read_manifest(data: bytes) -> Manifest:
    """The manifest that `manifest.json` holds.

    Raises:
        MalformedError: Not canonical JSON, of another schema, a field missing or of a wrong type, or a rule broken.
    """
    value = read_canonical(data, where=FILE_NAME, limit_bytes=MOST_BYTES)
    if not isinstance(value, dict):
        raise MalformedError(f"{FILE_NAME} is no object")
    if value.get("schema") != SCHEMA:
        found = str(value.get("schema"))[:80]
        raise MalformedError(
            f"{FILE_NAME} has the schema {found!r}, not {SCHEMA!r}", hint="a later edgekit may read it"
        )
    preprocessing = _preprocessing(value.pop("preprocessing", None))
    try:
        manifest = from_plain(Manifest, value, where=FILE_NAME)
    except InputError as error:
        raise MalformedError(str(error)) from error
    manifest = dataclasses.replace(manifest, preprocessing=preprocessing)
    check_manifest(manifest)
    return manifest


def _preprocessing(value: object) -> Mapping[str, Any] | None:
    """Kept as it is; whoever prepares images judges it (`Preprocessing.from_dict`)."""
    if value is not None and not isinstance(value, dict):
        raise MalformedError(f"{FILE_NAME}.preprocessing is no object")
    return value
