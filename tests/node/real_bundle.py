"""A bundle whose model runs: a net as ONNX, with the answers of this machine's runtime."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from edgekit.types.manifest import Lineage, Manifest, Role
from tests.bundle.building import Draft, describe_file
from tests.node.scene import MODEL
from tests.node.variants import onnx_variant


def content(folder: Path, version: int) -> Draft:
    """Of the file `net.onnx` in a folder; golden files are written beside it."""
    variant = onnx_variant(folder, "net.onnx")
    files = tuple(
        describe_file(
            folder / path, path, Role.MODEL if path == "net.onnx" else Role.GOLDEN, "application/octet-stream"
        )
        for path in sorted(variant.files)
    )
    manifest = Manifest(
        MODEL, version, f"{version}.0.0", "Apache-2.0", "edgekit-ml 0", files,
        (replace(variant, files=tuple(sorted(variant.files))),), Lineage("ab" * 32, "", ""),
    )  # fmt: skip
    return Draft(manifest, {file.path: folder / file.path for file in files})
