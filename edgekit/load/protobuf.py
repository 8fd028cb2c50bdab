"""An ONNX file as a protobuf, without the weights that lie beside it."""

from __future__ import annotations

from pathlib import Path

import onnx

from edgekit.errors import ModelLoadError

PROTOBUF_LIMIT = 2**31
"""No protobuf message has 2 GiB or more; larger models keep their weights in other files."""


def read_proto(path: Path) -> onnx.ModelProto:
    """Parse the file; external data is not touched.

    Raises:
        ModelLoadError: It is too large for a protobuf, or damaged.
    """
    size = path.stat().st_size
    if size >= PROTOBUF_LIMIT:
        raise ModelLoadError(
            f"{path.name} has {size} bytes; an ONNX file ends at {PROTOBUF_LIMIT}",
            hint="save it with external data: onnx.save(model, path, save_as_external_data=True)",
        )
    try:
        return onnx.load(path, load_external_data=False)
    except Exception as error:  # protobuf's DecodeError, mostly; its package has no types
        raise ModelLoadError(
            f"{path.name} looks like an ONNX file, but is damaged or cut off after {size} bytes: {error}",
            hint="copy or download it again; its size or sha256 at the source will tell",
        ) from error
