"""The entry of a release."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import InputError, MalformedError
from edgekit.types.manifest import NAME
from edgekit.types.release_leaf import LARGEST_VERSION, ReleaseLeaf, read_leaf
from edgekit.types.strict_json import canonical

LEAF = ReleaseLeaf("vision/lite0", 3, "1.2.0", "ab" * 32, "cd" * 32)

digests = st.binary(min_size=32, max_size=32).map(bytes.hex)


@given(
    name=st.from_regex(NAME, fullmatch=True).filter(lambda name: name.isascii() and len(name) <= 128),
    version=st.integers(1, LARGEST_VERSION),
    release=digests,
    bundle=digests,
)
def test_what_is_written_is_read_again(name: str, version: int, release: str, bundle: str) -> None:
    leaf = ReleaseLeaf(name, version, "0.1.0-rc.1+build", release, bundle)
    assert read_leaf(leaf.to_bytes()) == leaf


def test_its_bytes() -> None:
    assert LEAF.to_bytes() == canonical(
        {
            "schema": "edgekit.release/1",
            "name": "vision/lite0",
            "version": 3,
            "semver": "1.2.0",
            "release": "ab" * 32,
            "bundle": "cd" * 32,
        }
    )


CHANGES: list[dict[str, Any]] = [
    {"schema": "edgekit.release/2"},
    {"schema": 1},
    {"name": "vision"},
    {"name": "a/" + "b" * 200},
    {"name": "../x"},
    {"version": 0},
    {"version": True},
    {"version": 1.5},
    {"version": 2**31},
    {"version": "3"},
    {"semver": "1.2"},
    {"semver": "1.2.٣"},
    {"semver": None},
    {"release": "AB" * 32},
    {"release": "ab"},
    {"bundle": 7},
    {"extra": 1},
]


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_what_is_no_release(change: dict[str, Any]) -> None:
    with pytest.raises(MalformedError):
        read_leaf(canonical(json.loads(LEAF.to_bytes()) | change))


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"hello", LEAF.to_bytes() + b"\n", LEAF.to_bytes() + b" " * 5000, b"[" * 999]
)
def test_what_is_no_canonical_json(data: bytes) -> None:
    with pytest.raises(MalformedError):
        read_leaf(data)


def test_a_release_that_cannot_be_is_not_written() -> None:
    for bad in (replace(LEAF, name="x"), replace(LEAF, version=0), replace(LEAF, release="\ud800" * 64)):
        with pytest.raises(InputError):
            bad.to_bytes()
