"""Drivers read calibration samples one at a time, all of them or a spread of them."""

from pathlib import Path

import numpy as np

from benchmarks.peers.task import INPUT, Task


def _task(folder: Path, count: int) -> Task:
    np.savez(folder / "calibration.npz", **{f"{i:04d}": np.full((1, 2), i, np.float32) for i in range(count)})
    return Task(folder, folder)


def test_samples_come_in_order_with_a_batch_axis(tmp_path: Path) -> None:
    samples = list(_task(tmp_path, 12).samples())
    assert [int(sample[0, 0]) for sample in samples] == list(range(12))
    assert samples[0].shape == (1, 2)


def test_a_limit_spreads_over_all_samples(tmp_path: Path) -> None:
    assert [int(sample[0, 0]) for sample in _task(tmp_path, 12).samples(4)] == [0, 3, 6, 9]


def test_a_limit_above_the_count_takes_all(tmp_path: Path) -> None:
    assert len(list(_task(tmp_path, 3).samples(10))) == 3


def test_feeds_carry_the_name_of_the_input(tmp_path: Path) -> None:
    assert [list(feed) for feed in _task(tmp_path, 2).feeds()] == [[INPUT], [INPUT]]
