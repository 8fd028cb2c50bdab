import doctest
from dataclasses import replace

import pytest

from edgekit.report.bench import elements, verdict, wording
from edgekit.report.bench.verdict import best_of, headline_of, sentences_of, title_of
from edgekit.types.bench import Kind
from edgekit.types.interval import Interval
from tests.report.bench.example import FLOAT, HERE, INT8, PI, TFLITE


@pytest.mark.parametrize("module", [elements, verdict, wording])
def test_examples_in_docstrings(module):
    assert doctest.testmod(module).failed == 0


def test_the_example_in_sentences(report):
    assert title_of(report) == "3 artifacts on 4 devices"
    assert headline_of(report) == "14 of 16 measurements are valid, 1 device failed"
    first, _, third = sentences_of(report)
    assert first.startswith(
        f"On {HERE}, {INT8} is fastest: 0.280 ms (cpu, 4 threads); {FLOAT} takes 2.60 times as long"
    )
    assert "executes fewest instructions: 7.91 M instructions" in third
    assert "ms" not in third


def test_headlines(report):
    good = replace(report, measurements=report.measurements[:6], devices=report.devices[:1])
    assert headline_of(good) == "All 6 measurements are valid"
    assert headline_of(replace(good, measurements=good.measurements[:1])) == "The measurement is valid"
    assert headline_of(replace(good, measurements=())) == "Nothing was measured"
    assert sentences_of(replace(good, measurements=())) == ()


def test_medians_that_cannot_be_told_apart_are_called_level(report):
    wide = Interval(1.36e6, 0.1e6, 99e6)
    measurements = tuple(
        replace(found, summary=replace(found.summary, median=wide))
        if (found.device, found.artifact, found.threads) == (PI, TFLITE, 4)
        else found
        for found in report.measurements
    )
    best = best_of(replace(report, measurements=measurements), PI, Kind.WALL_NS)
    assert best.level_with == (INT8, FLOAT)
    text = sentences_of(replace(report, measurements=measurements))[1]
    assert text == f"On {PI}, {TFLITE} and {INT8} and {FLOAT} cannot be told apart: 1.36 ms (xnnpack, 4 threads)."


def test_only_like_is_compared_with_like(report):
    """The slowest of the same number of threads, not of all."""
    best = best_of(report, HERE, Kind.WALL_NS)
    assert (best.slowest.artifact, best.slowest.threads) == (FLOAT, 4)
