from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from edgekit.errors import RecipeError
from edgekit.types.strict_table import between, one_of, read


@dataclass(frozen=True)
class Inner:
    ratio: float = 0.5
    pair: tuple[int, int] = (1, 2)


@dataclass(frozen=True)
class Outer:
    name: str
    limit: int | None = None
    inner: Inner = field(default_factory=Inner)


def test_reads_nested_tables_and_keeps_defaults() -> None:
    assert read(Outer, {"name": "a", "inner": {"ratio": 1}}) == Outer("a", None, Inner(1.0, (1, 2)))
    assert read(Outer, {"name": "a", "limit": 3}).limit == 3


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({}, "table '' is incomplete: .*'name'"),
        ({"name": "a", "limit": "3"}, r"^limit must be an integer, found '3' \(str\)"),
        ({"name": "a", "inner": {"ratio": True}}, r"^inner\.ratio must be a number, found True \(bool\)"),
        ({"name": "a", "inner": {"pair": [1]}}, r"^inner\.pair must have 2 entries, found 1: \[1\]"),
        ({"name": "a", "inner": {"pair": [1, "2"]}}, r"^inner\.pair\[1\] must be an integer, found '2' \(str\)"),
        ({"name": "a", "inner": {"rato": 1}}, r"^unknown key 'inner\.rato'"),
    ],
)
def test_nothing_is_bent_into_shape(table: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        read(Outer, table)


def test_a_name_off_the_list_is_answered_with_the_list() -> None:
    one_of("color", "RGB", ("RGB", "L"))
    with pytest.raises(RecipeError, match="color must be one of RGB, L, found 'RBG'") as caught:
        one_of("color", "RBG", ("RGB", "L"))
    assert caught.value.hint == "did you mean 'RGB'?"


@pytest.mark.parametrize("found", [-0.1, 1.1, float("nan")])
def test_a_number_off_the_range_is_refused(found: float) -> None:
    between("share", 1.0, 0, 1)
    with pytest.raises(RecipeError, match="share must be from 0 to 1, found"):
        between("share", found, 0, 1)
