"""Pairs of files as releases bring them, in small."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from edgekit import digest
from edgekit.delta.index import Delta
from edgekit.delta.making import describe
from edgekit.types.blob import Blob

BASE = random.Random(1).randbytes(40_000)


def nudged(data: bytes = BASE, *, every: int = 7, seed: int = 2) -> bytes:
    """Every so many bytes one more or one less."""
    source = random.Random(seed)
    found = bytearray(data)
    for at in range(0, len(found), every):
        found[at] = (found[at] + source.choice((-1, 1))) % 256
    return bytes(found)


def moved(data: bytes = BASE, *, seed: int = 3) -> bytes:
    """Something new put in, the rest the same."""
    return data[:15_000] + random.Random(seed).randbytes(900) + data[15_000:]


def int8_model(*, trained: int = 0, ballast: bytes = b"") -> bytes:
    """An .onnx file of 40 kB of int8 weights with their scales: what every codec has something to say about.

    Args:
        trained: With another number two weights of five are one more or one less.
        ballast: In a tensor of its own, before the weights.
    """
    weights = np.random.default_rng(1).integers(-100, 100, (200, 200)).astype(np.int8)
    if trained:
        weights += np.random.default_rng(trained).choice((-1, 0, 0, 0, 1), weights.shape).astype(np.int8)
    tensors = [
        numpy_helper.from_array(np.frombuffer(ballast, np.uint8), "ballast"),
        numpy_helper.from_array(weights, "weights"),
        numpy_helper.from_array(np.linspace(0.01, 0.02, 200, dtype=np.float32), "scales"),
    ]
    nodes = [
        helper.make_node("DequantizeLinear", ["weights", "scales"], ["w"], axis=1),
        helper.make_node("MatMul", ["x", "w"], ["y"]),
    ]
    row = helper.make_tensor_type_proto(TensorProto.FLOAT, [1, 200])
    ends = [[helper.make_value_info(name, row)] for name in ("x", "y")]
    graph = helper.make_graph(nodes, "net", *ends, initializer=tensors)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    return bytes(made.SerializeToString())


def blob_of(data: bytes) -> Blob:
    return Blob(digest.of_bytes(data), len(data))


def delta_for(data: bytes, codec: str, base: bytes, new: bytes) -> Delta:
    """What the index says of it."""
    return describe(data, codec=codec, base=base, target=blob_of(new))


def written(folder: Path, **contents: bytes) -> list[Path]:
    """Files of these names."""
    paths = [folder / name for name in contents]
    for path, data in zip(paths, contents.values(), strict=True):
        path.write_bytes(data)
    return paths
