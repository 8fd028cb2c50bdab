import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given

from edgekit.errors import InputError
from edgekit.types.plain import from_plain, to_plain
from tests.report.bench.strategies import values


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Leaf:
    at: float
    name: str = "x"


@dataclass(frozen=True)
class Tree:
    number: int
    sure: bool
    colour: Colour
    leaves: tuple[Leaf, ...]
    counts: Mapping[str, int]
    maybe: float | None = None
    best: Leaf | None = None
    heights: tuple[int, ...] = field(default=())


TREE = Tree(3, True, Colour.BLUE, (Leaf(0.5), Leaf(math.inf, "y")), {"a": 1}, None, Leaf(1.0), (1, 2))


@given(values(Tree))
def test_law_from_plain_undoes_to_plain(tree):
    assert from_plain(Tree, json.loads(json.dumps(to_plain(tree))), where="tree") == tree


def test_what_json_lacks():
    assert to_plain((math.inf, -math.inf, math.nan)) == ["inf", "-inf", "nan"]
    assert to_plain({"path": Path("/a/b.onnx"), 3: np.float32(0.5)}) == {"path": "b.onnx", "3": 0.5}


def test_a_later_version_may_add_fields_and_an_earlier_one_may_lack_those_with_a_default():
    plain = to_plain(TREE)
    plain["news"] = 1
    del plain["heights"]
    assert from_plain(Tree, plain, where="tree").heights == ()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"number": "3"}, r"tree\.number must be an integer, found '3' \(str\)"),
        ({"number": True}, r"tree\.number must be an integer, found True"),
        ({"number": 3.0}, r"tree\.number must be an integer"),
        ({"sure": 1}, r"tree\.sure must be true or false"),
        ({"colour": "green"}, r"tree\.colour must be one of red, blue, found 'green'"),
        ({"colour": ["red"]}, r"tree\.colour must be one of"),
        ({"leaves": {}}, r"tree\.leaves must be a list"),
        ({"leaves": [{"at": "huge"}]}, r"tree\.leaves\[0\]\.at must be a number"),
        ({"leaves": [{"at": True}]}, r"tree\.leaves\[0\]\.at must be a number"),
        ({"leaves": [{"at": 10**400}]}, r"tree\.leaves\[0\]\.at must be a number"),
        ({"leaves": [{}]}, r"tree\.leaves\[0\]\.at is missing"),
        ({"leaves": [3]}, r"tree\.leaves\[0\] must be an object"),
        ({"counts": {"a": 0.5}}, r"tree\.counts\.a must be an integer"),
        ({"counts": []}, r"tree\.counts must be an object, found \(list\)"),
        ({"heights": [1, 2.5]}, r"tree\.heights\[1\] must be an integer"),
        ({"best": "x" * 1000}, r"found 'x{59}\.\.\."),
    ],
)
def test_nothing_is_bent_into_shape(change, message):
    with pytest.raises(InputError, match=message):
        from_plain(Tree, {**to_plain(TREE), **change}, where="tree")
