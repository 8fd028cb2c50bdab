"""Which runtimes are installed, in which version and with which providers, without importing any.

One module comes in several distributions: `onnxruntime` also as `onnxruntime-gpu` and others, LiteRT as
`ai-edge-litert` and, older, as `tflite-runtime`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import metadata, util
from pathlib import Path

from edgekit.node.versions import version_order

ONNXRUNTIME, LITERT, TFLITE_RUNTIME = "onnxruntime", "litert", "tflite-runtime"
MODULES = {ONNXRUNTIME: "onnxruntime", LITERT: "ai_edge_litert", TFLITE_RUNTIME: "tflite_runtime"}
DISTRIBUTIONS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    ONNXRUNTIME: {
        "onnxruntime": (),
        "onnxruntime-gpu": ("cuda", "tensorrt"),
        "onnxruntime-openvino": (),
        "onnxruntime-qnn": (),
        "onnxruntime-rocm": (),
        "onnxruntime-migraphx": (),
        "onnxruntime-cann": (),
        "onnxruntime-training": (),
    },
    LITERT: {"ai-edge-litert": ("xnnpack",), "ai-edge-litert-nightly": ("xnnpack",)},
    TFLITE_RUNTIME: {"tflite-runtime": ("xnnpack",), "tflite-runtime-nightly": ("xnnpack",)},
}
"""Runtime -> distribution -> providers beside "cpu" that it is built with, of those that `edgekit.agent` knows."""
GPU_FILES = (Path("/dev/nvidiactl"), Path("/dev/nvhost-ctrl-gpu"), Path("/dev/nvgpu"))
"""One of them is there where NVIDIA's driver runs: on PCs and servers, and on Jetsons."""


def installed_runtimes() -> dict[str, str]:
    """Runtime -> version, of those that are installed.

    Where several distributions of one module are, which of them its files are from cannot be told: the oldest counts.
    """
    found: dict[str, str] = {}
    for runtime, distributions in DISTRIBUTIONS.items():
        versions = [version for name in distributions if (version := _version(name))]
        if versions and util.find_spec(MODULES[runtime]):
            found[runtime] = min(versions, key=_order)
    return found


def offered_providers(runtimes: Iterable[str], *, gpu_files: Iterable[Path] = GPU_FILES) -> dict[str, tuple[str, ...]]:
    """Runtime -> execution providers, "cpu" first.

    Args:
        runtimes: Those that are installed.
        gpu_files: Without any of them nothing is said to run on a GPU.
    """
    has_gpu = any(file.exists() for file in gpu_files)
    return {
        runtime: ("cpu", *(word for word in _built_in(runtime) if has_gpu or word not in ("cuda", "tensorrt")))
        for runtime in runtimes
    }


def _built_in(runtime: str) -> tuple[str, ...]:
    found = (words for name, words in DISTRIBUTIONS[runtime].items() if _version(name))
    return tuple(dict.fromkeys(word for words in found for word in words))


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except (metadata.PackageNotFoundError, ValueError):
        return ""


def _order(version: str) -> tuple[object, ...]:
    """Versions that cannot be read count as the oldest."""
    try:
        return (1, version_order(version))
    except ValueError:
        return (0,)
