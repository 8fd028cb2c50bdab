"""Signing requests: carried as files, signed elsewhere, merged; and what is refused of one that a stranger made."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import EdgekitError, InputError, MalformedError, RollbackError, SignatureError, StorageError
from edgekit.publish.change import Change, lacks_of, sign_change
from edgekit.publish.enforcing import put_in_force
from edgekit.publish.founding import plan_channel
from edgekit.publish.publishing import publish
from edgekit.publish.release_changes import prolong
from edgekit.publish.request import (
    LARGEST_BYTES,
    file_name,
    load_request,
    merge,
    read_request,
    save_request,
    write_request,
)
from edgekit.types.strict_json import canonical
from tests.publish.lab import Lab, key


@pytest.fixture
def change(lab: Lab) -> Change:
    """A publication that lacks every signature."""
    done = publish(lab.bundle(1), lab.place, lab.settings(keys=[]), now=lab.now)
    assert done.change is not None
    return done.change


def copy(change: Change) -> Change:
    """As it arrives on another machine."""
    return read_request(write_request(change), where="a copy")


def test_two_signers_on_two_machines(lab: Lab, change: Change) -> None:
    first, second = copy(change), copy(change)
    sign_change(first, lab.vision[:1])
    sign_change(second, lab.vision[1:])
    for alone in (first, second):
        with pytest.raises(SignatureError, match="vision has 1 of 2 signatures by vision; 1 more of"):
            put_in_force(lab.place, lab.records(), copy(alone), lab.online, lab.now)
    merged = merge([copy(first), copy(second)])
    assert lacks_of(merged) == ()
    put_in_force(lab.place, lab.records(), merged, lab.online, lab.now)
    assert lab.follow().notice.version == 1


def test_one_signer_after_the_other(lab: Lab, change: Change) -> None:
    passed = copy(change)
    for one in lab.vision:
        sign_change(passed, [one])
        passed = copy(passed)
    lab.enforce(passed)
    assert lab.follow().notice.version == 1


def test_signing_twice_counts_once(lab: Lab, change: Change) -> None:
    sign_change(change, [lab.vision[0], lab.vision[0]])
    assert lacks_of(change)[0].missing == 1


def test_a_new_channel_is_signed_as_a_request_too(lab: Lab, tmp_path: Path) -> None:
    other = Lab(tmp_path / "x")
    founding = plan_channel(other.plan({"timestamp": timedelta(hours=5)}), other.now)
    sign_change(founding, [other.root[0]])
    passed = copy(founding)
    sign_change(passed, [other.root[1], *other.targets, *other.vision])
    put_in_force(other.place, None, copy(passed), other.online, other.now)
    assert other.records().root.version == 1
    assert other.records().metadata["timestamp"].signed.expires == other.now + timedelta(hours=5)


def test_what_was_written_is_read(change: Change) -> None:
    data = write_request(change)
    assert write_request(read_request(data, where="it")) == data
    assert read_request(data, where="it").about == "vision version 2"


def test_a_request_for_an_earlier_state_is_refused(lab: Lab, change: Change) -> None:
    sign_change(change, lab.vision)
    lab.publish(1)
    with pytest.raises(RollbackError, match="something else came first") as caught:
        lab.enforce(change)
    assert "make the change again" in caught.value.hint


def test_a_request_for_another_channel_is_refused(lab: Lab, change: Change, tmp_path: Path) -> None:
    sign_change(change, lab.vision)
    other = Lab(tmp_path / "other")
    other.found()
    with pytest.raises(RollbackError, match="another channel"):
        put_in_force(other.place, other.records(), change, other.online, other.now)
    with pytest.raises(InputError, match="no channel at"):
        put_in_force(Lab(tmp_path).place, None, change, lab.online, lab.now)


def test_copies_of_different_changes_are_not_merged(lab: Lab, change: Change) -> None:
    other = prolong(lab.records(), ("vision",), timedelta(days=3), lab.now)
    with pytest.raises(InputError, match="not copies of one"):
        merge([change, other])


def altered(change: Change, alter: Callable[[dict[str, Any]], object]) -> bytes:
    document = json.loads(write_request(change))
    alter(document)
    return canonical(document)


def sign_with_a_foreign_key(lab: Lab, document: dict[str, Any]) -> None:
    lab.vision = [key()]


@pytest.mark.parametrize(
    ("alter", "error"),
    [
        (lambda it: it.update(schema="edgekit.signing-request/2"), MalformedError),
        (lambda it: it.update(about="what somebody says of it"), MalformedError),
        (lambda it: it.update(more=1), MalformedError),
        (lambda it: it.update(about=1), MalformedError),
        (lambda it: it.update(restart=0), MalformedError),
        (lambda it: it.update(periods=[]), MalformedError),
        (lambda it: it.update(periods={"root": 1}), MalformedError),
        (lambda it: it.update(periods={"snapshot": 0}), MalformedError),
        (lambda it: it.update(files={}), MalformedError),
        (lambda it: it.update(files=[]), MalformedError),
        (lambda it: it.update(before={}), MalformedError),
        (lambda it: it["before"].pop("root"), MalformedError),
        (lambda it: it["before"].pop("targets"), MalformedError),
        (lambda it: it["files"].update(timestamp=it["files"]["vision"]), MalformedError),
        (lambda it: it["files"].update(audio=it["files"]["vision"]), MalformedError),
        (lambda it: it["files"].update({"../x": it["files"]["vision"]}), MalformedError),
        (lambda it: it["files"].update(root=it["files"]["vision"]), MalformedError),
        (lambda it: it["files"]["vision"].pop("signed"), MalformedError),
        (lambda it: it["files"]["vision"].update(signed=[]), MalformedError),
        (lambda it: it["files"]["vision"]["signed"].update(x=0.5), MalformedError),
        (lambda it: it["before"].pop("vision"), RollbackError),
        (lambda it: it["files"]["vision"]["signed"].update(version=9), RollbackError),
        (lambda it: it["before"]["root"]["signed"].update(version=9), SignatureError),
        (lambda it: it["before"]["vision"]["signed"].update(version=9), SignatureError),
        (lambda it: it["before"]["targets"].update(signatures=[]), SignatureError),
        (
            lambda it: it["files"]["vision"].update(signatures=[{"keyid": "00" * 32, "sig": "00" * 64}]),
            SignatureError,
        ),
        (lambda it: it["files"]["vision"].update(signatures=[{"keyid": None, "sig": "00" * 64}]), SignatureError),
    ],
)
def test_a_request_that_was_altered(
    change: Change, alter: Callable[[dict[str, Any]], object], error: type[EdgekitError]
) -> None:
    with pytest.raises(error):
        read_request(altered(change, alter), where="it")


def test_a_signature_over_something_else(lab: Lab, change: Change) -> None:
    sign_change(change, lab.vision)

    def more_time(document: dict[str, Any]) -> None:
        document["files"]["vision"]["signed"]["expires"] = "2099-01-01T00:00:00Z"

    with pytest.raises(SignatureError, match="is wrong, or does not count"):
        read_request(altered(change, more_time), where="it")


def test_a_number_without_a_canonical_form(change: Change) -> None:
    data = write_request(change).replace(b'"version":2', b'"version":1e17')
    with pytest.raises(MalformedError, match="no canonical form"):
        read_request(data, where="it")


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"\xff", b"[" * 1000, b'{"schema":1}'])
def test_what_is_no_request(data: bytes) -> None:
    with pytest.raises(MalformedError):
        read_request(data, where="it")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(
    places=st.lists(st.sampled_from(["files", "before", "vision", "root", "signed", "signatures", "targets", "keys"])),
    value=JSON,
)
def test_nothing_but_errors_of_ours_comes_of_a_mutated_request(places: list[str], value: Any) -> None:
    document: Any = json.loads(SAMPLE)
    holder = document
    for place in places[:-1]:
        inner = holder.get(place)
        if not isinstance(inner, dict):
            break
        holder = inner
    if places:
        holder[places[-1]] = value
    with suppress(EdgekitError):
        read_request(canonical(document), where="it")


def sample() -> bytes:
    """A request of a channel, for mutation."""
    made = Lab(Path("nowhere"))
    made.found()
    return write_request(prolong(made.records(), ("root", "vision"), None, made.now))


SAMPLE = sample()


def test_files(lab: Lab, change: Change, tmp_path: Path) -> None:
    assert file_name(change) == "vision-2.request.json"
    place = tmp_path / "it.json"
    save_request(change, place)
    assert write_request(load_request(place)) == place.read_bytes()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    with pytest.raises(InputError, match="cannot be read"):
        load_request(tmp_path / "other.json")
    with pytest.raises(StorageError, match="cannot be written"):
        save_request(change, tmp_path / "no" / "folder.json")
    place.write_bytes(b" " * (LARGEST_BYTES + 1))
    with pytest.raises(MalformedError, match="at most"):
        load_request(place)
