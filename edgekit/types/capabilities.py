"""Capabilities: what a machine has, as far as it decides which variant of a bundle it can run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Capabilities:
    """One machine.

    Attributes:
        os: As OCI and Go write it: "linux".
        arch: As OCI and Go write it: "amd64", "arm64", "arm".
        isa: Extensions of `edgekit.types.cpu.ISA` that it has, sorted.
        cpu: Name of the processor, for people.
        ram_bytes: Physical memory, or the limit that a container sets.
        disk_bytes: Free on the file system of the node's folder.
        runtimes: "onnxruntime", "litert", "tflite-runtime" -> installed version; what is absent cannot be used.
            `tflite-runtime` is LiteRT's older build and counts its versions otherwise, so it stands for itself.
        providers: Runtime -> the execution providers that its build and this machine's devices offer, "cpu" first.
    """

    os: str
    arch: str
    isa: tuple[str, ...]
    cpu: str
    ram_bytes: int
    disk_bytes: int
    runtimes: Mapping[str, str]
    providers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
