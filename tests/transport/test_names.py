"""Names below a transport: what is let through, and what never is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import MalformedError
from edgekit.testing.transport_check import HOSTILE_NAMES
from edgekit.transport.names import check_name


@pytest.mark.parametrize(
    "name",
    [
        "index.json",
        "metadata/12.root.json",
        "targets/tiny/ab.resnet8.json",
        "blobs/sha256/" + "a" * 64,
        "a/b~1+2@x=y,z",
    ],
)
def test_names_of_channels_and_bundles_pass(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_names_that_could_leave_the_tree_do_not(name: str) -> None:
    with pytest.raises(MalformedError, match="is no name"):
        check_name(name)


@given(st.text(max_size=40))
def test_what_passes_stays_inside(name: str) -> None:
    try:
        check_name(name)
    except MalformedError:
        return
    segments = name.split("/")
    assert all(segment and not segment.startswith((".", "-")) for segment in segments)
    assert name.isascii()
    assert not set(name) & set("\\?#%: \n\0")
