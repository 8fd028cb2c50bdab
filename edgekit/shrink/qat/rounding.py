"""The constants of one forward pass: weights, biases and operands, rounded as the quantizer would round them now."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from edgekit.shrink.qat.activations import SPEED, Table
from edgekit.shrink.qat.batchnorm import Norm, bias_of, factor_of, folded_bias, scaled
from edgekit.shrink.qat.fake_quantization import fake_quantize, round_bias
from edgekit.shrink.qat.parameters import ParameterTree
from edgekit.shrink.qat.weights import (
    WeightSpec,
    bias_and_multiplier_floor,
    least_error,
    least_scale,
    peak_scale,
    settled,
)
from edgekit.types.graph import Node
from edgekit.types.qparams import RANGES, WEIGHT_LIMIT

LOW, HIGH = RANGES["int8"]


@dataclass(frozen=True, eq=False)
class Rounded:
    """The constants of one forward pass.

    Attributes:
        tensors: constant name -> what the nodes compute with.
        factors: weight name -> factor that its node's result is divided by before its BatchNorm normalises the batch.
    """

    tensors: dict[str, Tensor]
    factors: dict[str, Tensor]


class ConstantRounding:
    """Reads the parameters of a module and rounds them; it holds no state of its own."""

    def __init__(self, tree: ParameterTree, specs: Sequence[WeightSpec], norms: Mapping[str, Norm]) -> None:
        """Round the constants of `tree`.

        Args:
            tree: Where parameters are.
            specs: The weights that become integers.
            norms: weight name -> the BatchNorm that is kept beside it.
        """
        self._tree, self._specs, self._norms = tree, specs, norms
        self._learns = False

    def float_constants(self) -> dict[str, Tensor]:
        """constant name -> float values now, BatchNorms folded; (C,) biases, weights in the graph's layout."""
        tensors = dict(self._tree.tensors())
        for name, norm in self._norms.items():
            node, factor = self._node(name), factor_of(norm)
            tensors[name] = scaled(node, tensors[name], factor)
            tensors[bias_of(node)] = folded_bias(norm, factor)
        return tensors

    def peaks(self, tensors: Mapping[str, Tensor]) -> dict[str, float]:
        """weight name -> largest magnitude, in one transfer from the device."""
        with torch.no_grad():
            peaks = torch.stack([tensors[spec.name].abs().max() for spec in self._specs]).tolist()
        return {spec.name: peak for spec, peak in zip(self._specs, peaks, strict=True)}

    def scale(self, spec: WeightSpec, tensors: Mapping[str, Tensor], table: Table) -> Tensor:
        """Scale of one weight now, float32 (C,) or (); with a gradient where it is learned."""
        weight = tensors[spec.name]
        with torch.no_grad():
            least = least_scale(spec, weight, self._floor(spec, tensors, table) if spec.is_linear else None)
            peak = peak_scale(spec, weight)
        if not self._learns:
            return settled(spec, peak, least)
        return settled(spec, self._learned(spec), least)

    def _floor(self, spec: WeightSpec, tensors: Mapping[str, Tensor], table: Table) -> Tensor:
        floors = [
            bias_and_multiplier_floor(
                tensors[bias_of(node)] if bias_of(node) else None,
                table.scales[node.inputs[0]],
                table.scales.get(node.outputs[0]),
            )
            for node in spec.readers
        ]
        return functools.reduce(torch.maximum, floors)

    def rounded(self, table: Table, tensors: Mapping[str, Tensor]) -> Rounded:
        """All constants as they are computed with, at the scales of this moment."""
        rounded, factors = dict(tensors), dict[str, Tensor]()
        for spec in self._specs:
            scale = self.scale(spec, tensors, table)
            weight, zero = tensors[spec.name], scale.new_zeros(())
            slope = (weight.numel() / max(scale.numel(), 1) * spec.limit) ** -0.5
            spread = spec.spread(scale, weight.ndim)
            rounded[spec.name] = fake_quantize(weight, spread, zero, -spec.limit, spec.limit, slope)
            norm = self._norms.get(spec.name)
            if norm is not None and norm.training:
                factors[spec.name] = factor_of(norm)
                continue
            for node in spec.readers if spec.is_linear else ():
                if bias_of(node):
                    step = (table.scales[node.inputs[0]] * scale).detach()
                    rounded[bias_of(node)] = round_bias(tensors[bias_of(node)], step)
        for name in table.qparams:
            if name in tensors:
                rounded[name] = torch.fake_quantize_per_tensor_affine(
                    tensors[name], table.scales[name], table.zeros[name], LOW, HIGH
                )
        return Rounded(rounded, factors)

    def learn_scales(self) -> None:
        """Make scales parameters beside their weights: logarithms over the first scale, which is a buffer.

        8 bits begin with the whole range, as calibration does; 4 bits where the squared error is least.
        """
        self._learns = True
        tensors = {name: tensor.detach() for name, tensor in self.float_constants().items()}
        for spec in self._specs:
            place, branch = self._tree.places[spec.name], self._tree.branch(spec.name)
            first = peak_scale(spec, tensors[spec.name]).clamp_min(1e-10)
            branch.register_buffer(f"{place.attribute}_first_scale", first)
            start = torch.zeros_like(first) if spec.limit == WEIGHT_LIMIT else least_error(spec, tensors[spec.name])
            branch.register_parameter(f"{place.attribute}_log_scale", nn.Parameter(start / SPEED))

    def _learned(self, spec: WeightSpec) -> Tensor:
        place, branch = self._tree.places[spec.name], self._tree.branch(spec.name)
        logarithm = branch.get_parameter(f"{place.attribute}_log_scale")
        return branch.get_buffer(f"{place.attribute}_first_scale") * torch.exp(SPEED * logarithm)

    def _node(self, weight: str) -> Node:
        return next(spec.readers[0] for spec in self._specs if spec.name == weight)
