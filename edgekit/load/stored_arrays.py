"""Arrays stored in an ONNX file: initializers and Constant nodes, with damage told by name."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import numpy_helper

from edgekit.errors import ModelLoadError
from edgekit.types.qparams import Array

_FORMS = {"value_float": ("f", np.float32), "value_int": ("i", np.int64)}
_LISTS = {"value_floats": ("floats", np.float32), "value_ints": ("ints", np.int64)}


def array_of(tensor: onnx.TensorProto, where: str) -> Array:
    """The array of a tensor whose data is inside the file.

    Raises:
        ModelLoadError: It holds more or fewer bytes than its shape says.
    """
    try:
        return np.asarray(numpy_helper.to_array(tensor))
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise ModelLoadError(
            f"{where}: tensor '{tensor.name}' does not hold what its shape says: {error}",
            hint="the file is damaged; copy or export it again",
        ) from error


def constant_of(node: onnx.NodeProto, where: str) -> dict[str, Array]:
    """Result name -> array of a Constant node; nothing for strings and sparse tensors."""
    for attribute in node.attribute:
        if attribute.name == "value":
            return {node.output[0]: array_of(attribute.t, where)}
        if attribute.name in _FORMS | _LISTS:
            field, dtype = (_FORMS | _LISTS)[attribute.name]
            return {node.output[0]: np.asarray(getattr(attribute, field), dtype)}
    return {}
