"""The mutations themselves: the same of the same numbers, of every kind that they say, and with a known text."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import EdgekitError, MalformedError
from edgekit.types.strict_json import canonical, read_canonical, read_strict
from tests.fuzz.byte_mutation import mutate_bytes
from tests.fuzz.campaign import every_kind
from tests.fuzz.json_mutation import mutate_json
from tests.fuzz.json_text import read, write
from tests.fuzz.specimens import Specimens
from tests.fuzz.tar_mutation import BLOCK, members_of, mutate_tar, write_members

TEXTS = st.text(max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | TEXTS
    | st.floats(-1e15, 1e15, allow_nan=False).filter(lambda number: number != int(number)),
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(TEXTS, inside, max_size=4),
    max_leaves=12,
)  # fmt: skip


@pytest.fixture(scope="module")
def specimens(tmp_path_factory: pytest.TempPathFactory) -> Specimens:
    return Specimens(tmp_path_factory.mktemp("specimens"))


def test_a_case_is_the_same_on_every_machine(
    specimens: Specimens, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    elsewhere = {kind.name: kind for kind in every_kind(Specimens(tmp_path / "elsewhere"))}
    for kind in every_kind(specimens):
        for number in range(4):
            mutants = [repr(one.draw(Random(f"{number}"))) for one in (kind, elsewhere[kind.name])]
            assert mutants[0] == mutants[1], kind.name


def test_mutants_differ(specimens: Specimens) -> None:
    data = specimens.bundle.manifest_bytes
    for mutate in (mutate_bytes, mutate_json):
        found = {mutate(Random(number), data) for number in range(200)}
        assert len(found) > 150
        assert sum(len(one) <= len(data) for one in found) > 20


def test_json_mutants_reach_what_readers_must_refuse(specimens: Specimens) -> None:
    data = specimens.bundle.manifest_bytes
    reasons = set()
    for number in range(600):
        try:
            read_strict(mutate_json(Random(number), data), where="it", limit_bytes=2**20)
        except MalformedError as error:
            reasons.add(str(error).partition(":")[0][:30])
    for reason in (
        "it has the key",
        "it is nested deeper",
        "it holds a lone surrogate",
        "it holds NaN",
        "it is no strict",
    ):
        assert any(found.startswith(reason) for found in reasons), (reason, reasons)


def test_tar_mutants_are_read_by_others(specimens: Specimens) -> None:
    data = specimens.bundle.tar
    kinds, names = set(), set()
    for number in range(600):
        try:
            with tarfile.open(fileobj=io.BytesIO(mutate_tar(Random(number), data))) as archive:
                for member in archive:
                    kinds.add(member.type)
                    names.add(member.name)
        except (tarfile.TarError, ValueError, UnicodeError):
            continue
    assert {b"0", b"1", b"2", b"5"} <= kinds
    assert any(".." in name.split("/") for name in names)
    assert any(name.startswith("/") for name in names)


def test_members_are_what_the_tar_file_is_made_of(specimens: Specimens) -> None:
    data = specimens.bundle.tar
    written = write_members(members_of(data))
    assert data.startswith(written)
    assert not any(data[len(written) :])
    assert len(written) % BLOCK == 0


@given(VALUES)
def test_the_text_of_a_tree_is_canonical(value: Any) -> None:
    text = canonical(value)
    assert write(read(text)) == text
    assert write(read(json.dumps(value).encode())) == text


@given(VALUES, st.integers(0, 2**32))
def test_strict_readers_say_what_others_say(value: Any, seed: int) -> None:
    """What is accepted is what the json module reads, and canonical text is accepted in that one form only."""
    data = mutate_json(Random(seed), json.dumps(value).encode())
    try:
        found = read_strict(data, where="it", limit_bytes=2**20)
    except MalformedError:
        return
    assert found == json.loads(data)
    try:
        again = read_canonical(data, where="it", limit_bytes=2**20)
    except EdgekitError:
        return
    assert canonical(again) == data
