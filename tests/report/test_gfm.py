import pytest

from edgekit.report import gfm
from edgekit.report.tables import Table


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("net.onnx", "`net.onnx`"),
        ("a`b", "``a`b``"),
        ("`a`", "`` `a` ``"),
        ("a|b\nc", "`a\\|b c`"),
        ("", "` `"),
        ("``", "``` `` ```"),
    ],
)
def test_a_name_as_code(text, expected):
    assert gfm.code_span(text) == expected


def test_plain_text_acts_on_nothing():
    assert gfm.escape("*a* [x](y) <b> `c`\n| d") == "\\*a\\* \\[x\\](y) &lt;b> \\`c\\` \\| d"


def test_nobody_is_mentioned():
    assert gfm.escape("@someone pi@host") == "@&#8203;someone pi@host"


def test_a_table():
    assert list(gfm.table(Table(("a", "b"), (("x|y", "1"),)))) == ["| a | b |", "| --- | ---: |", "| x\\|y | 1 |"]


def test_columns_of_text_stay_left():
    assert list(gfm.rows(("a", "b", "c"), [], left=("c",)))[1] == "| --- | ---: | --- |"


def test_code_cannot_end_its_own_fence():
    assert list(gfm.code("sh", "echo ````\n```")) == ["`````sh", "echo ````\n```", "`````", ""]
