"""What the agent says, and what somebody else says in its place."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.bench import answers as module
from edgekit.bench.answers import LONGEST_LINE, Answers
from edgekit.errors import DeviceError, DeviceRefusalError

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
NAMES = (
    "environment",
    "import",
    "load",
    "first",
    "warm",
    "samples",
    "steady",
    "memory",
    "golden",
    "profile",
    "sensors",
    "done",
    "error",
    "refused",
    "later",
)
FIELDS = (
    "ns",
    "subject",
    "values",
    "per_turn",
    "runs",
    "stable",
    "seconds",
    "when",
    "outputs",
    "kind",
    "message",
    "peak_rss_bytes",
)


@given(st.text())
def test_any_text_is_an_event_or_an_error_of_the_device(line: str) -> None:
    with contextlib.suppress(DeviceError):
        begun().take(line)


@given(st.sampled_from(NAMES), st.dictionaries(st.sampled_from(FIELDS), json_values))
def test_any_event_is_taken_or_an_error_of_the_device(name: str, fields: dict[str, Any]) -> None:
    with contextlib.suppress(DeviceError):
        Answers().take(json.dumps({"event": name, **fields}))


@pytest.mark.parametrize("value", [-1, 2**63, 1.5, True, "7", None])
def test_costs_are_counts(value: object) -> None:
    with pytest.raises(DeviceError):
        Answers().take(json.dumps({"event": "samples", "subject": 0, "per_turn": 1, "values": [value]}))


def test_samples_add_up() -> None:
    answers = Answers()
    for values in ([1, 2], [3]):
        answers.take(json.dumps({"event": "samples", "subject": 1, "per_turn": 1, "values": values}))
    assert answers.samples == {1: [1, 2, 3]}


def test_an_error_carries_what_to_do() -> None:
    with pytest.raises(DeviceRefusalError, match="has no onnxruntime") as caught:
        Answers().take(
            json.dumps({"event": "error", "kind": "no-runtime", "message": "Python there has no onnxruntime"})
        )
    assert "bundle" in caught.value.hint
    assert caught.value.kind == "no-runtime"


BEGIN = json.dumps({"event": "import", "runtime": "litert", "ns": 5}, separators=(",", ":"))


def begun() -> Answers:
    answers = Answers()
    answers.take(BEGIN)
    return answers


def test_an_endless_line_is_refused() -> None:
    with pytest.raises(DeviceError, match="characters"):
        begun().take(" " * (LONGEST_LINE + 1))


def test_what_a_login_script_says_first_is_passed_over() -> None:
    answers = Answers()
    answers.take("Welcome to Raspberry Pi OS")
    answers.take(BEGIN)
    assert answers.import_ns == 5


def test_what_stands_between_events_is_named() -> None:
    with pytest.raises(DeviceError, match="low battery") as caught:
        begun().take("warning: low battery")
    assert "login script" in caught.value.hint


GOLDEN = {"event": "golden", "subject": 0, "samples": 4, "correct": 3, "digest": "0" * 64}


@pytest.mark.parametrize(
    "change",
    [{"samples": "4"}, {"samples": -1}, {"correct": 5}, {"correct": 0.5}, {"digest": "\x1b[2J"}, {"digest": 7}],
)
def test_golden_outputs_are_counted_and_digested(change: dict[str, object]) -> None:
    begun().take(json.dumps(GOLDEN))
    with pytest.raises(DeviceError):
        begun().take(json.dumps({**GOLDEN, **change}))


@pytest.mark.parametrize("entry", [{"name": 1}, {"name": "a", "operator": "Conv", "mean_us": 10**400}])
def test_a_profile_that_is_none_is_an_error_of_the_device(entry: dict[str, object]) -> None:
    """It is found while the device is listened to, so that what was measured before it is kept."""
    with pytest.raises(DeviceError):
        begun().take(json.dumps({"event": "profile", "subject": 0, "operators": [entry], "reason": ""}))


@pytest.mark.parametrize("line", ["not of the agent", json.dumps({"event": "sensors", "at_s": 1.0})])
def test_a_device_that_never_stops_is_not_listened_to_for_ever(monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    monkeypatch.setattr(module, "MOST_CHARACTERS", 1000)
    answers = Answers()
    while answers.characters + len(line) <= 1000:
        answers.take(line)
    with pytest.raises(DeviceError, match="more than 1000 characters"):
        answers.take(line)


@pytest.mark.parametrize("value", ["Infinity", "NaN", "-1", '"1"', "true", "1e999", "1" + "0" * 400])
def test_the_steady_state_takes_a_time(value: str) -> None:
    with pytest.raises(DeviceError):
        begun().take(f'{{"event":"steady","begin_s":0.5,"seconds":{value}}}')
