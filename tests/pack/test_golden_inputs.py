"""Golden inputs: the same draw everywhere, on the grid of the input; or the user's, which must fit the model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgekit.errors import InputError
from edgekit.pack.golden_inputs import MOST_SAMPLES, as_taken, draw_inputs, read_given
from edgekit.types.spec import TensorSpec

IMAGE = TensorSpec("image", (1, 3, 4, 4), scale=0.25, zero_point=-3)
WORDS = TensorSpec("words", (1, 5), "int64")


def test_the_draw_is_always_the_same() -> None:
    first, second = draw_inputs([IMAGE, WORDS]), draw_inputs([IMAGE, WORDS])
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert first["image"].ravel()[:4].tolist() == [27.0, 30.0, 2.0, -24.75]
    assert not np.array_equal(first["image"], draw_inputs([IMAGE], seed=1)["image"])


def test_every_integer_of_the_input_may_be_drawn_and_nothing_else() -> None:
    steps = draw_inputs([TensorSpec("x", (1, 2000), scale=0.25, zero_point=-3)])["x"] / 0.25 - 3
    assert np.array_equal(np.unique(steps), np.arange(-128, 128))


def test_integers_that_stand_for_no_reals_are_0_and_1() -> None:
    assert set(np.unique(draw_inputs([WORDS])["words"])) == {0, 1}


def test_files_with_integers_at_the_border_get_the_same_integers() -> None:
    reals = draw_inputs([IMAGE])
    signed = as_taken(reals, [TensorSpec("image", IMAGE.shape, "int8", scale=0.25, zero_point=-3)])["image"]
    unsigned = as_taken(reals, [TensorSpec("image", IMAGE.shape, "uint8", scale=0.25, zero_point=125)])["image"]
    assert signed.dtype == np.int8
    assert np.array_equal(signed.astype(int) + 128, unsigned)
    assert np.array_equal((signed.astype(np.float32) + 3) * 0.25, reals["image"])


@pytest.mark.parametrize(("side", "samples"), [(4, MOST_SAMPLES), (224, 2), (2000, 2)])
def test_large_inputs_are_few(side: int, samples: int) -> None:
    assert len(draw_inputs([TensorSpec("x", (1, 3, side, side))])["x"]) == samples


def save(path: Path, **arrays: np.ndarray) -> Path:
    np.savez(path, **arrays)
    return path


def test_the_users_own(tmp_path: Path) -> None:
    pixels = np.ones((2, 3, 4, 4), np.float64)
    for given in ({"image": pixels, "labels": np.arange(2)}, {"x": pixels}, {"image": pixels[:, None]}):
        found = read_given(save(tmp_path / "g.npz", **given), [IMAGE])
        assert found["image"].shape == (2, 1, 3, 4, 4)
        assert found["image"].dtype == np.float32


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"image": np.ones((2, 3, 4, 5))}, "has 60 elements"),
        ({"image": np.full((1, 3, 4, 4), np.nan)}, "NaN"),
        ({"image": np.ones((0, 3, 4, 4))}, "1 to 4096 samples"),
        ({"image": np.float64(3)}, "1 to 4096 samples"),
        ({"a": np.ones(1), "b": np.ones(1)}, "the model takes image"),
        ({"image": np.array(["x"])}, "cannot be read"),
    ],
)
def test_what_does_not_fit_is_refused(arrays: dict[str, np.ndarray], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        read_given(save(tmp_path / "g.npz", **arrays), [IMAGE])


def test_pickles_and_absent_files_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "p.npz", image=np.array([{}], dtype=object))
    for name in ("p.npz", "absent.npz"):
        with pytest.raises(InputError, match="cannot be read"):
            read_given(tmp_path / name, [IMAGE])
