"""Releases whose one model file is a change to that of the release before."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from edgekit.seal.keys import PrivateKey
from tests.bundle.building import Built, Draft, describe_file, draft, write_bundle
from tests.delta.files import BASE, moved, nudged

MODELS = {1: BASE, 2: nudged(), 3: moved(nudged()), 4: nudged(moved(nudged()), seed=4)}
"""Version -> the model file's bytes."""
FILE = "model.v0.onnx"


def related(folder: Path, key: PrivateKey, version: int, *, name: str, model: bytes | None = None) -> Built:
    """A bundle of that version in `folder`, with another model file where one is given."""
    content = draft(folder / "files", variants=1, name=name, version=version, semver=f"{version}.0.0")
    content.sources[FILE].write_bytes(MODELS[version] if model is None else model)
    files = {file.path: file for file in content.manifest.files}
    files[FILE] = describe_file(content.sources[FILE], FILE, files[FILE].role, files[FILE].media_type)
    manifest = dataclasses.replace(content.manifest, files=tuple(files[path] for path in sorted(files)))
    return write_bundle(Draft(manifest, content.sources), folder / "net.edgekit", key)
