"""report.json: the run for programs, under the versioned schema that ships beside this file.

A reader checks `schema` first: "edgekit.report/1" never loses a field or changes a meaning; it may gain fields.
"""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

from edgekit.types.report import Report

SCHEMA_FILE = "report.schema.json"


def render_json(report: Report) -> str:
    """The report as indented JSON, ending in a newline; keys in the order of the dataclasses.

    Law: all of it depends on the inputs alone, but for `latency`, `machine` and the `seconds`.
    """
    return json.dumps(report.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def load_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) that every report.json obeys."""
    text = resources.files("edgekit.report").joinpath(SCHEMA_FILE).read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema
