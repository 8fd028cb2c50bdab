"""Versions in PEP 440's order, held against the `packaging` that everybody else uses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from edgekit.node.versions import is_at_least, version_order

ORDERED = (
    "0.9", "1.0.dev1", "1.0a1.dev1", "1.0a1", "1.0a2", "1.0b1", "1.0rc1.dev2", "1.0rc1", "1.0rc1.post1", "1.0",
    "1.0.post1.dev1", "1.0.post1", "1.0.1", "1.9", "1.9.3", "1.10", "1.22.0rc1", "1.22.0", "2.0.0", "10.0",
)  # fmt: skip


def test_they_are_sorted_as_pep_440_says():
    assert sorted(reversed(ORDERED), key=version_order) == list(ORDERED) == sorted(ORDERED, key=Version)


@pytest.mark.parametrize(
    ("version", "minimum", "expected"),
    [
        ("1.10.0", "1.9", True),
        ("1.9", "1.10.0", False),
        ("1.22", "1.22.0", True),
        ("1.22.0rc1", "1.22.0", False),
        ("1.22.0+cu12", "1.22.0", True),
        ("2.3.0.dev20260101", "2.3.0", False),
        ("2.3.0.dev20260101", "2.2", True),
        ("v1.2-post1", "1.2", True),
    ],
)
def test_at_least(version, minimum, expected):
    assert is_at_least(version, minimum) is expected


PARTS = st.tuples(
    st.lists(st.integers(0, 30), min_size=1, max_size=4),
    st.sampled_from(["", "a1", "b2", "rc1", ".rc.3", "-alpha", "c4"]),
    st.sampled_from(["", ".post1", "-2", "post"]),
    st.sampled_from(["", ".dev0", "dev3"]),
).map(lambda parts: ".".join(map(str, parts[0])) + parts[1] + parts[2] + parts[3])


@given(PARTS, PARTS)
def test_the_order_is_that_of_packaging(one, other):
    assert (version_order(one) < version_order(other)) is (Version(one) < Version(other))
    assert (version_order(one) == version_order(other)) is (Version(one) == Version(other))


@pytest.mark.parametrize(
    "text", ["", "latest", "1..2", "1.0; rm", "9" * 65, "1." + "0" * 40, "１.0x", "1.0\n2", "1!2.0"]
)
def test_what_is_no_version_is_refused(text):
    with pytest.raises(ValueError, match="is no version"):
        version_order(text)
