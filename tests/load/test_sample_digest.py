"""A calibration set has one name, whatever it came in and wherever it lay."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgekit.load.sample_digest import DigestedSamples
from edgekit.load.samples import open_samples
from edgekit.types.sample_set import SampleSet
from edgekit.types.spec import TensorSpec

SPEC = TensorSpec("x", (1, 2, 3), batch_axis=0)
ROWS = np.arange(24, dtype=np.float32).reshape(4, 2, 3)


def digest_of(samples: SampleSet) -> str:
    watched = DigestedSamples(samples)
    assert watched.digest == ""
    assert len(list(watched)) == watched.count == samples.count
    return watched.digest


def opened(data: object, workdir: Path) -> SampleSet:
    return open_samples(data, inputs=[SPEC], workdir=workdir)


def test_the_same_samples_have_the_same_name_in_any_form(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=ROWS)
    (tmp_path / "elsewhere").mkdir()
    np.savez_compressed(tmp_path / "elsewhere" / "b.npz", x=ROWS)
    names = {
        digest_of(opened(data, tmp_path / "work"))
        for data in (str(tmp_path / "a.npz"), str(tmp_path / "elsewhere" / "b.npz"), ROWS, iter([ROWS[:1], ROWS[1:]]))
    }
    assert len(names) == 1
    assert len(names.pop()) == 64


def test_other_samples_another_order_or_fewer_have_another(tmp_path: Path) -> None:
    changed = ROWS.copy()
    changed[2, 1, 1] += 1
    variants = (ROWS, changed, ROWS[::-1].copy(), ROWS[:3])
    assert len({digest_of(opened(rows, tmp_path)) for rows in variants}) == len(variants)


def test_names_types_and_shapes_count() -> None:
    def one(name: str, array: np.ndarray) -> str:
        return digest_of(SampleSet(np.arange(1), lambda _: {name: array}, "test"))

    zeros = np.zeros((1, 2, 3), np.float32)
    same_bytes = (("x", zeros), ("y", zeros), ("x", zeros.astype(np.int32)), ("x", zeros.reshape(1, 3, 2)))
    assert len({one(name, array) for name, array in same_bytes}) == 4


def test_the_byte_order_of_the_machine_does_not() -> None:
    little, big = ROWS[:1].astype("<f4"), ROWS[:1].astype(">f4")
    found = {digest_of(SampleSet(np.arange(1), lambda _, array=array: {"x": array}, "test")) for array in (little, big)}
    assert len(found) == 1
