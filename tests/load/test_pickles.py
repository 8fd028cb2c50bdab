"""Names in pickles are read, never imported."""

from __future__ import annotations

import collections
import io
import os
import pickle
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.load.pickles import UNKNOWN, foreign, globals_of, is_pickle

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=20,
)


@given(value=PLAIN, protocol=st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_plain_values_import_nothing_foreign(value: object, protocol: int) -> None:
    stream = io.BytesIO(pickle.dumps(value, protocol) + b"rest")
    assert foreign(globals_of(stream)) == []
    assert stream.read() == b"rest"


@given(value=PLAIN, protocol=st.integers(0, pickle.HIGHEST_PROTOCOL), cut=st.floats(0, 1, exclude_max=True))
def test_cut_pickles_are_not_pickles(value: object, protocol: int, cut: float) -> None:
    data = pickle.dumps((value, "end"), protocol)
    assert is_pickle(data)
    with pytest.raises(ValueError, match="not a pickle"):
        globals_of(io.BytesIO(data[: int(cut * len(data))]))


class Runs:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("false",)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_calls_are_found_in_every_protocol_and_depth(protocol: int) -> None:
    value = {"a": [collections.OrderedDict(x=Runs())], "b": Fraction(1, 3), "text": "os"}
    names = globals_of(io.BytesIO(pickle.dumps(value, protocol)))
    assert f"{os.name}.system" in foreign(names)
    assert "fractions.Fraction" in foreign(names)
    assert "collections.OrderedDict" in names
    assert "collections.OrderedDict" not in foreign(names)


def test_names_that_come_from_the_memo_or_are_computed() -> None:
    from_memo = b"\x80\x04\x8c\x02os\x940\x8c\x06system\x940h\x00h\x01\x93."
    assert globals_of(io.BytesIO(from_memo)) == ["os.system"]
    computed = b"\x80\x04\x8c\x02os\x8c\x03sys\x8c\x03tem\x86\x93."
    assert globals_of(io.BytesIO(computed)) == [UNKNOWN]
    assert foreign([UNKNOWN]) == [UNKNOWN]
    assert foreign(globals_of(io.BytesIO(b"\x80\x02\x82\x01."))) == ["copyreg extension 1"]


@pytest.mark.parametrize(
    "name",
    ["builtins.eval", "builtins.getattr", "os.system", "torch.hub.load", "torch.nn.modules.linear.Linear", "x.Y"],
)
def test_what_can_run_code_is_foreign(name: str) -> None:
    assert foreign([name]) == [name]
