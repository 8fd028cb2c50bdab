"""report.json and gate.json: a benchmark and a gate for programs, under the schemas that ship beside this file.

"edgekit.bench/1" and "edgekit.gate/1" never lose a field or change a meaning; they may gain fields. A file is read as
one that came from outside: its size is capped, keys come once, every value has its type, every name leads somewhere.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any, NoReturn

from edgekit.errors import InputError
from edgekit.types import bench, gate
from edgekit.types.bench import BenchReport
from edgekit.types.gate import GateReport
from edgekit.types.plain import from_plain, to_plain

LARGEST_BYTES = 256_000_000
"""Raw samples of fifty measurements take about 25 MB; a larger file is no report."""
SCHEMA_FILES = {bench.SCHEMA: "bench.schema.json", gate.SCHEMA: "gate.schema.json"}
_SURROGATE = re.compile("[\ud800-\udfff]")


def to_document(report: BenchReport | GateReport) -> dict[str, Any]:
    """Plain JSON data; "schema" comes first and says which."""
    schema = bench.SCHEMA if isinstance(report, BenchReport) else gate.SCHEMA
    return {"schema": schema, **to_plain(report)}


def render_json(report: BenchReport) -> str:
    """The report as indented JSON, ending in a newline; raw samples on one line per process.

    Law: read_json(render_json(report)) == report.
    """
    return _render(to_document(report))


def render_gate_json(report: GateReport) -> str:
    """The same for a gate."""
    return _render(to_document(report))


def read_json(text: str) -> BenchReport:
    """A benchmark from the text of its report.json.

    Raises:
        InputError: Too large, no JSON, a key twice, another schema, a missing or wrong value, a name twice, or a
            name that leads nowhere.
    """
    report = from_plain(BenchReport, _load(text, bench.SCHEMA), where="report")
    _check_names(report)
    return report


def read_gate_json(text: str) -> GateReport:
    """A gate from the text of its gate.json.

    Raises:
        InputError: As for `read_json`.
    """
    return from_plain(GateReport, _load(text, gate.SCHEMA), where="gate")


def read_file(path: Path) -> BenchReport:
    """A benchmark from a report.json, whose size is looked at before it is read.

    Raises:
        InputError: It cannot be read, or as for `read_json`.
    """
    try:
        size = path.stat().st_size
        if size > LARGEST_BYTES:
            raise _too_large(size)
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot read {path.name}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path.name} is no UTF-8 text: {error.reason} at byte {error.start}") from error
    return read_json(text)


def load_schema(schema: str = bench.SCHEMA) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of that name."""
    text = resources.files("edgekit.report.bench").joinpath(SCHEMA_FILES[schema]).read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def _render(document: dict[str, Any]) -> str:
    """Lone surrogates, which a device's output may hold, stay escapes: UTF-8 cannot say them."""
    text = "\n".join(_lines(document)) + "\n"
    return _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _lines(value: Any) -> Iterator[str]:
    """Objects, and lists that hold objects or lists, over several lines; everything else on one."""
    if isinstance(value, dict) and value:
        opening, closing = "{", "}"
        parts = [(f"{json.dumps(key, ensure_ascii=False)}: ", item) for key, item in value.items()]
    elif isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        opening, closing = "[", "]"
        parts = [("", item) for item in value]
    else:
        yield json.dumps(value, ensure_ascii=False, allow_nan=False)
        return
    yield opening
    for number, (head, item) in enumerate(parts, 1):
        first, *rest = _lines(item)
        *before, last = [head + first, *rest]
        yield from (f"  {line}" for line in before)
        yield f"  {last}{',' if number < len(parts) else ''}"
    yield closing


def _load(text: str, schema: str) -> dict[str, Any]:
    """Parse, and look at the version before anything else."""
    if len(text) > LARGEST_BYTES:
        raise _too_large(len(text))
    try:
        document = json.loads(text, object_pairs_hook=_once_each, parse_constant=_no_constant)
    except RecursionError as error:
        raise InputError("the report is nested too deeply to be one") from error
    except ValueError as error:
        raise InputError(f"the report is no valid JSON: {error}") from error
    if not isinstance(document, dict) or "schema" not in document:
        raise InputError('the file is no report of a benchmark: it has no "schema"')
    found = document.pop("schema")
    if found != schema:
        raise InputError(
            f"the file is of schema {str(found)[:60]!r}, this version reads {schema!r}",
            hint="use the version of edgekit that wrote it, or a newer one",
        )
    return document


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) < len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"key {twice[:60]!r} comes twice")
    return document


def _no_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number of JSON")


def _too_large(size: int) -> InputError:
    return InputError(f"the report has {size:,} bytes, at most {LARGEST_BYTES:,} are read")


def _check_names(report: BenchReport) -> None:
    """Every artifact and device that is spoken of is there, once.

    The history may name what is no longer measured.
    """
    artifacts = _unique([entry.name for entry in report.artifacts], "artifacts")
    devices = _unique([entry.name for entry in report.devices], "devices")
    named = [
        *(("measurements", entry.artifact, entry.device) for entry in report.measurements),
        *(("outputs", check.artifact, check.device) for check in report.outputs),
    ]
    for group, artifact, device in named:
        if artifact not in artifacts or device not in devices:
            what = f"artifact {artifact!r}" if artifact not in artifacts else f"device {device!r}"
            raise InputError(f"report.{group} speaks of the {what}, which is not in the report")


def _unique(names: list[str], group: str) -> set[str]:
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise InputError(f"report.{group} has {twice[0]!r} twice")
    return set(names)
