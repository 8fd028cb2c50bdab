"""LiteRT's C library through ctypes: as much of it as a profile needs.

Signatures and `Event` are those of litert/c in google-ai-edge/LiteRT, release 2.3.0. Whatever can be checked before
memory is read is checked, the size of an event above all. Nothing is ever freed: the process ends with the profile.
"""

from __future__ import annotations

import ctypes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

OPERATOR = 1 << 1
"""Kind of an event: an operator that the interpreter runs itself; `node` is its number in the file."""
DELEGATED = 1 << 3
"""An operator within a delegate; `node` is its number there."""
_CPU = 1
_FILL = 0xA5
_POINTER = ctypes.c_void_p
_SIZE = ctypes.c_size_t
_RELEASE = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class _RawEvent(ctypes.Structure):
    """`ProfiledEventData` of litert_profiler_event.h."""

    _fields_ = (
        ("tag", ctypes.c_char_p),
        ("kind", ctypes.c_int),
        ("start_us", ctypes.c_uint64),
        ("elapsed_us", ctypes.c_uint64),
        ("memory", ctypes.c_uint64 * 6),
        ("node", ctypes.c_uint64),
        ("subgraph", ctypes.c_uint64),
        ("source", ctypes.c_int),
    )


class Event:
    """One operator, once: what it is, its number (see `OPERATOR`, `DELEGATED`) and its wall time."""

    def __init__(self, tag: str, kind: int, node: int, elapsed_us: int) -> None:
        self.tag = tag
        self.kind = kind
        self.node = node
        self.elapsed_us = elapsed_us


class Node:
    """One operator of the file.

    Attributes:
        code: Number of the builtin operator.
        inputs: Its tensors, constants included: handle -> name.
        outputs: The same of what it makes.
    """

    def __init__(self, code: int, inputs: dict[int, str], outputs: dict[int, str]) -> None:
        self.code = code
        self.inputs = inputs
        self.outputs = outputs


class ProfiledModel:
    """A .tflite file, compiled for the CPU with its profiler, all inputs 0.

    Raises:
        ValueError: The library lacks a function, or refuses what it is asked for.
        OSError: The library cannot be loaded.
    """

    def __init__(self, library: str, file: str, threads: int) -> None:
        self._library = ctypes.CDLL(library)
        self._kept: list[Any] = []
        environment = self._made("LiteRtCreateEnvironment", 0, None)
        self._model = self._made("LiteRtCreateModelFromFile", environment, file.encode())
        options = self._made("LiteRtCreateOptions")
        self._call("LiteRtSetOptionsHardwareAccelerators", options, _CPU)
        self._add(options, b"runtime_options_string", "enable_profiling = true\n")
        self._add(options, b"xnnpack", f"num_threads = {threads}\n")
        self._compiled = self._made("LiteRtCreateCompiledModel", environment, self._model, options)
        signature = self._made("LiteRtGetModelSignature", self._model, _SIZE(0))
        self._inputs = self._buffers(environment, signature, "Input")
        self._outputs = self._buffers(environment, signature, "Output")
        self._profiler = self._made("LiteRtCompiledModelGetProfiler", self._compiled)

    def run(self, runs: int) -> None:
        """Infer so many times."""
        for _ in range(runs):
            self._call(
                "LiteRtRunCompiledModel",
                self._compiled,
                _SIZE(0),
                _SIZE(len(self._inputs)),
                self._inputs,
                _SIZE(len(self._outputs)),
                self._outputs,
            )

    def start(self) -> None:
        """Begin to collect events."""
        self._call("LiteRtStartProfiler", self._profiler)

    def events(self) -> list[Event]:
        """Operators since `start`, in the order of execution.

        Raises:
            ValueError: Events are not laid out as in 2.3.0.
        """
        self._call("LiteRtStopProfiler", self._profiler)
        count = ctypes.c_int()
        self._call("LiteRtGetNumProfilerEvents", self._profiler, ctypes.byref(count))
        if count.value < 1:
            raise ValueError("the profiler collected nothing")
        raw = (_RawEvent * (4 * count.value))()
        ctypes.memset(raw, _FILL, ctypes.sizeof(raw))
        self._call("LiteRtGetProfilerEvents", self._profiler, count.value, raw)
        size = ctypes.sizeof(_RawEvent)
        written = len(bytes(raw).rstrip(bytes([_FILL])))
        if not (count.value - 1) * size < written <= count.value * size:
            raise ValueError(f"{count.value} events take {written} bytes; this agent knows events of {size} bytes")
        return [
            Event((event.tag or b"").decode("utf-8", "replace"), event.kind, event.node, event.elapsed_us)
            for event in raw[: count.value]
            if event.kind in (OPERATOR, DELEGATED)
        ]

    def nodes(self) -> list[Node]:
        """Operators of the file's main subgraph, by their number."""
        place = self._number("LiteRtGetMainModelSubgraphIndex", self._model)
        subgraph = self._made("LiteRtGetModelSubgraph", self._model, _SIZE(place))
        found: list[Node] = []
        for position in range(self._number("LiteRtGetNumSubgraphOps", subgraph)):
            node = self._made("LiteRtGetSubgraphOp", subgraph, _SIZE(position))
            code = ctypes.c_int()
            self._call("LiteRtGetOpCode", node, ctypes.byref(code))
            found.append(Node(code.value, self._tensors(node, "Input"), self._tensors(node, "Output")))
        return found

    def _tensors(self, node: Any, side: str) -> dict[int, str]:
        found: dict[int, str] = {}
        for position in range(self._number(f"LiteRtGetNumOp{side}s", node)):
            tensor = self._made(f"LiteRtGetOp{side}", node, _SIZE(position))
            name = ctypes.c_char_p()
            if tensor.value:  # an optional input may be absent
                self._call("LiteRtGetTensorName", tensor, ctypes.byref(name))
                found[tensor.value] = (name.value or b"").decode("utf-8", "replace")
        return found

    def _buffers(self, environment: Any, signature: Any, side: str) -> Any:
        """One buffer of zeros for each input or output."""
        count = self._number(f"LiteRtGetNumSignature{side}s", signature)
        buffers = (_POINTER * count)()
        for position in range(count):
            tensor = self._made(f"LiteRtGetSignature{side}TensorByIndex", signature, _SIZE(position))
            kind = ctypes.create_string_buffer(1024)  # LiteRtRankedTensorType has 72 bytes; only handed on
            self._call("LiteRtGetRankedTensorType", tensor, kind)
            wanted = self._made(
                f"LiteRtGetCompiledModel{side}BufferRequirements", self._compiled, _SIZE(0), _SIZE(position)
            )
            buffer = self._made("LiteRtCreateManagedTensorBufferFromRequirements", environment, kind, wanted)
            self._call("LiteRtClearTensorBuffer", buffer)
            buffers[position] = buffer.value
        return buffers

    def _add(self, options: Any, group: bytes, text: str) -> None:
        """Options of one group, as the TOML that the C++ side writes."""
        payload = ctypes.create_string_buffer(text.encode())
        release = _RELEASE(lambda _: None)
        self._kept += [payload, release]
        opaque = self._made("LiteRtCreateOpaqueOptions", group, ctypes.cast(payload, _POINTER), release)
        self._call("LiteRtAddOpaqueOptions", options, opaque)

    def _made(self, function: str, *arguments: Any) -> Any:
        """Call a function whose last argument takes a handle; the handle."""
        handle = _POINTER()
        self._call(function, *arguments, ctypes.byref(handle))
        return handle

    def _number(self, function: str, *arguments: Any) -> int:
        number = _SIZE()
        self._call(function, *arguments, ctypes.byref(number))
        return number.value

    def _call(self, function: str, *arguments: Any) -> None:
        try:
            called = getattr(self._library, function)
        except AttributeError as error:
            raise ValueError(f"LiteRT there has no {function}") from error
        called.restype = ctypes.c_int
        status = called(*arguments)
        if status:
            raise ValueError(f"{function} gives status {status}")
