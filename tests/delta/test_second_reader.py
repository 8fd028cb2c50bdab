"""docs/formats.md is enough to apply a residual: a reader that was written from it makes the same files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edgekit.delta.residual import make_residual
from tests.delta import small_nets
from tests.delta.second_reader import apply
from tests.delta.test_residual import kept_pair


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_nets.write(small_nets.base(), tmp_path_factory.mktemp("nets") / "base")


@pytest.mark.parametrize("change", [small_nets.recalibrated, small_nets.trained, small_nets.pruned])
def test_it_makes_the_new_file(change: Callable[[small_nets.Net], small_nets.Net], base: Path, tmp_path: Path) -> None:
    changed = small_nets.write(change(small_nets.base()), tmp_path / "changed")
    for name in small_nets.FILES:
        old, new = (base / name).read_bytes(), (changed / name).read_bytes()
        delta = make_residual(old, new)
        assert delta is not None
        assert apply(old, delta) == new, name


def test_it_reads_what_was_published_before() -> None:
    """Several lanes, too."""
    old, new = kept_pair()
    assert apply(old, (Path(__file__).parent / "kept.residual").read_bytes()) == new
