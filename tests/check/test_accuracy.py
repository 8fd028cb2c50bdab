import numpy as np
import pytest

from edgekit.check.accuracy import Task
from edgekit.errors import InputError
from edgekit.types.sample_set import SampleSet


def count(rows):
    task = Task(SampleSet(np.arange(1), lambda position: {}, "labelled"))
    exact = [float(first == label) for first, _, label in rows]
    return task.pair(exact, [float(second == label) for _, second, label in rows])


def test_each_cell_of_the_table():
    accuracy = count([(1, 1, 1), (1, 2, 1), (1, 2, 1), (3, 1, 1), (3, 4, 1)])
    assert (accuracy.samples, accuracy.lost, accuracy.won) == (5, 2, 1)
    assert (accuracy.baseline, accuracy.accuracy) == (3 / 5, 2 / 5)
    assert accuracy.difference.estimate == pytest.approx(-1 / 5)


def test_losses_without_wins_are_seen_and_balance_is_not():
    worse = count([(1, 1, 1)] * 180 + [(1, 2, 1)] * 20)
    even = count([(1, 1, 1)] * 180 + [(1, 2, 1)] * 10 + [(2, 1, 1)] * 10)
    assert worse.difference.high < 0
    assert even.difference.low < 0 < even.difference.high


def test_no_sample_no_accuracy():
    assert count([]) is None


def loss(outputs, label):
    return -float(abs(outputs["y"] - label).mean())


def scored(metric):
    task = Task(SampleSet(np.arange(1), lambda position: {}, "labelled"), metric=metric, name="net.py:score")
    return task, task.scorer(None)


def test_any_metric_is_paired_with_its_interval():
    task, score = scored(loss)
    random = np.random.default_rng(0)
    exact = [score({"y": random.normal(size=3)}, 0) for _ in range(60)]
    accuracy = task.pair(exact, [value - 0.1 for value in exact])
    assert accuracy.metric == "net.py:score"
    assert accuracy.difference.estimate == pytest.approx(-0.1)
    assert accuracy.difference.high < 0
    assert (accuracy.lost, accuracy.won) == (60, 0)


@pytest.mark.parametrize(
    ("metric", "said"),
    [
        (lambda outputs, label: outputs["z"], "raised KeyError"),
        (lambda outputs, label: float("nan"), "gives nan"),
        (lambda outputs, label: None, "returned a NoneType for label"),
    ],
)
def test_a_metric_that_fails_is_named(metric, said):
    _, score = scored(metric)
    with pytest.raises(InputError, match=said) as caught:
        score({"y": np.zeros(3)}, 7)
    assert "net.py:score" in str(caught.value)
    assert "label 7" in str(caught.value)
