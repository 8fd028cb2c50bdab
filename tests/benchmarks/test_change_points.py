"""The benchmark of change points: its noises are about as wide as they say, and its tables are whole."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from benchmarks import change_points, table


@pytest.mark.parametrize("name", change_points.NOISES)
def test_a_noise_has_the_deviation_that_it_is_called_by(name: str) -> None:
    noise = change_points.NOISES[name](np.random.default_rng(0), 20_000)
    assert noise.shape == (20_000,)
    assert 0.8 < noise.std() < 1.5


def test_the_tables_have_a_row_for_each_noise_and_each_change(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept: dict[str, str] = {}
    monkeypatch.setattr(table, "keep", lambda name, data, text: kept.update({name: text}))
    monkeypatch.setattr(sys, "argv", ["change_points", "--series", "1"])
    monkeypatch.setattr(change_points, "LENGTHS", (20, 60))
    change_points.main()
    rows = [line for line in kept["change_points"].splitlines() if line.startswith("| ") and "---" not in line]
    assert len(rows) == 2 + len(change_points.NOISES) + len(change_points.PLANTED)
    assert "| normal, 10%, in the middle | 100 / 100 / 100 | 100 / 100 / 100 |" in rows
    assert kept["change_points"] in capsys.readouterr().out
