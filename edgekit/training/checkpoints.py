"""Checkpoints of a training run: whole or not there, free of pickle, and never taken for those of another run.

One checkpoint is one safetensors file. Its tensors are weights, optimizer and random states; its header holds scalars
as JSON, with a digest of the tensors, so that damage is seen. The newest two are kept: when one is damaged, the other
serves.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from edgekit import digest
from edgekit.errors import InputError, StorageError, TrainingError
from edgekit.types.finding import Finding

KEPT = 2
_KEY = "edgekit.training"
_VERSION = 1
_LARGEST_FACTS = 64_000_000
"""Bytes of JSON; a history of a hundred thousand epochs has a tenth of it."""

Facts = Mapping[str, Any]
"""What JSON can say."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """State of a run between two steps.

    Attributes:
        tensors: Name with a prefix -> tensor on the CPU: "model/...", "optimizer/...".
        facts: Scalars.
    """

    tensors: Mapping[str, Tensor]
    facts: Facts

    def part(self, prefix: str) -> dict[str, Tensor]:
        """The tensors whose names begin with `prefix/`, without it."""
        start = f"{prefix}/"
        return {name.removeprefix(start): value for name, value in self.tensors.items() if name.startswith(start)}


class CheckpointFolder:
    """Where a run keeps its checkpoints.

    Attributes:
        path: The folder; made when the first is written.
    """

    def __init__(self, path: str | os.PathLike[str], identity: Facts) -> None:
        """Use a folder.

        Args:
            path: Of its own for each run.
            identity: What decides the run, as nested JSON; a checkpoint of another identity is refused.
        """
        self.path = Path(path)
        self._identity = json.loads(digest.canonical_json(identity))

    def save(self, step: int, tensors: Mapping[str, Tensor], facts: Facts) -> Path:
        """Write the checkpoint of a step and remove all but the newest.

        Raises:
            StorageError: The folder cannot be written.
        """
        whole = {name: value.detach().to("cpu", copy=True).contiguous() for name, value in tensors.items()}
        header = {"version": _VERSION, "identity": self._identity, "digest": _digest(whole), "facts": facts}
        target = self.path / f"step-{step:010}.safetensors"
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            _write(whole, {_KEY: digest.canonical_json(header)}, target)
            for old in self.files()[KEPT:]:
                old.unlink(missing_ok=True)
        except (OSError, SafetensorError) as error:
            raise StorageError(
                f"cannot write a checkpoint to {self.path}: {error}", hint="free some space, or choose another folder"
            ) from error
        return target

    def files(self) -> list[Path]:
        """The checkpoints, the newest first."""
        return sorted(self.path.glob("step-*.safetensors"), reverse=True)

    def latest(self) -> tuple[Checkpoint | None, tuple[Finding, ...]]:
        """The newest checkpoint that is whole, and a finding for each damaged one; None in an empty folder.

        Raises:
            InputError: It belongs to another run; the message says what differs.
            TrainingError: There are checkpoints and all are damaged.
        """
        findings = []
        for file in self.files():
            try:
                header, tensors = _read(file)
            except (SafetensorError, OSError, ValueError, KeyError) as error:
                findings.append(Finding("checkpoint-damaged", f"a checkpoint cannot be used: {error}", where=str(file)))
                continue
            self._require_same(header["identity"], file)
            return Checkpoint(tensors, header["facts"]), tuple(findings)
        if findings:
            raise TrainingError(
                f"all {len(findings)} checkpoints in {self.path} are damaged: {findings[0].message}",
                hint="to start from the beginning, remove the folder or name another",
            )
        return None, ()

    def _require_same(self, stored: Facts, file: Path) -> None:
        differences = _differences(stored, self._identity)
        if differences:
            shown = "; ".join(differences[:4]) + (f"; and {len(differences) - 4} more" if len(differences) > 4 else "")
            raise InputError(
                f"the checkpoint {file} is of another run: {shown}",
                hint="call with the settings of then, or name another checkpoint folder",
            )


def _differences(stored: Any, wanted: Any, place: str = "") -> list[str]:
    if isinstance(stored, dict) and isinstance(wanted, dict):
        found = []
        for name in dict.fromkeys([*stored, *wanted]):
            found += _differences(stored.get(name), wanted.get(name), f"{place}.{name}" if place else name)
        return found
    return [] if stored == wanted else [f"{place} was {stored}, now it is {wanted}"]


def _write(tensors: Mapping[str, Tensor], metadata: dict[str, str], target: Path) -> None:
    for left in target.parent.glob(".step-*.part"):
        left.unlink(missing_ok=True)
    handle, name = tempfile.mkstemp(prefix=".step-", suffix=".part", dir=target.parent)
    os.close(handle)
    try:
        save_file(dict(tensors), name, metadata)
        with open(name, "rb") as stream:
            os.fsync(stream.fileno())
        os.replace(name, target)
    finally:
        Path(name).unlink(missing_ok=True)


def _read(file: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    with safe_open(file, framework="pt") as stream:
        text = (stream.metadata() or {})[_KEY]
        if len(text) > _LARGEST_FACTS:
            raise ValueError(f"its header has {len(text)} bytes, more than {_LARGEST_FACTS}")
        header = json.loads(text, object_pairs_hook=_once_each)
        tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118
    if not isinstance(header, dict) or header.get("version") != _VERSION:
        raise ValueError("its header is not of this version")
    if not isinstance(header["identity"], dict) or not isinstance(header["facts"], dict):
        raise ValueError("its header has no identity or no facts")
    if header["digest"] != _digest(tensors):
        raise ValueError("its tensors are not those that were written")
    return header, tensors


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("its header names something twice")
    return found


def _digest(tensors: Mapping[str, Tensor]) -> str:
    """One name for all tensors: of their names, types, shapes and bytes."""
    parts = []
    for name in sorted(tensors):
        value = tensors[name].contiguous()
        data = hashlib.sha256(as_bytes(value))
        parts.append(f"{name} {value.dtype} {tuple(value.shape)} {data.hexdigest()}")
    return digest.of_bytes("\n".join(parts).encode())


def as_bytes(value: Tensor) -> memoryview:
    """The bytes of a tensor on the CPU, without a copy where it is contiguous."""
    array: Any = value.flatten().view(torch.uint8).numpy() if value.numel() else b""
    return memoryview(array)


def state_digest(tensors: Mapping[str, Tensor]) -> str:
    """Digest of a module's state, wherever it lies."""
    return _digest({name: value.detach().cpu() for name, value in tensors.items()})
