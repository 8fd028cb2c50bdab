from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edgekit.errors import EdgekitError, InputError
from edgekit.plugins import Family

BUILTIN = {"size": "edgekit.units:size", "digest": "edgekit.digest:of_bytes", "version": "edgekit.version:__version__"}


@pytest.fixture
def family(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Family[Callable[[int], str]]]:
    """A family with another package's entry points installed beside the built-in table."""
    (tmp_path / "acme_plug.py").write_text("def double(n):\n    return str(2 * n)\n")
    info = tmp_path / "acme_plug-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-plug\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[edgekit.tests]\ndouble = acme_plug:double\nsize = acme_plug:double\nbroken = acme_plug:absent\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield Family("edgekit.tests", BUILTIN)
    sys.modules.pop("acme_plug", None)


def test_builtin_names_come_first_and_each_once(family: Family[Callable[[int], str]]) -> None:
    assert family.names() == ("size", "digest", "version", "broken", "double")


def test_loads_builtin_and_added(family: Family[Callable[[int], str]]) -> None:
    assert family.load("size")(512) == "512 B"
    assert family.load("double")(512) == "1024"


def test_nothing_is_imported_before_it_is_asked_for(family: Family[Callable[[int], str]]) -> None:
    family.names()
    assert "acme_plug" not in sys.modules


def test_an_unknown_name_says_which_are_known(family: Family[Callable[[int], str]]) -> None:
    with pytest.raises(InputError, match=r"no plug of 'edgekit\.tests' is called 'dobule'") as caught:
        family.load("dobule")
    assert caught.value.hint.startswith("did you mean 'double'? known: size, ")


def test_a_broken_plug_names_its_place(family: Family[Callable[[int], str]]) -> None:
    with pytest.raises(
        EdgekitError, match=r"plug 'broken' of 'edgekit\.tests' cannot be imported from acme_plug:absent"
    ):
        family.load("broken")


def test_what_does_not_follow_the_protocol_is_refused(family: Family[Callable[[int], str]]) -> None:
    with pytest.raises(EdgekitError, match=r"plug 'version' .* lacks __call__"):
        family.load("version")
