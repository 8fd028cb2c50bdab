"""Small, real releases: version N of the model answers N to an input of ones, so that what runs says which it is."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from edgekit.runtime.array_archive import write_arrays
from edgekit.types.manifest import Golden, Lineage, Manifest, Mode, Requires, Role, Rule, RuntimeNeed, Variant
from edgekit.types.spec import TensorSpec
from tests.bundle.building import Draft, describe_file

MODEL = "vision/net"
SAMPLES = 2
X, Y = TensorSpec("x", (1, 4)), TensorSpec("y", (1, 6))
FILES = {
    "golden.inputs.npz": (Role.GOLDEN, "application/zip"),
    "golden.outputs.npz": (Role.GOLDEN, "application/zip"),
    "model.onnx": (Role.MODEL, "application/vnd.onnx"),
    "other.onnx": (Role.MODEL, "application/vnd.onnx"),
}


def model_bytes(version: int, *, tensor: TensorProto | None = None) -> bytes:
    """An ONNX file: x of ones gives `version` in all six outputs."""
    weight = tensor or numpy_helper.from_array(np.full((4, 6), version / 4, np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 6])],
        [weight],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    return bytes(made.SerializeToString())


def contents_of(version: int) -> dict[str, bytes]:
    """Files of a release that does what it says."""
    inputs = np.stack([np.ones((1, 4), np.float32), np.arange(4, dtype=np.float32)[None]])
    outputs = np.stack([each @ np.full((4, 6), version / 4, np.float32) for each in inputs])
    archives = {}
    for name, arrays in (("golden.inputs.npz", {"x": inputs}), ("golden.outputs.npz", {"y": outputs})):
        stream = io.BytesIO()
        write_arrays(stream, arrays)
        archives[name] = stream.getvalue()
    model = model_bytes(version)
    return {**archives, "model.onnx": model, "other.onnx": model + b"\x3a\x00"}  # an empty graph merged: other bytes


def draft(folder: Path, version: int, *, name: str = MODEL, contents: Mapping[str, bytes] | None = None) -> Draft:
    """What a bundle is to hold: variants "first" and "second", of which a node of any kind takes the first."""
    folder.mkdir(parents=True)
    for path, data in {**contents_of(version), **(contents or {})}.items():
        (folder / path).write_bytes(data)
    sources = {path: folder / path for path in FILES}
    files = tuple(describe_file(sources[path], path, role, kind) for path, (role, kind) in sorted(FILES.items()))

    def variant(title: str, model: str) -> Variant:
        paths = ("golden.inputs.npz", "golden.outputs.npz", model)
        return Variant(
            title, "onnx-int8", model, paths,
            Requires("linux", "any", RuntimeNeed("onnxruntime", "1.0.0"), 2**20, 2**20), (X,), (Y,),
            Golden(paths[0], paths[1], SAMPLES, (Rule("onnxruntime", Mode.ATOL, 1e-4),)),
        )  # fmt: skip

    variants = (variant("first", "model.onnx"), variant("second", "other.onnx"))
    manifest = Manifest(
        name, version, f"{version}.0.0", "Apache-2.0", "edgekit-ml 0", files, variants, Lineage("ab" * 32, "", "")
    )
    return Draft(manifest, sources)
