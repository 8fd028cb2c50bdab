"""Does the ONNX file say what the torch module says? Asked right after export, on one seeded random input."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor
from torch.utils import _pytree as pytree

from edgekit.load.call import Call
from edgekit.load.comparison import compare
from edgekit.runtime.ort import open_onnx


def check_parity(path: Path, call: Call, results: Mapping[str, Tensor]) -> None:
    """Run the file in ONNX Runtime on the arguments of `call` and compare.

    Args:
        path: The ONNX file.
        call: Arguments whose tensors are called `call.specs`.
        results: What torch gave: output name -> tensor.

    Raises:
        ParityError: An output differs by more than `compare` allows.
        ModelLoadError: ONNX Runtime cannot load the file.
    """
    leaves = [leaf for leaf in pytree.tree_leaves((call.args, call.kwargs)) if isinstance(leaf, Tensor)]
    feeds = {spec.name: leaf.numpy() for spec, leaf in zip(call.specs, leaves, strict=True)}
    got = open_onnx(path).run(feeds)
    compare({name: tensor.numpy() for name, tensor in results.items()}, got, where=path.name)
