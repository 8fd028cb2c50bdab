"""ONNX Runtime as a Session: any .onnx file, with inner values tapped on request."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from edgekit.errors import InputError, ModelLoadError
from edgekit.types.qparams import Array
from edgekit.types.spec import TensorSpec
from edgekit.types.target import SESSION_KEY, SESSION_OPTIONS

onnxruntime.set_default_logger_severity(4)

_DTYPES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(int64)": "int64",
    "tensor(int32)": "int32",
    "tensor(int8)": "int8",
    "tensor(uint8)": "uint8",
    "tensor(bool)": "bool",
}


class OrtSession:
    """One loaded .onnx file. Not thread-safe for reconfiguration; `run` is stateless."""

    def __init__(self, session: onnxruntime.InferenceSession, taps: Sequence[str]) -> None:
        self._session = session
        self.metadata: dict[str, str] = dict(session.get_modelmeta().custom_metadata_map)
        border = json.loads(self.metadata.get("edgekit.border", "{}"))
        self.inputs = tuple(_spec(info, border) for info in session.get_inputs())
        self.outputs = tuple(_spec(info, border) for info in session.get_outputs() if info.name not in taps)
        self._names = [info.name for info in session.get_outputs()]

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Run once; feeds are cast to the input's dtype when that loses nothing.

        Raises:
            InputError: An input is missing or has a shape the file does not take.
        """
        missing = [spec.name for spec in self.inputs if spec.name not in feeds]
        if missing:
            raise InputError(f"no value for input {', '.join(missing)}; got {', '.join(feeds) or 'none'}")
        arrays = {spec.name: np.asarray(feeds[spec.name], spec.dtype, order="C") for spec in self.inputs}
        try:
            results = self._session.run(self._names, arrays)
        except Exception as error:  # onnxruntime raises its own classes, none of them public API
            raise InputError(f"ONNX Runtime refused the inputs: {_first_line(error)}") from error
        return dict(zip(self._names, results, strict=True))


def open_onnx(path: Path, *, taps: Sequence[str] = (), threads: int = 1, optimize: bool = True) -> OrtSession:
    """Load an .onnx file on the CPU provider, with the session options that its metadata asks for.

    Args:
        path: The file; external data is looked for beside it.
        taps: Inner values to return as well, besides the outputs.
        threads: Intra-op threads.
        optimize: False switches every graph optimisation off: the plain meaning of the file, each QDQ pair
            computed in float.

    Raises:
        ModelLoadError: The file is missing, corrupt, or holds something this ONNX Runtime cannot run.
    """
    options = session_options(threads=threads, optimize=optimize)
    try:
        if taps:
            options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(path.parent))
            source: str | bytes = _with_outputs(path, taps)
        else:
            source = str(path)
        session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
        wanted = session_entries(session.get_modelmeta().custom_metadata_map)
        if wanted:
            for key, value in wanted.items():
                options.add_session_config_entry(key, value)
            session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # see OrtSession.run
        raise ModelLoadError(f"ONNX Runtime cannot load {path.name}: {_first_line(error)}") from error
    return OrtSession(session, [tap for tap in taps if tap in {info.name for info in session.get_outputs()}])


def session_entries(metadata: Mapping[str, str]) -> dict[str, str]:
    """The session options a file asks for under "edgekit.session", those that are known and harmless.

    >>> session_entries({"edgekit.session": '{"session.x64quantprecision": "1", "session.use_env_allocators": "1"}'})
    {'session.x64quantprecision': '1'}
    """
    try:
        asked = json.loads(metadata.get(SESSION_KEY, "{}"))
    except ValueError:
        return {}
    if not isinstance(asked, dict):
        return {}
    return {key: value for key, value in asked.items() if value in SESSION_OPTIONS.get(key, ())}


def session_options(*, threads: int = 1, optimize: bool = True) -> onnxruntime.SessionOptions:
    """Quiet, sequential options, so that runs are repeatable and timing is of one thing."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    if not optimize:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return options


def _with_outputs(path: Path, taps: Sequence[str]) -> bytes:
    model = onnx.load(path, load_external_data=False)
    present = {output.name for output in model.graph.output}
    for name in taps:
        if name not in present:
            model.graph.output.append(onnx.ValueInfoProto(name=name))
    serialized: bytes = model.SerializeToString()
    return serialized


def _spec(info: onnxruntime.NodeArg, border: Mapping[str, Mapping[str, float]]) -> TensorSpec:
    shape = tuple(size if isinstance(size, int) else 1 for size in info.shape)
    free = [axis for axis, size in enumerate(info.shape) if not isinstance(size, int)]
    params = border.get(info.name, {})
    return TensorSpec(
        info.name,
        shape,
        _DTYPES.get(info.type, info.type),
        batch_axis=free[0] if free else None,
        scale=params.get("scale"),
        zero_point=int(params["zero_point"]) if "zero_point" in params else None,
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
