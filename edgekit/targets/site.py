"""Site: one node of an ONNX file as its quantization looks to a runtime. The rules of the targets read nothing else."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper

from edgekit.types.qparams import Array


@dataclass(frozen=True)
class Params:
    """Integers that stand for reals, as a Q or DQ node has them.

    Attributes:
        dtype: numpy name of the integer type; "" when unknown.
        scale: Its values, or None when computed at run time or stored outside the file.
        zero_point: Its values, zeros where the node has none; None as for `scale`.
    """

    dtype: str
    scale: Array | None
    zero_point: Array | None

    @property
    def per_tensor(self) -> bool:
        """Whether one scale serves the whole tensor."""
        return self.scale is not None and self.scale.size == 1

    @property
    def is_symmetric(self) -> bool:
        """Whether 0 is integer 0 everywhere."""
        return self.zero_point is not None and not self.zero_point.any()

    def same(self, other: Params) -> bool:
        """Whether both mean the same reals, as far as that is known."""
        if self.dtype != other.dtype or self.scale is None or other.scale is None:
            return False
        zeros = self.zero_point, other.zero_point
        return np.array_equal(self.scale, other.scale) and zeros[0] is not None and np.array_equal(*zeros)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Feed:
    """One input of a node.

    Attributes:
        name: Its name in the file.
        params: What it is dequantized from; None for a float (or index) input.
        constant: Whether the integers, or the floats, are stored in the file.
        source: Name of the integers, "" when it is not dequantized.
        readers: Nodes that read the same integers, each input slot counted, graph outputs too.
        quantized_here: Whether a QuantizeLinear of the file makes the integers.
    """

    name: str
    params: Params | None = None
    constant: bool = False
    source: str = ""
    readers: int = 1
    quantized_here: bool = False


@dataclass(frozen=True)
class Sink:
    """One output of a node.

    Attributes:
        params: Of the one QuantizeLinear that reads it (behind a Relu or Clip that saturation makes redundant); None
            where it is not quantized.
        alone: Whether nothing but that QuantizeLinear reads it.
        readers: As for a Feed, of the integers.
        stays_integer: Whether an operator on integers reads what the QuantizeLinear writes.
        clip: A Relu or Clip in between that saturation does not replace, by operator name; "" when there is none.
        unread: Whether nothing reads it and it is no graph output.
    """

    params: Params | None = None
    alone: bool = False
    readers: int = 1
    stays_integer: bool = False
    clip: str = ""
    unread: bool = False


@dataclass(frozen=True)
class Site:
    """One node that computes, with its surroundings.

    Attributes:
        node: As in the file.
        label: Torch module where the file names it, else the node's name.
        kind: What it computes on if nothing is fused: "float" between Q and DQ, "int8" for operators on integers.
        feeds: Its inputs; absent optional ones are left out.
        sinks: Its outputs.
        opset: Of the default domain.
        vanishes: Whether it is a Relu or Clip that saturation of the quantizer behind it replaces.
    """

    node: onnx.NodeProto
    label: str
    kind: str
    feeds: tuple[Feed, ...]
    sinks: tuple[Sink, ...]
    opset: int
    vanishes: bool = False

    @property
    def op(self) -> str:
        """Operator name."""
        return self.node.op_type

    @property
    def dequantized(self) -> tuple[Feed, ...]:
        """The inputs that are dequantized."""
        return tuple(feed for feed in self.feeds if feed.params is not None)

    def attribute(self, name: str, default: object = None) -> object:
        """An attribute's value."""
        for attribute in self.node.attribute:
            if attribute.name == name:
                return helper.get_attribute_value(attribute)
        return default
