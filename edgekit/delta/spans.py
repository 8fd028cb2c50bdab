"""Where an int8 model file keeps its numbers: weights, what they are multiplied by, biases. Its format does not matter.

Made when a delta is made, from a file of one's own; whoever applies a delta gets plain offsets and parses no model.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgekit.delta.onnx_spans import onnx_weights
from edgekit.delta.tflite_spans import tflite_weights
from edgekit.delta.weights import Weights
from edgekit.types.qparams import Array


@dataclass(frozen=True)
class Pair:
    """The same weights in the old file and in the new one.

    Attributes:
        old: In the old file.
        new: In the new file.
        rows: Which old rows the new ones are, where some were cut.
        columns: Which old columns, counted over the first and the last axis of the shape.
    """

    old: Weights
    new: Weights
    rows: Array | None = None
    columns: Array | None = None


def weights_of(data: bytes) -> dict[str, Weights]:
    """Name -> int8 weights of an ONNX or TFLite file; none of a file that is neither, or that cannot be walked."""
    try:
        found = tflite_weights(data) if data[4:8] == b"TFL3" else onnx_weights(data)
    except ValueError:
        return {}
    return {name: weights for name, weights in found.items() if weights.count}


def pair_up(old: bytes, new: bytes) -> list[Pair]:
    """Weights of the same name, in the new file's order."""
    before = weights_of(old)
    pairs = [Pair(before[name], weights) for name, weights in weights_of(new).items() if name in before]
    return sorted(pairs, key=lambda pair: pair.new.place)
