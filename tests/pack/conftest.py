"""Results of `edgekit compress` on a net of one convolution and one linear layer, made once, and a key to pack with."""

from __future__ import annotations

import os
import platform
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import edgekit
from edgekit.pack.compressed import Compressed, open_compressed
from edgekit.pack.settings import PackSettings
from edgekit.seal.keys import MemoryKey, generate
from edgekit.types.recipe import Recipe

SETTINGS = PackSettings("tests/net", 3, license="Apache-2.0")
QUICK = {"quantize.effort": "fast", "check.seconds": 1.0}
MACHINE_NAME = "the-name-of-this-machine"


@contextmanager
def named_machine() -> Iterator[None]:
    """A machine called MACHINE_NAME: a name as short as `vm` is found in any base64."""
    system, _, *others = os.uname()
    names = os.uname_result((system, MACHINE_NAME, *others))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "uname", lambda: names)
        patch.setattr(socket, "gethostname", lambda: MACHINE_NAME)
        patch.setattr(platform, "node", lambda: MACHINE_NAME)
        patch.setenv("HOSTNAME", MACHINE_NAME)
        yield


def save_net(path: Path) -> None:
    """Input `image` (N, 3, 8, 8), output `logits` (N, 5)."""
    random = np.random.default_rng(0)
    weights = {
        "w1": random.normal(0, 0.3, (8, 3, 3, 3)),
        "b1": random.normal(0, 0.1, 8),
        "w2": random.normal(0, 0.4, (5, 8)),
        "b2": random.normal(0, 0.1, 5),
    }
    nodes = [
        helper.make_node("Conv", ["image", "w1", "b1"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("GlobalAveragePool", ["r"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("Gemm", ["f", "w2", "b2"], ["logits"], transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, 8, 8])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 5])],
        [numpy_helper.from_array(array.astype(np.float32), name) for name, array in weights.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9), path)


def compress(folder: Path, **fields: object) -> Path:
    """A folder with everything that `edgekit compress` writes."""
    random = np.random.default_rng(1)
    images = random.normal(0, 1, (24, 3, 8, 8)).astype(np.float32)
    save_net(folder / "net.onnx")
    np.savez(folder / "x.npz", image=images)
    np.savez(folder / "labelled.npz", image=images, labels=np.arange(24) % 5)
    recipe = Recipe().with_fields(
        {"calibration.data": str(folder / "x.npz"), "evaluation.data": str(folder / "labelled.npz"), **QUICK, **fields}
    )
    with named_machine():
        edgekit.compress(
            folder / "net.onnx", recipe=recipe, out=folder / "out", command="edgekit compress /home/me/net"
        )
    return folder / "out"


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A result with floats at the border; not to be changed."""
    return compress(tmp_path_factory.mktemp("made"))


@pytest.fixture(scope="session")
def made_int8(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A result with integers at the border; not to be changed."""
    return compress(tmp_path_factory.mktemp("made-int8"), **{"emit.io": "int8"})


@pytest.fixture
def result(made: Path, tmp_path: Path) -> Path:
    """A result of one's own."""
    return Path(shutil.copytree(made, tmp_path / "result"))


@pytest.fixture(scope="session")
def compressed(made: Path) -> Compressed:
    return open_compressed(made)


@pytest.fixture(scope="session")
def key() -> MemoryKey:
    return generate("p256")
