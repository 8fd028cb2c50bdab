"""Sentences for the manifest: one line each, and nothing about the folders of the machine."""

from __future__ import annotations

import pytest

from edgekit.errors import CheckError
from edgekit.pack.refusals import LONGEST, as_record, refuse_failed, without_folders


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("/home/me/data.py:train gave 3", "data.py:train gave 3"),
        ("in '/a/b/c d' of ../x/y", "in 'c d' of y"),
        (r"C:\Users\me\x.npz", "x.npz"),
        ("./x/y.npz", "y.npz"),
        ("1/2 of 3 / 4, and/or nothing", "1/2 of 3 / 4, and/or nothing"),
        ("int8/float 12/0", "int8/float 12/0"),
    ],
)
def test_paths_lose_their_folders(text: str, left: str) -> None:
    assert without_folders(text) == left


def test_a_record_is_one_short_printable_line() -> None:
    found = as_record("a\nb\x1b[31m" + "c" * 1000)
    assert found.isprintable()
    assert len(found) == LONGEST


def test_nothing_is_refused_where_nothing_failed_or_it_is_forced() -> None:
    refuse_failed([], force=False)
    refuse_failed(["a"], force=True)
    with pytest.raises(CheckError, match=r"2 check\(s\) failed") as caught:
        refuse_failed(["first", "second"], force=False)
    assert "\n  first\n  second" in str(caught.value)
    assert caught.value.exit_code == 4
