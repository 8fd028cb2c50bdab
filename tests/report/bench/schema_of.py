"""The JSON Schema of a report, derived from its dataclasses and their docstrings, so that the two cannot drift apart.

python -m tests.report.bench.schema_of        writes the schemas that ship with edgekit
"""

from __future__ import annotations

import dataclasses
import json
import re
import types
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

from edgekit.report.bench import document
from edgekit.types import bench, gate

FOLDER = Path(document.__file__).parent
TITLES = {
    bench.SCHEMA: ("edgekit benchmark", bench.BenchReport),
    gate.SCHEMA: ("edgekit gate", gate.GateReport),
}
PLAIN = {bool: "boolean", int: "integer", str: "string"}
REAL = {
    "description": "A number, or one of the strings for what JSON lacks.",
    "anyOf": [{"type": "number"}, {"enum": ["inf", "-inf", "nan"]}],
}


def schema_of(name: str) -> dict[str, Any]:
    title, kind = TITLES[name]
    found: dict[str, Any] = {}
    body = object_of(kind, found)
    properties = {"schema": {"description": "Name and version of this schema.", "const": name}, **body["properties"]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": name,
        "title": title,
        "description": f"{kind.__doc__.splitlines()[0]} null always means not measured.",
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "$defs": {"real": REAL, **dict(sorted(found.items()))},
    }


def object_of(kind: type, found: dict[str, Any]) -> dict[str, Any]:
    hints, said = get_type_hints(kind), attributes_of(kind)
    properties = {
        item.name: {"description": said[item.name], **part_of(hints[item.name], found)}
        for item in dataclasses.fields(kind)
    }
    return {
        "description": kind.__doc__.splitlines()[0],
        "type": "object",
        "properties": properties,
        "required": list(properties),
    }


def attributes_of(kind: type) -> dict[str, str]:
    """Field -> what its docstring says, in the words of JSON."""
    text = kind.__doc__.partition("Attributes:")[2]
    pairs = re.findall(r"^ {8}(\w+): (.*(?:\n {12}.*)*)", text, re.MULTILINE)
    return {name: " ".join(said.split()).replace("None", "null") for name, said in pairs}


def part_of(hint: Any, found: dict[str, Any]) -> dict[str, Any]:
    origin = get_origin(hint)
    if origin in (types.UnionType, Union):
        inner = next(option for option in get_args(hint) if option is not type(None))
        return {"anyOf": [part_of(inner, found), {"type": "null"}]}
    if origin is tuple:
        return {"type": "array", "items": part_of(get_args(hint)[0], found)}
    if origin is Mapping:
        return {"type": "object", "additionalProperties": part_of(get_args(hint)[1], found)}
    if dataclasses.is_dataclass(hint):
        if hint.__name__ not in found:
            found[hint.__name__] = {}
            found[hint.__name__] = object_of(hint, found)
        return {"$ref": f"#/$defs/{hint.__name__}"}
    if issubclass(hint, Enum):
        return {"enum": [member.value for member in hint]}
    return {"$ref": "#/$defs/real"} if hint is float else {"type": PLAIN[hint]}


def text_of(name: str) -> str:
    return json.dumps(schema_of(name), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for schema, file in document.SCHEMA_FILES.items():
        (FOLDER / file).write_text(text_of(schema), encoding="utf-8")
