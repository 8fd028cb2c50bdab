from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit import digest

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def test_a_file_has_the_digest_of_its_bytes(tmp_path: Path) -> None:
    data = bytes(range(256)) * 5000
    (tmp_path / "x").write_bytes(data)
    assert digest.of_file(tmp_path / "x") == digest.of_bytes(data) == hashlib.sha256(data).hexdigest()


@given(st.dictionaries(st.text(), json_values, max_size=5))
def test_canonical_json_does_not_depend_on_the_order_of_keys(value: dict[str, object]) -> None:
    assert digest.canonical_json(dict(reversed(value.items()))) == digest.canonical_json(value)


def test_a_nan_has_no_canonical_form() -> None:
    with pytest.raises(ValueError, match="JSON"):
        digest.canonical_json(float("nan"))
