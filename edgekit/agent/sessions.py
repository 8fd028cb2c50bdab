"""A file in its runtime: what it takes and gives, one inference as a plain call, and feeds in the model's axis order.

ONNX Runtime is driven through a binding, LiteRT through its interpreter, so that a timed call is the runtime's own
work and neither copies inputs nor looks names up.
"""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod

from edgekit.agent.events import RefusalError, first_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "xnnpack": "XnnpackExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
_DTYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(int64)": "int64",
    "tensor(int32)": "int32",
    "tensor(int16)": "int16",
    "tensor(uint16)": "uint16",
    "tensor(int8)": "int8",
    "tensor(uint8)": "uint8",
    "tensor(bool)": "bool",
}


class Tensor:
    """One input or output: name, shape in the model's axis order, dtype, and what its integers stand for."""

    def __init__(self, name: str, shape: list[int], dtype: str, scale: float | None, zero_point: int | None) -> None:
        self.name = name
        self.shape = shape
        self.dtype = dtype
        self.scale = scale
        self.zero_point = zero_point


class Session(ABC):
    """One loaded file. `feed` puts a sample in place, `run` is one inference, `results` reads what came of it.

    Attributes:
        inputs: What it takes.
        outputs: What it gives.
        load_ns: Wall time of loading.
        run: One inference on what was fed last; the call that is measured.
    """

    inputs: list[Tensor]
    outputs: list[Tensor]
    load_ns: int
    run: Callable[[], object]

    @abstractmethod
    def feed(self, arrays: Mapping[str, Any]) -> None:
        """Arrays by input name, in the model's axis order and the input's dtype."""

    @abstractmethod
    def results(self) -> dict[str, Any]:
        """Arrays by output name, in the model's axis order, as stored."""


def import_runtime(runtime: str) -> tuple[Any, int]:
    """The runtime's module, and the wall time of importing it, nanoseconds.

    Raises:
        RefusalError: It is not installed, or cannot be imported.
    """
    start = time.perf_counter_ns()
    try:
        if runtime == "onnxruntime":
            import onnxruntime

            onnxruntime.set_default_logger_severity(4)
            return onnxruntime, time.perf_counter_ns() - start
        try:
            from ai_edge_litert import interpreter
        except ImportError:
            from tflite_runtime import interpreter
        return interpreter, time.perf_counter_ns() - start
    except ImportError as error:
        package = "onnxruntime" if runtime == "onnxruntime" else "ai-edge-litert"
        raise RefusalError("no-runtime", "Python there has no " + package + ": " + first_line(error)) from error


def open_session(module: Any, subject: Mapping[str, Any]) -> Session:
    """Load the file of a subject.

    Raises:
        RefusalError: The runtime refuses the file, or has not the provider that is asked for.
    """
    kind = OrtSession if subject["runtime"] == "onnxruntime" else LitertSession
    try:
        return kind(module, subject)
    except RefusalError:
        raise
    except Exception as error:  # each runtime raises its own classes, none of them public
        message = "the runtime refuses " + str(subject["file"]) + ": " + first_line(error)
        raise RefusalError("refused", message) from error


class OrtSession(Session):
    """A .onnx file in ONNX Runtime.

    Attributes:
        entries: Session options that the file asks for, of those the host allows.
    """

    def __init__(self, module: Any, subject: Mapping[str, Any]) -> None:
        self._module = module
        session, self.load_ns = self._load(subject, {})
        metadata = dict(session.get_modelmeta().custom_metadata_map)
        self.entries = _wanted_entries(metadata, subject.get("session", {}))
        if self.entries:
            session, self.load_ns = self._load(subject, self.entries)
        self._session = session
        scales = _json(metadata.get("edgekit.border", "{}"))
        decoded = _json(metadata.get("edgekit.scales", "{}"))
        batch = int(subject["batch"])
        fixed = [info.shape for info in session.get_inputs() if info.shape and info.shape[0] != batch]
        if batch > 1 and any(isinstance(shape[0], int) for shape in fixed):
            raise RefusalError("refused", "the file does not take a batch of " + str(batch))
        self.inputs = [_tensor(info, scales, batch) for info in session.get_inputs()]
        self.outputs = [_tensor(info, scales or decoded, batch) for info in session.get_outputs()]
        self._binding = session.io_binding()
        for tensor in self.outputs:
            self._binding.bind_output(tensor.name)
        binding, bound = self._binding, session.run_with_iobinding
        self.run = lambda: bound(binding)

    def _load(self, subject: Mapping[str, Any], entries: Mapping[str, str]) -> tuple[Any, int]:
        options = self.options(self._module, subject, entries)
        providers = self.providers(self._module, subject)
        start = time.perf_counter_ns()
        session = self._module.InferenceSession(subject["file"], options, providers=providers)
        took = time.perf_counter_ns() - start
        wanted = PROVIDERS[subject["provider"]]
        if wanted not in session.get_providers():
            raise RefusalError("no-provider", "ONNX Runtime could not start " + wanted + " there")
        return session, took

    @staticmethod
    def options(module: Any, subject: Mapping[str, Any], entries: Mapping[str, str]) -> Any:
        """Quiet, sequential session options with the threads of the subject."""
        options = module.SessionOptions()
        options.intra_op_num_threads = int(subject["threads"])
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        for key, value in entries.items():
            options.add_session_config_entry(key, value)
        return options

    @staticmethod
    def providers(module: Any, subject: Mapping[str, Any]) -> list[Any]:
        """The provider that was asked for, and the CPU for what it leaves.

        Raises:
            RefusalError: This build of ONNX Runtime has not got it.
        """
        wanted = PROVIDERS[subject["provider"]]
        available = module.get_available_providers()
        if wanted not in available:
            raise RefusalError("no-provider", "ONNX Runtime there has " + ", ".join(available) + ", not " + wanted)
        if wanted == PROVIDERS["cpu"]:
            return [wanted]
        settings = {"intra_op_num_threads": str(subject["threads"])} if subject["provider"] == "xnnpack" else {}
        return [(wanted, settings), PROVIDERS["cpu"]]

    def feed(self, arrays: Mapping[str, Any]) -> None:
        """See Session."""
        for tensor in self.inputs:
            self._binding.bind_cpu_input(tensor.name, arrays[tensor.name])

    def results(self) -> dict[str, Any]:
        """See Session."""
        values = self._binding.copy_outputs_to_cpu()
        return {tensor.name: value for tensor, value in zip(self.outputs, values)}


class LitertSession(Session):
    """A .tflite file in LiteRT."""

    def __init__(self, module: Any, subject: Mapping[str, Any]) -> None:
        if subject["provider"] not in ("cpu", "xnnpack"):
            raise RefusalError("no-provider", "LiteRT runs on the CPU, not on " + str(subject["provider"]))
        start = time.perf_counter_ns()
        interpreter = module.Interpreter(model_path=subject["file"], num_threads=int(subject["threads"]))
        try:
            _resize(interpreter, int(subject["batch"]))
            interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            if int(subject["batch"]) == 1:
                raise
            message = "the file was written for another batch than " + str(subject["batch"]) + ": " + first_line(error)
            raise RefusalError("refused", message) from error
        self.load_ns = time.perf_counter_ns() - start
        self._interpreter = interpreter
        border = subject.get("border") or {}
        scales = border.get("scales", {})
        self._inputs = _stored(interpreter.get_input_details(), border.get("inputs", []), scales)
        self._outputs = _stored(interpreter.get_output_details(), border.get("outputs", []), scales)
        self.inputs = [tensor for tensor, _, _ in self._inputs]
        self.outputs = [tensor for tensor, _, _ in self._outputs]
        self.run = interpreter.invoke

    def feed(self, arrays: Mapping[str, Any]) -> None:
        """See Session."""
        self._interpreter.reset_all_variables()
        for tensor, index, axes in self._inputs:
            self._interpreter.set_tensor(index, arrays[tensor.name].transpose(axes).copy())

    def results(self) -> dict[str, Any]:
        """See Session."""
        found = {}
        for tensor, index, axes in self._outputs:
            back = [axes.index(axis) for axis in range(len(axes))]
            found[tensor.name] = self._interpreter.get_tensor(index).transpose(back)
        return found


def _resize(interpreter: Any, batch: int) -> None:
    """Give the first axis of every input the batch; a file says 1."""
    if batch > 1:
        for detail in interpreter.get_input_details():
            interpreter.resize_tensor_input(detail["index"], [batch, *(int(size) for size in detail["shape"][1:])])


def _stored(details: Any, entries: list[Any], scales: Mapping[str, Any]) -> list[tuple[Tensor, int, list[int]]]:
    """Tensor in the model's axis order, its index, and how the file permutes it.

    A float tensor that was integers a moment ago has its scale from `scales`.
    """
    found = []
    for position, detail in enumerate(details):
        entry = entries[position] if len(entries) == len(details) else {}
        stored = [int(size) for size in detail["shape"]]
        axes = [int(axis) for axis in entry.get("permutation") or range(len(stored))]
        name = str(entry.get("name", detail["name"]))
        params = detail["quantization_parameters"]
        told = scales.get(name, {})
        scale, zero_point = told.get("scale"), told.get("zero_point")
        if len(params["scales"]) == 1:
            scale, zero_point = float(params["scales"][0]), int(params["zero_points"][0])
        shape = [stored[axes.index(axis)] for axis in range(len(stored))]
        found.append((Tensor(name, shape, _dtype_name(detail["dtype"]), scale, zero_point), int(detail["index"]), axes))
    return found


def _tensor(info: Any, scales: Mapping[str, Any], batch: int) -> Tensor:
    """A free first axis takes the batch, any other free axis takes 1."""
    shape = [size if isinstance(size, int) else (batch if axis == 0 else 1) for axis, size in enumerate(info.shape)]
    params = scales.get(info.name, {})
    return Tensor(info.name, shape, _DTYPES.get(info.type, info.type), params.get("scale"), params.get("zero_point"))


def _wanted_entries(metadata: Mapping[str, str], allowed: Mapping[str, Any]) -> dict[str, str]:
    """Session options that the file asks for, of those the host allows: option -> values."""
    asked = _json(metadata.get("edgekit.session", "{}"))
    return {key: value for key, value in asked.items() if value in allowed.get(key, ())}


def _json(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _dtype_name(dtype: Any) -> str:
    import numpy

    return str(numpy.dtype(dtype))
