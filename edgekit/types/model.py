"""Model: what loading hands on, whatever the user handed over."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgekit.types.decided import Decided
from edgekit.types.finding import Finding
from edgekit.types.imported import Imported
from edgekit.types.spec import TensorSpec


@dataclass(frozen=True)
class Model:
    """A float model as an ONNX file with static shapes.

    Attributes:
        name: For files and reports: the source file's stem, or the class of a live module.
        path: The float ONNX file; external data, where it has any, lies beside it.
        inputs: In calling order. `batch_axis` is 0 where the source left the batch free; `shape` has 1 there.
        outputs: In returning order.
        origin: What was found by looking, for example "torch.export program".
        digest: sha256 hex of the source file; "" for a live module.
        findings: What the user should know about how it was loaded.
        imported: What another tool decided, when the source was quantized: `path` is its float model then, which
            returns each imported activation too, after `outputs`.
        decided: What training decided, when the source was trained with its scales; `path` is no file then.
    """

    name: str
    path: Path
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    origin: str
    digest: str = ""
    findings: tuple[Finding, ...] = ()
    imported: Imported | None = None
    decided: Decided | None = None
