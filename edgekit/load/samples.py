"""Calibration data of any form, opened as one SampleSet.

Whatever comes in (a folder of images, arrays in files, the user's code, a DataLoader), what goes out is read one
sample at a time, in the same order on every walk, with memory that does not grow with the number of samples.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from edgekit.errors import CalibrationError, RecipeError
from edgekit.load.array_files import ArrayFile, open_npy, open_npz
from edgekit.load.batches import LABEL_KEYS, Batch, fit_batch, join_columns
from edgekit.load.columns import check_preprocessing
from edgekit.load.data_function import call_data_function
from edgekit.load.image_folder import list_images
from edgekit.load.images import read_image
from edgekit.load.presets import default_preprocessing
from edgekit.load.spool import SizedMap, Spooled, spool
from edgekit.types.finding import Finding, Severity
from edgekit.types.preprocessing import Preprocessing
from edgekit.types.qparams import Array
from edgekit.types.sample_set import SampleSet
from edgekit.types.spec import TensorSpec

SHOWN_ARRAYS = 8
TINY = 4
"""Up to this many samples, calibration and held-back part are the same samples."""
_GOLDEN = (5**0.5 - 1) / 2


def open_samples(
    data: object,
    *,
    inputs: Sequence[TensorSpec],
    workdir: Path,
    preprocessing: Preprocessing | None = None,
    limit: int | None = None,
    seed: int = 0,
) -> SampleSet:
    """Open calibration or evaluation data for a model.

    Args:
        data: A folder of images, an `.npz` or `.npy` file, `package.module:function` or `path/file.py:function` that
            yields batches; in Python also an array, tensor, dict by input name, `(inputs, labels)` tuple, list of
            batches, generator, dataset or DataLoader, or a SampleSet.
        inputs: The model's inputs, shapes at batch 1.
        workdir: For temporary files; its owner removes them.
        preprocessing: What to do to images and uint8 arrays. Without it images get the default of
            `default_preprocessing`, with a warning.
        limit: Take at most this many: of files a random choice in file order, of streams the first ones.
        seed: Of that choice.

    Returns:
        The samples; `findings` holds what was noticed on opening.

    Raises:
        CalibrationError: Nothing usable there, or it does not fit the model's inputs.
        StorageError: No space in `workdir`.
    """
    if limit is not None and limit < 1:
        raise RecipeError(f"a limit of {limit} samples was asked", hint="give a limit of 1 or more, or none")
    if isinstance(data, SampleSet):
        opened = data
    elif isinstance(data, str | Path):
        opened = _open_named(str(data), inputs, preprocessing, limit, workdir)
    else:
        opened = _open_object(data, _kind(data), inputs, preprocessing, limit, workdir)
    if opened.count == 0:
        raise CalibrationError(f"{opened.source} holds no sample", hint="16 samples are little, 100 to 500 are usual")
    if limit is None or opened.count <= limit:
        return opened
    chosen = np.random.default_rng(seed).choice(opened.count, limit, replace=False)
    return opened.select(np.sort(chosen))


def split(samples: SampleSet, *, held_back: float = 0.1) -> tuple[SampleSet, SampleSet]:
    """Part the samples into those that calibrate and those that only check.

    One sample of every block of `1 / held_back` is held back, at a place that moves by the golden ratio from block to
    block: both parts cover the whole set, also one that is sorted or periodic by class. Deterministic.

    Args:
        samples: The whole set.
        held_back: Share to hold back, 0 < held_back <= 0.5; at least one sample is.

    Returns:
        (calibration, held back). Up to `TINY` samples both are the whole set and the second says so in a finding.

    Raises:
        RecipeError: `held_back` is out of range.
    """
    if not 0 < held_back <= 0.5:
        raise RecipeError(f"the held-back share is {held_back}", hint="give a share above 0 and up to 0.5")
    if samples.count <= TINY:
        message = (
            f"{samples.count} sample(s) are too few to hold some back: the check runs on the samples that calibrated, "
            "so its agreement is optimistic"
        )
        finding = Finding("held-back-overlaps", message, Severity.WARNING, samples.source, "give 16 samples or more")
        return samples, samples.select(np.arange(samples.count), findings=(finding,))
    blocks = max(1, round(samples.count * held_back))
    edges = np.linspace(0, samples.count, blocks + 1)
    turns = (np.arange(blocks) + 0.5) * _GOLDEN % 1.0
    places = np.floor(edges[:-1] + turns * (edges[1:] - edges[:-1])).astype(np.int64)
    rest = np.setdiff1d(np.arange(samples.count), places)
    return samples.select(rest), samples.select(places, findings=())


def _open_named(
    text: str, inputs: Sequence[TensorSpec], preprocessing: Preprocessing | None, limit: int | None, workdir: Path
) -> SampleSet:
    path = Path(text)
    if path.is_dir():
        return _open_folder(path, inputs, preprocessing)
    suffix, names = path.suffix.lower(), [spec.name for spec in inputs]
    if path.is_file() and suffix == ".npz":
        return _open_arrays(open_npz(path, workdir=workdir, needed=names), path, inputs, preprocessing)
    if path.is_file() and suffix == ".npy":
        return _open_arrays({"": open_npy(path)}, path, inputs, preprocessing)
    if not path.exists() and ":" in text:
        return _open_object(call_data_function(text), text, inputs, preprocessing, limit, workdir)
    found = f"there is no {path}" if not path.exists() else f"{path} is a file of unknown kind"
    raise CalibrationError(
        f"calibration data {text!r}: {found}",
        hint="give a folder of images, an .npz or .npy file, or module:function that yields batches",
    )


def _open_folder(root: Path, inputs: Sequence[TensorSpec], preprocessing: Preprocessing | None) -> SampleSet:
    if len(inputs) != 1:
        names = ", ".join(str(spec) for spec in inputs)
        raise CalibrationError(
            f"a folder of images feeds one input, the model takes {len(inputs)}: {names}",
            hint="hand over an .npz with one array per input name, or module:function that yields dicts",
        )
    spec, folder = inputs[0], list_images(root)
    findings = folder.findings
    if preprocessing is None:
        preprocessing, finding = default_preprocessing(spec)
        findings = (*findings, finding)
    check_preprocessing(preprocessing, spec)
    recipe = preprocessing

    def read(index: int) -> dict[str, Array]:
        return {spec.name: read_image(folder.paths[index], recipe).astype(spec.dtype, copy=False)}

    positions = np.arange(len(folder.paths))
    return SampleSet(positions, read, str(root), preprocessing, folder.classes, findings)


def _open_arrays(
    arrays: Mapping[str, ArrayFile], path: Path, inputs: Sequence[TensorSpec], preprocessing: Preprocessing | None
) -> SampleSet:
    names = {spec.name for spec in inputs}
    chosen = dict(arrays) if names <= set(arrays) else _only_array(arrays, path, inputs)
    label_file = next((arrays[key] for key in LABEL_KEYS if key in arrays and key not in names), None)
    batch = join_columns(chosen, inputs, preprocessing, labels=None, where=str(path))
    if label_file is not None and len(label_file.shape) == 1 and label_file.dtype.kind in "iu":
        if label_file.shape != (batch.count,):
            raise CalibrationError(
                f"{path} holds {batch.count} samples and {label_file.shape[0]} labels",
                hint="write one label per sample, in the same order, or leave the labels out",
            )
        batch = join_columns(chosen, inputs, preprocessing, labels=label_file.take(0, batch.count), where=str(path))
    return _as_set(batch, batch.read, str(path), preprocessing)


def _only_array(arrays: Mapping[str, ArrayFile], path: Path, inputs: Sequence[TensorSpec]) -> Mapping[str, ArrayFile]:
    """The one array that can only be the one input, when names say nothing."""
    rest = {name: array for name, array in arrays.items() if name not in LABEL_KEYS}
    if len(inputs) == 1 and len(rest) > 1:
        rank = len(inputs[0].shape)
        rest = {name: array for name, array in rest.items() if len(array.shape) in (rank, rank + 1)}
    if len(inputs) == 1 and len(rest) == 1:
        return {inputs[0].name: next(iter(rest.values()))}
    found = ", ".join(f"{name} {array.shape}" for name, array in itertools.islice(arrays.items(), SHOWN_ARRAYS))
    found += f" and {len(arrays) - SHOWN_ARRAYS} more arrays" if len(arrays) > SHOWN_ARRAYS else ""
    raise CalibrationError(
        f"{path} holds {found}; the model takes {', '.join(str(spec) for spec in inputs)}",
        hint="name the arrays as the model's inputs: numpy.savez(file, "
        + ", ".join(f"{s.name}=..." for s in inputs)
        + ")",
    )


def _open_object(
    data: object,
    source: str,
    inputs: Sequence[TensorSpec],
    preprocessing: Preprocessing | None,
    limit: int | None,
    workdir: Path,
) -> SampleSet:
    if isinstance(data, Mapping | tuple) or (hasattr(data, "shape") and hasattr(data, "dtype")):
        batch = fit_batch(data, inputs, preprocessing, where=source)
        return _as_set(batch, batch.read, source, preprocessing)
    if isinstance(data, str | bytes) or not isinstance(data, Iterable | SizedMap):
        raise CalibrationError(
            f"{source} is a {type(data).__name__}, which yields no batches",
            hint="give an array, a list of batches, a generator, a DataLoader, a folder or an .npz",
        )
    spooled = spool(data, inputs, preprocessing=preprocessing, limit=limit, workdir=workdir, source=source)
    return _as_set(spooled, spooled.read, source, preprocessing)


def _as_set(
    opened: Batch | Spooled,
    read: Callable[[int], Mapping[str, Array]],
    source: str,
    preprocessing: Preprocessing | None,
) -> SampleSet:
    return SampleSet(np.arange(opened.count), read, source, preprocessing, opened.classes, opened.findings)


def _kind(data: object) -> str:
    """What a report calls data that came as a Python object."""
    shape = getattr(data, "shape", None)
    return f"{type(data).__name__} {tuple(shape)}" if shape is not None else type(data).__name__
