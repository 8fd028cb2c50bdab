"""Every form of calibration data ends as the same kind of SampleSet."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from edgekit.errors import CalibrationError, RecipeError
from edgekit.load.presets import parse_preprocessing
from edgekit.load.samples import open_samples
from edgekit.types.spec import TensorSpec

SPEC = TensorSpec("x", (1, 3, 8, 6), batch_axis=0)
TWO = (TensorSpec("a", (1, 4), batch_axis=0), TensorSpec("h", (2, 1, 5), batch_axis=1))


def numbers(count: int, dtype: str = "float32") -> np.ndarray:
    return np.random.default_rng(count).normal(size=(count, 3, 8, 6)).astype(dtype)


def walk(samples: object) -> np.ndarray:
    found = [sample["x"] for sample in samples]
    assert all(item.shape == (1, 3, 8, 6) and item.dtype == np.float32 for item in found)
    assert all(item.flags.c_contiguous and item.flags.writeable for item in found)
    return np.concatenate(found)


def codes(samples: object) -> set[str]:
    return {finding.code for finding in samples.findings}


def every_form(array: np.ndarray, folder: Path) -> dict[str, object]:
    np.save(folder / "a.npy", array)
    np.save(folder / "fortran.npy", np.asfortranarray(array))
    np.savez(folder / "named.npz", x=array, y=np.arange(len(array)))
    np.savez_compressed(folder / "other.npz", images=array, names=np.array(["n"] * len(array)))
    tensor = torch.from_numpy(array)
    return {
        "npy": str(folder / "a.npy"),
        "npy column-major": folder / "fortran.npy",
        "npz": str(folder / "named.npz"),
        "npz compressed, other name": str(folder / "other.npz"),
        "array": array,
        "tensor": tensor,
        "tensor with gradient": tensor.clone().requires_grad_(),
        "dict": {"x": array},
        "pair": (array, np.arange(len(array))),
        "list of batches": [array[:3], array[3:]],
        "list of single samples without batch axis": list(array),
        "generator": (tensor[start : start + 4] for start in range(0, len(array), 4)),
        "generator of dicts": ({"x": array[i : i + 1], "id": "name"} for i in range(len(array))),
        "loader": torch.utils.data.DataLoader(
            torch.utils.data.TensorDataset(tensor, torch.arange(len(array))), batch_size=3
        ),
        "dataset": torch.utils.data.TensorDataset(tensor, torch.arange(len(array))),
        "stack of batches of one": array[:, np.newaxis],
    }


def test_every_form_gives_the_same_samples_on_every_walk(tmp_path: Path) -> None:
    array = numbers(7)
    for form, data in every_form(array, tmp_path).items():
        samples = open_samples(data, inputs=[SPEC], workdir=tmp_path)
        assert samples.count == 7, form
        for _ in range(2):
            np.testing.assert_array_equal(walk(samples), array, err_msg=form)


@pytest.mark.parametrize("form", ["npz", "pair", "loader", "dataset"])
def test_labels_come_along_aligned(form: str, tmp_path: Path) -> None:
    array = numbers(9)
    samples = open_samples(every_form(array, tmp_path)[form], inputs=[SPEC], workdir=tmp_path, limit=5, seed=3)
    labels = samples.labels()
    assert labels is not None
    assert labels.dtype == np.int64
    np.testing.assert_array_equal(walk(samples), array[labels])


def test_targets_that_are_no_labels_are_left_aside(tmp_path: Path) -> None:
    for target in (np.zeros((4, 8, 6), np.float32), ["cat"] * 4, {"boxes": 1}, np.zeros(3, np.int64)):
        assert open_samples([(numbers(4), target)], inputs=[SPEC], workdir=tmp_path).labels() is None


def test_a_shuffling_loader_is_walked_once_and_keeps_its_order(tmp_path: Path) -> None:
    dataset = torch.utils.data.TensorDataset(torch.from_numpy(numbers(32)))
    loader = torch.utils.data.DataLoader(dataset, batch_size=5, shuffle=True)
    samples = open_samples(loader, inputs=[SPEC], workdir=tmp_path)
    np.testing.assert_array_equal(walk(samples), walk(samples))


def test_an_endless_generator_stops_at_the_limit(tmp_path: Path) -> None:
    asked = []

    def endless() -> Iterator[np.ndarray]:
        while True:
            asked.append(1)
            yield numbers(4)

    samples = open_samples(endless(), inputs=[SPEC], workdir=tmp_path, limit=10)
    assert samples.count == 10
    assert len(asked) == 3


def test_limit_of_a_file_is_a_seeded_choice_in_file_order(tmp_path: Path) -> None:
    array = numbers(50)

    def chosen(seed: int) -> np.ndarray:
        return walk(open_samples(array, inputs=[SPEC], workdir=tmp_path, limit=9, seed=seed))

    np.testing.assert_array_equal(chosen(1), chosen(1))
    assert not np.array_equal(chosen(1), chosen(2))
    places = [np.flatnonzero((array == row).all(axis=(1, 2, 3)))[0] for row in chosen(1)]
    assert places == sorted(set(places))
    with pytest.raises(RecipeError, match="limit of 0"):
        open_samples(array, inputs=[SPEC], workdir=tmp_path, limit=0)


def test_several_inputs_each_with_its_batch_axis(tmp_path: Path) -> None:
    a, h = np.ones((6, 4), np.float32) * np.arange(6)[:, None], np.arange(60, dtype=np.float32).reshape(2, 6, 5)
    np.savez(tmp_path / "two.npz", a=a, h=h)
    forms = (str(tmp_path / "two.npz"), {"a": a, "h": h}, (a, h), [((a, h), np.arange(6))], [[a, h, np.arange(6)]])
    for form in forms:
        samples = open_samples(form, inputs=TWO, workdir=tmp_path)
        assert samples.count == 6
        for index, sample in enumerate(samples):
            np.testing.assert_array_equal(sample["a"], a[index : index + 1])
            np.testing.assert_array_equal(sample["h"], h[:, index : index + 1])
    with pytest.raises(CalibrationError, match="different numbers of samples"):
        open_samples((a[:5], h), inputs=TWO, workdir=tmp_path)


def test_functions_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "calibration_source.py").write_text(
        "import numpy as np\n"
        "import sys\nprint('loading')\n"
        "def batches():\n    for _ in range(3):\n        print('a batch')\n"
        "        yield np.ones((2, 3, 8, 6), 'float32')\n"
        "def broken():\n    yield np.ones((2, 3, 8, 6), 'float32')\n    raise KeyError('lost')\n"
        "def raises():\n    raise OSError('no disk')\n"
        "def nothing():\n    return None\n"
        "value = 3\n"
        "def leaves():\n    sys.exit(3)\n"
        "def leaves_later():\n    yield np.ones((2, 3, 8, 6), 'float32')\n    sys.exit(3)\n"
    )
    monkeypatch.chdir(tmp_path)
    for reference in (f"{tmp_path}/calibration_source.py:batches", "calibration_source:batches"):
        assert open_samples(reference, inputs=[SPEC], workdir=tmp_path).count == 6
    for name, message in (
        ("broken", "KeyError after 1 batch"),
        ("raises", "OSError: no disk"),
        ("nothing", "NoneType, which yields no batches"),
        ("absent", "no function absent"),
        ("value", "no function value"),
        ("leaves", "SystemExit: 3"),
        ("leaves_later", "SystemExit after 1 batch"),
    ):
        with pytest.raises(CalibrationError, match=message):
            open_samples(f"calibration_source:{name}", inputs=[SPEC], workdir=tmp_path)
    assert capsys.readouterr().out == ""  # stdout belongs to --json
    with pytest.raises(CalibrationError, match="ModuleNotFoundError"):
        open_samples("no_such_module_here:f", inputs=[SPEC], workdir=tmp_path)
    with pytest.raises(CalibrationError, match="there is no file"):
        open_samples("absent.py:f", inputs=[SPEC], workdir=tmp_path)


def test_shapes_that_do_not_fit_name_both_and_the_transposition(tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match=r"\(5, 8, 6, 3\).*x:Nx3x8x6") as caught:
        open_samples(np.zeros((5, 8, 6, 3), np.float32), inputs=[SPEC], workdir=tmp_path)
    assert "NHWC to NCHW" in caught.value.hint
    last = TensorSpec("x", (1, 8, 6, 3), batch_axis=0)
    with pytest.raises(CalibrationError, match="does not fit") as caught:
        open_samples(numbers(5), inputs=[last], workdir=tmp_path)
    assert "NCHW to NHWC" in caught.value.hint
    with pytest.raises(CalibrationError, match="batch 1 of list has shape") as caught:
        open_samples([numbers(2), np.zeros((2, 3, 9, 6), np.float32)], inputs=[SPEC], workdir=tmp_path)
    assert "Nx3x8x6" in caught.value.hint


def test_number_types(tmp_path: Path) -> None:
    wide = open_samples(numbers(4, "float64"), inputs=[SPEC], workdir=tmp_path)
    assert not wide.findings
    walk(wide)
    raw = open_samples(np.full((4, 3, 8, 6), 200, np.uint8), inputs=[SPEC], workdir=tmp_path)
    assert codes(raw) == {"integer-samples"}
    assert walk(raw).max() == 200.0
    tokens = TensorSpec("t", (1, 4), "int64", 0)
    assert next(iter(open_samples(np.ones((2, 4), np.int32), inputs=[tokens], workdir=tmp_path)))["t"].dtype == np.int64
    with pytest.raises(CalibrationError, match="float32 numbers, which do not fit"):
        open_samples(np.ones((2, 4), np.float32), inputs=[tokens], workdir=tmp_path)
    narrow = open_samples(np.full((2, 4), 300), inputs=[TensorSpec("t", (1, 4), "int8", 0)], workdir=tmp_path)
    with pytest.raises(CalibrationError, match=r"300\.\.300, outside the int8"):
        next(iter(narrow))
    half = open_samples(torch.ones(2, 3, 8, 6, dtype=torch.bfloat16), inputs=[SPEC], workdir=tmp_path)
    assert walk(half).sum() == 2 * 3 * 8 * 6


def test_pixels_in_arrays_are_preprocessed(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 8, 6, 3), np.uint8)
    recipe = parse_preprocessing("lite", SPEC)
    wanted = (pixels.transpose(0, 3, 1, 2).astype(np.float32) - 127) / 128
    last = open_samples(pixels, inputs=[SPEC], workdir=tmp_path, preprocessing=recipe)
    assert codes(last) == {"images-transposed"}
    first = open_samples(pixels.transpose(0, 3, 1, 2), inputs=[SPEC], workdir=tmp_path, preprocessing=recipe)
    assert not codes(first)
    dataset = [(pixels[i], i) for i in range(5)]
    for samples in (last, first, open_samples(dataset, inputs=[SPEC], workdir=tmp_path, preprocessing=recipe)):
        np.testing.assert_array_equal(walk(samples), wanted)
        assert samples.preprocessing == recipe
    ready = open_samples(wanted, inputs=[SPEC], workdir=tmp_path, preprocessing=recipe)
    assert codes(ready) == {"preprocessing-not-applied"}
    np.testing.assert_array_equal(walk(ready), wanted)
    larger = np.random.default_rng(0).integers(0, 256, (5, 20, 30, 3), np.uint8)
    assert walk(open_samples(larger, inputs=[SPEC], workdir=tmp_path, preprocessing=recipe)).shape == (5, 3, 8, 6)
    with pytest.raises(CalibrationError, match=r"gives float32 of shape \(1, 3, 9, 9\)"):
        open_samples(pixels, inputs=[SPEC], workdir=tmp_path, preprocessing=parse_preprocessing("lite,size=9"))


def test_gray_pixels(tmp_path: Path) -> None:
    gray = TensorSpec("x", (1, 1, 8, 8), batch_axis=0)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 8, 8), np.uint8)
    samples = open_samples(pixels, inputs=[gray], workdir=tmp_path, preprocessing=parse_preprocessing("0..1", gray))
    got = np.concatenate([sample["x"] for sample in samples])
    np.testing.assert_allclose(got[:, 0], pixels / 255, rtol=1e-6)


def test_a_folder_of_images_without_preprocessing_warns_of_the_guess(tmp_path: Path) -> None:
    for name in ("cat/1.png", "cat/2.png", "dog/1.png"):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 30), (255, 0, 0)).save(tmp_path / "photos" / name)
    samples = open_samples(tmp_path / "photos", inputs=[SPEC], workdir=tmp_path)
    assert codes(samples) == {"preprocessing-assumed", "labels-from-folders"}
    np.testing.assert_array_equal(samples.labels(), [0, 0, 1])
    np.testing.assert_allclose(walk(samples)[0, :, 0, 0], [2.2489, -2.0357, -1.8044], atol=1e-4)
    with pytest.raises(CalibrationError, match="feeds one input"):
        open_samples(tmp_path / "photos", inputs=TWO, workdir=tmp_path)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("absent-folder", "there is no absent-folder"),
        ("", "unknown kind|no image"),
        (3, "yields no batches"),
        ([], "holds no sample"),
        (iter(()), "holds no sample"),
        (np.zeros((0, 3, 8, 6), np.float32), "holds no sample"),
        ([None], "not an array of numbers"),
        ([object()], "not an array of numbers"),
        ([np.array(["a"])], "not an array of numbers"),
        ({"z": np.zeros(3), "w": np.zeros(3)}, "has no x; it has z, w"),
        ([(1, 2, 3)], r"tuple of 3 item\(s\)"),
        (b"bytes", "yields no batches"),
    ],
)
def test_unusable_data_is_one_clear_error(data: object, message: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(CalibrationError, match=message) as caught:
        open_samples(
            tmp_path / "empty" if isinstance(data, str) and not data else data, inputs=[SPEC], workdir=tmp_path
        )
    assert caught.value.hint or "array" in str(caught.value)


def test_memory_does_not_grow_with_the_number_of_samples(tmp_path: Path) -> None:
    spec = TensorSpec("x", (1, 3, 64, 64), batch_axis=0)

    def peak(count: int) -> int:
        path = tmp_path / f"{count}.npz"
        np.savez_compressed(path, x=np.zeros((count, 3, 64, 64), np.float32))
        stream = (np.ones((2, 3, 64, 64), np.float32) for _ in range(count // 2))
        tracemalloc.start()
        for data in (str(path), stream):
            for _ in open_samples(data, inputs=[spec], workdir=tmp_path):
                pass
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    few, many = peak(50), peak(800)
    assert many < 1.1 * few + 100_000  # bytes: only the positions and labels (8 bytes a sample each) may grow
    assert many < 800 * 3 * 64 * 64 * 4 / 10  # bytes: and the samples are not held all at once


def test_labels_of_another_count_are_refused_with_both_counts(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros((6, 4), np.float32), label=np.arange(5))
    with pytest.raises(CalibrationError, match=r"a\.npz holds 6 samples and 5 labels"):
        open_samples(tmp_path / "a.npz", inputs=[TensorSpec("x", (1, 4), "float32", 0)], workdir=tmp_path)


def test_a_file_of_one_array_a_sample_is_told_shortly(tmp_path: Path) -> None:
    np.savez(tmp_path / "many.npz", **{f"{index:04}": np.zeros((1, 3, 8, 8), np.float32) for index in range(200)})
    with pytest.raises(CalibrationError, match=r"0007 \(1, 3, 8, 8\) and 192 more arrays") as caught:
        open_samples(tmp_path / "many.npz", inputs=[TensorSpec("x", (1, 3, 8, 8))], workdir=tmp_path)
    assert len(str(caught.value)) < 500
