"""Golden inputs: the user's arrays, or random ones that every device draws alike; and what the outputs were."""

from __future__ import annotations

import hashlib

from edgekit.agent.events import RefusalError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from edgekit.agent.sessions import Session, Tensor

LABELS = "labels"


def read_inputs(path: str) -> dict[str, Any]:
    """Arrays of an .npz by name, the first axis counts samples; "labels" holds class numbers.

    Raises:
        RefusalError: Not an .npz, or it holds Python objects.
    """
    import numpy

    try:
        with numpy.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except Exception as error:  # zip, header and value errors of several kinds
        raise RefusalError("bad-job", "the inputs cannot be read: " + str(error)) from error


def draw_inputs(tensors: list[Tensor], samples: int, seed: int) -> dict[str, Any]:
    """Random arrays: floats uniform in [-1, 1), 8-bit integers over their range, other integers 0 or 1.

    RandomState's stream is frozen (numpy's NEP 19), so every numpy draws the same numbers.
    """
    import numpy

    random = numpy.random.RandomState(seed)
    found = {}
    for tensor in tensors:
        shape = [samples, *tensor.shape]
        array: Any
        if tensor.dtype.startswith("float"):
            array = random.random_sample(shape) * 2 - 1
        elif tensor.dtype in ("int8", "uint8"):
            low = -128 if tensor.dtype == "int8" else 0
            array = random.randint(low, low + 256, shape)
        else:
            array = random.randint(0, 2, shape)
        found[tensor.name] = array.astype(tensor.dtype)
    return found


def first_feed(session: Session, arrays: dict[str, Any] | None, batch: int, seed: int) -> dict[str, Any]:
    """What a measurement runs on: the first samples that are given, as many as a batch holds, or random ones.

    Raises:
        RefusalError: See `feeds`.
    """
    import numpy

    given = arrays or draw_inputs(session.inputs, 1, seed)
    if arrays and batch > 1:
        turns = numpy.arange(batch)
        given = {name: array[turns % len(array)][None] for name, array in arrays.items() if array.ndim and len(array)}
    return next(feeds(session, given))


def feeds(session: Session, arrays: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """One feed per inference; reals become the integers of an integer input.

    Raises:
        RefusalError: An input has no array, or its sizes do not fit.
    """
    import numpy

    named = _by_input(session, arrays)
    count = len(next(iter(named.values())))
    for number in range(count):
        feed = {}
        for tensor in session.inputs:
            array = named[tensor.name][number]
            if array.size != _size(tensor.shape):
                raise RefusalError(
                    "bad-job",
                    "a sample of input '{}' has {} elements; the file takes {}".format(
                        tensor.name, array.size, "x".join(str(size) for size in tensor.shape)
                    ),
                )
            array = array.reshape(tensor.shape)
            if array.dtype.kind == "f" and tensor.dtype in ("int8", "uint8") and tensor.scale:
                info = numpy.iinfo(tensor.dtype)
                array = numpy.clip(numpy.rint(array / tensor.scale) + (tensor.zero_point or 0), info.min, info.max)
            feed[tensor.name] = numpy.ascontiguousarray(array, dtype=tensor.dtype).reshape(tensor.shape)
        yield feed


def run_golden(session: Session, arrays: dict[str, Any], path: str) -> dict[str, Any]:
    """Run every sample, write the outputs to an .npz, and sum them up.

    Returns:
        "digest" over all outputs in order (sha256, hex), "samples", and "correct" of labelled samples or None.
    """
    import numpy

    labels = arrays.get(LABELS)
    if labels is not None and labels.size != len(next(iter(_by_input(session, arrays).values()))):
        raise RefusalError("bad-job", "'labels' holds " + str(labels.size) + " class numbers, not one per sample")
    kept: dict[str, list[Any]] = {tensor.name: [] for tensor in session.outputs}
    correct = 0
    count = 0
    for feed in feeds(session, arrays):
        session.feed(feed)
        session.run()
        for name, value in session.results().items():
            kept[name].append(numpy.array(value))
        if labels is not None:
            answer = kept[session.outputs[0].name][-1]
            correct += int(numpy.argmax(answer) == int(labels.flat[count]))
        count += 1
    stacked = {name: numpy.ascontiguousarray(numpy.stack(values)) for name, values in kept.items()}
    named: dict[str, Any] = {"output_" + str(number): array for number, array in enumerate(stacked.values())}
    numpy.savez(path, **named)
    whole = hashlib.sha256()
    for array in stacked.values():
        whole.update(array.tobytes())
    return {"digest": whole.hexdigest(), "samples": count, "correct": None if labels is None else correct}


def _by_input(session: Session, arrays: dict[str, Any]) -> dict[str, Any]:
    """The arrays of the inputs; a single array serves a single input whatever it is called."""
    given = {name: array for name, array in arrays.items() if name != LABELS}
    names = [tensor.name for tensor in session.inputs]
    if len(names) == 1 and len(given) == 1:
        given = {names[0]: next(iter(given.values()))}
    missing = [name for name in names if name not in given]
    if missing:
        raise RefusalError("bad-job", "no array for input " + ", ".join(missing) + "; got " + ", ".join(sorted(given)))
    sizes = {len(given[name]) if given[name].ndim else 0 for name in names}
    if len(sizes) != 1 or sizes == {0}:
        raise RefusalError("bad-job", "the arrays of the inputs hold different numbers of samples, or none")
    return {name: given[name] for name in names}


def _size(shape: list[int]) -> int:
    product = 1
    for size in shape:
        product *= size
    return product
