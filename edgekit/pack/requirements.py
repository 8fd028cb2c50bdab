"""What a machine must have for a variant: memory, disk, and the oldest runtime that is known to run its file."""

from __future__ import annotations

from edgekit.errors import InputError
from edgekit.pack.onnx_header import OnnxHeader
from edgekit.pack.variants import LITERT, ONNXRUNTIME, Place
from edgekit.types.manifest import Requires, RuntimeNeed

OS = "linux"
MEBIBYTE = 2**20
RUNTIME_BYTES = {ONNXRUNTIME: 80 * MEBIBYTE, LITERT: 64 * MEBIBYTE}
"""Python, numpy and the runtime by themselves: 65 and 46 MiB resident were measured (onnxruntime 1.32, ai-edge-litert
2.3, x86-64)."""
COPIES = 3
"""Of the file: as read, as packed for the kernels, and the values between; EfficientNet-Lite0 takes 1.4 to 5."""
HEADROOM = 1.05
"""Peaks scatter by some percent from run to run."""

NEWEST_IR, NEWEST_OPSET, NEWEST_INT8_OPSET = 10, 21, 20
OLDEST_ONNXRUNTIME = "1.18.1"
"""Gives the bits of 1.22.0 and 1.32.0 for the int8 and float files of resnet8 and EfficientNet-Lite0 (IR 10, opset 20);
IR 10 came with 1.18."""
OLDEST_INT4_ONNXRUNTIME = "1.23.2"
"""The same of int4 files (opset 21, INT4); 1.22.0 has no kernel that unpacks them."""
OLDEST_LITERT = "2.0.2"
"""Gives the bits of 2.3.0 for int8 and int4 files."""


def ram_bytes(runtime: str, file_bytes: int, peak_rss_bytes: int) -> int:
    """Memory that a process needs to load and run a file.

    An estimate, so that two packs agree: the runtime by itself and three times the file, in whole MiB. It is doubled
    until it holds what was measured here, with 5 % to spare.

    Args:
        runtime: That runs it.
        file_bytes: Its size, external data included.
        peak_rss_bytes: Measured here, of a process that loaded and ran it; 0 where that could not be.

    >>> ram_bytes("onnxruntime", 1_000_000, 0) // MEBIBYTE
    83
    """
    estimate = -(-(RUNTIME_BYTES[runtime] + COPIES * file_bytes) // MEBIBYTE) * MEBIBYTE
    while estimate < HEADROOM * peak_rss_bytes:
        estimate *= 2
    return estimate


def oldest_runtime(place: Place, header: OnnxHeader | None) -> str:
    """Oldest version of the runtime that is known to run a file.

    Args:
        place: The variant.
        header: Of an ONNX file; None for a .tflite.

    Raises:
        InputError: The file is of a later format than edgekit writes.
    """
    if header is None:
        return OLDEST_LITERT
    if header.ir_version > NEWEST_IR or header.opset > NEWEST_OPSET:
        raise InputError(
            f"the {place.format} file has IR version {header.ir_version} and opset {header.opset}; edgekit writes at "
            f"most {NEWEST_IR} and {NEWEST_OPSET}",
            hint="compress again with this version of edgekit",
        )
    is_later = header.opset > NEWEST_INT8_OPSET or place.format.endswith("int4")
    return OLDEST_INT4_ONNXRUNTIME if is_later else OLDEST_ONNXRUNTIME


def requires(place: Place, *, minimum: str, ram: int, flash: int) -> Requires:
    """The whole of it.

    Args:
        place: The variant.
        minimum: Oldest version of its runtime.
        ram: Memory, bytes.
        flash: Disk, bytes.
    """
    return Requires(
        OS,
        place.arch,
        RuntimeNeed(place.runtime, minimum, place.provider),
        ram_bytes=ram,
        flash_bytes=flash,
        isa=place.isa,
        isa_any=place.isa_any,
    )
