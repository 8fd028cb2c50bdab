"""Wheels for another machine: chosen and unpacked by pip, and cut down to what an inference needs."""

from __future__ import annotations

import importlib.metadata
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from edgekit.errors import InputError
from edgekit.portable.architectures import Architecture
from edgekit.portable.commands import run_program

PYTHON = (3, 11)
"""Of the runtime: that of the Debian release which it is made from."""
WHEELS = ("numpy", "onnxruntime", "ai-edge-litert")
"""All that an inference imports; what else these packages ask for serves their tools."""
LEFT_OUT = (
    "bin",
    "*.dist-info/RECORD",
    "*.dist-info/INSTALLER",
    "*.dist-info/REQUESTED",
    "*.dist-info/direct_url.json",
    "**/*.pyi",
    "numpy/**/tests",
    "numpy/_core/include",
    "numpy/_core/lib",
    "numpy/distutils",
    "numpy/f2py",
    "numpy/random/lib",
    "numpy/typing",
    "onnxruntime/backend",
    "onnxruntime/capi/libonnxruntime.so.*",  # for programs in C: Python's module has all of it once more
    "onnxruntime/datasets",
    "onnxruntime/quantization",
    "onnxruntime/tools",
    "onnxruntime/transformers",
    "ai_edge_litert/aot",
    "ai_edge_litert/tools",
    "ai_edge_litert/libLiteRtWebGpuAccelerator.so",
)
"""Glob patterns within the folder of the wheels: two thirds of 155 MB."""


def pin_installed(names: Sequence[str]) -> tuple[str, ...]:
    """Requirements that take the versions which are installed here, so that a device runs what this machine runs.

    numpy is pinned only where this Python is that of the runtime: its newest releases may have no wheel for it.

    Args:
        names: Of packages; one that has a version already ("numpy==2.2") or is not installed stays as it is.

    >>> pin_installed(["numpy==2.2.0"])
    ('numpy==2.2.0',)
    """
    pinned = []
    for name in names:
        try:
            version = importlib.metadata.version(name)
        except (importlib.metadata.PackageNotFoundError, ValueError):
            version = ""
        keep = version and (name != "numpy" or sys.version_info[:2] == PYTHON)
        pinned.append(f"{name}=={version}" if keep else name)
    return tuple(pinned)


def install_wheels(requirements: Sequence[str], architecture: Architecture, to: Path) -> None:
    """Unpack wheels for that architecture and remove what an inference does not need.

    Args:
        requirements: As pip takes them; their own dependencies are not followed.
        architecture: Of the machine that will import them.
        to: Folder that will be on its path.

    Raises:
        InputError: What should be a requirement is none.
        DeviceError: There is no such wheel, no pip here, or no network.
    """
    for requirement in requirements:
        if not requirement[:1].isalnum():
            raise InputError(f"'{requirement}' is not the name of a package", hint="write onnxruntime==1.22.0")
    version = ".".join(map(str, PYTHON))
    words = ["--no-deps", "--no-compile", "--only-binary=:all:", "--implementation=cp", "--no-input", "--quiet"]
    words += [f"--python-version={version}", f"--abi=cp{version.replace('.', '')}", f"--target={to}"]
    words += [f"--platform={tag}" for tag in architecture.platforms]
    run_program(
        (sys.executable, "-m", "pip", "install", *words, *requirements),
        doing=f"fetch the {architecture.name} wheels of {', '.join(requirements)}",
        hint=f"each needs a wheel for CPython {version} on {architecture.name} Linux; pip has to be installed here",
        environment={"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_USER": "0", "PIP_REQUIRE_VIRTUALENV": "0"},
    )
    remove_matches(to, LEFT_OUT)


def remove_matches(folder: Path, patterns: Sequence[str]) -> None:
    """Remove the files and folders that match a glob pattern; one that matches nothing is passed over."""
    for pattern in patterns:
        for found in sorted(folder.glob(pattern)):
            if found.is_dir() and not found.is_symlink():
                shutil.rmtree(found)
            else:
                found.unlink(missing_ok=True)
