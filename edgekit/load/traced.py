"""Traced: what making the float ONNX file found out, whatever it was made from."""

from __future__ import annotations

from dataclasses import dataclass

from edgekit.types.finding import Finding
from edgekit.types.imported import Imported
from edgekit.types.spec import TensorSpec


@dataclass(frozen=True)
class Traced:
    """The border of the float ONNX file.

    Attributes:
        inputs: Of the ONNX file, in calling order.
        outputs: Of the ONNX file, in returning order.
        findings: What was changed on the way.
        imported: What another tool decided, when the file was quantized.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    findings: tuple[Finding, ...] = ()
    imported: Imported | None = None
