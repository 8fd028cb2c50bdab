"""Imported: what another tool decided about a model, taken out of the file it wrote.

A quantized file is a float model plus this. So importing one is loading the float model, simplifying it as any other,
and imposing these numbers on the graph; every exporter and every check then applies.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from edgekit.types.finding import Finding
from edgekit.types.qparams import Array, QParams


@dataclass(frozen=True, eq=False)
class StoredConstant:
    """A weight, bias or constant operand as the file has it.

    Attributes:
        params: "int8" (unsigned ones moved by 128) or "int32"; zero points as in the file.
        integers: Of that dtype and of the shape of the tensor.
    """

    params: QParams
    integers: Array

    @property
    def reals(self) -> Array:
        """float32 that the integers stand for."""
        return self.params.dequantize(self.integers)


@dataclass(frozen=True, eq=False)
class Imported:
    """Scales, zero points and integers of another tool.

    Attributes:
        source: Who made them, for reports: "onnx.quantize 0.1.0", "onnxruntime 1.32.0".
        outputs: Results of the model, in order. A float file made from a quantized one returns each tensor of
            `activations` as well, after these, so that simplification keeps the tensor and its name.
        activations: float tensor name -> int8 per-tensor QParams.
        constants: float tensor name -> its integers.
        requantized: Those of `activations` whose node, a Max of one value with itself, stands for a change of scale.
        findings: What the user should know.
    """

    source: str
    outputs: tuple[str, ...]
    activations: Mapping[str, QParams]
    constants: Mapping[str, StoredConstant] = field(default_factory=dict)
    requantized: frozenset[str] = frozenset()
    findings: tuple[Finding, ...] = ()
