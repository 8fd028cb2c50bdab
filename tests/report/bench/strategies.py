"""Any report that the types allow: values of every field from its annotation, names from a hostile alphabet."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from dataclasses import replace
from enum import Enum
from typing import Any, Union, get_args, get_origin, get_type_hints

from hypothesis import strategies as st

from edgekit.types.bench import BenchReport, DeviceReport, HistoryPoint, Measurement, OutputCheck
from edgekit.types.gate import GateReport

TEXTS = st.text(max_size=12) | st.sampled_from(
    ["", "</script><img src=x onerror=alert(1)>", "a|b`c*_[x](y)", "\x1b[31m\x00", "\ud800", "$title ${x}", "]]>&amp;"]
)
NUMBERS = st.floats(allow_nan=False, width=32) | st.floats(0.001, 1e12)
WHOLE = st.integers(-(2**53), 2**53) | st.integers(0, 10_000)


def values(hint: Any) -> st.SearchStrategy[Any]:
    """Values of an annotation."""
    origin = get_origin(hint)
    if origin in (types.UnionType, Union):
        return st.none() | values(next(option for option in get_args(hint) if option is not type(None)))
    if origin is tuple:
        return st.lists(values(get_args(hint)[0]), max_size=3).map(tuple)
    if origin is Mapping:
        return st.dictionaries(TEXTS | st.integers(-3, 3).map(str), values(get_args(hint)[1]), max_size=3)
    if dataclasses.is_dataclass(hint):
        hints = get_type_hints(hint)
        return st.builds(hint, **{item.name: values(hints[item.name]) for item in dataclasses.fields(hint)})
    if issubclass(hint, Enum):
        return st.sampled_from(hint)
    return {bool: st.booleans(), int: WHOLE, float: NUMBERS, str: TEXTS}[hint]


@st.composite
def reports(draw: st.DrawFn) -> BenchReport:
    """A benchmark whose names are unique and lead somewhere."""
    report: BenchReport = draw(values(BenchReport))
    artifacts = tuple({entry.name: entry for entry in report.artifacts}.values())
    devices = tuple({entry.name: entry for entry in report.devices}.values())
    if not artifacts or not devices:
        return replace(report, artifacts=artifacts, devices=devices, measurements=(), outputs=())
    places = st.fixed_dictionaries(
        {
            "artifact": st.sampled_from([entry.name for entry in artifacts]),
            "device": st.sampled_from([entry.name for entry in devices]),
        }
    )

    def placed(kind: type) -> Any:
        return tuple(replace(entry, **draw(places)) for entry in draw(st.lists(values(kind), max_size=4)))

    measurements = tuple(
        replace(entry, invalid=entry.invalid if draw(st.booleans()) else ()) for entry in placed(Measurement)
    )
    return replace(
        report,
        artifacts=artifacts,
        devices=tuple(device if draw(st.booleans()) else real(device) for device in devices),
        measurements=measurements,
        outputs=placed(OutputCheck),
        history=placed(HistoryPoint),
    )


def real(device: DeviceReport) -> DeviceReport:
    """The same device, not emulated."""
    before, after = (state and replace(state, emulated="") for state in (device.before, device.after))
    return replace(device, uri=f"ssh://{device.name}", before=before, after=after)


def gates() -> st.SearchStrategy[GateReport]:
    found: st.SearchStrategy[GateReport] = values(GateReport)
    return found
