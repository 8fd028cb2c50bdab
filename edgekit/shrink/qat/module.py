"""QatModule: a torch module that computes what the int8 files will, and whose weights learn to live with it.

It runs the simplified graph, so that what is trained is what is written: the same folded weights, the same values
rounded, the same ties. In every step weights and biases are rounded as the quantizer would round them at that moment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from edgekit.errors import ShrinkError
from edgekit.shrink.qat.activations import ActivationRanges, Table, moves_integers
from edgekit.shrink.qat.batchnorm import bias_of, normalised, restore
from edgekit.shrink.qat.fake_quantization import fake_quantize
from edgekit.shrink.qat.parameters import ParameterTree
from edgekit.shrink.qat.rounding import ConstantRounding, Rounded
from edgekit.shrink.qat.settings import QatSettings
from edgekit.shrink.qat.signature import Signature, refuse_unfit
from edgekit.shrink.qat.weights import (
    WeightSpec,
    weight_specs,
)
from edgekit.shrink.quantization.histogram import Histogram
from edgekit.shrink.quantization.quantize import Layout, lay_out
from edgekit.shrink.synthesis.torch_executor import at_batch, last_uses
from edgekit.shrink.synthesis.torch_operators import FUNCTIONS
from edgekit.types.batchnorm import BatchNormStatistics
from edgekit.types.decided import Decided
from edgekit.types.finding import Finding, Severity
from edgekit.types.graph import Graph, Node
from edgekit.types.qparams import RANGES

LOW, HIGH = RANGES["int8"]
FOUR_BITS = Finding(
    "trained-for-4-bits",
    "weights take the integers -7..7 only, and the files hold them as int8: they are not smaller, and as fast as int8",
    Severity.NOTE,
    hint="for small files see docs/int4.md, which keeps activations in float; hardware that packs int4 itself gains",
)


@dataclass(frozen=True, eq=False)
class QatSource:
    """What a QatModule is made from.

    Attributes:
        graph: Simplified float graph.
        histograms: What `observe` returned for it.
        batchnorms: Statistics of the BatchNorms that were folded.
        signature: How the original module is called.
        name: Of the model, for files and reports.
        findings: What loading and simplifying found.
    """

    graph: Graph
    histograms: Mapping[str, Histogram]
    batchnorms: tuple[BatchNormStatistics, ...] = ()
    signature: Signature | None = None
    name: str = "model"
    findings: tuple[Finding, ...] = field(default=())


class QatModule(nn.Module):
    """A graph that rounds as its int8 files will; trained in any loop, finished by `finish`.

    Parameters are called like those of the original module, below `net`: `net.layer1.0.conv1.weight`. Embedding tables
    and constant operands are rounded too, and not trained.

    Attributes:
        net: Weights, biases, other constants, and BatchNorms that were kept.
        ranges: Ranges of the activations.
        settings: What was asked for.
        layout: The float graph to be int8.
        rounding: What rounds the constants.
        steps: Forward passes in training mode so far.
    """

    steps: Tensor

    def __init__(self, source: QatSource, settings: QatSettings) -> None:
        """Set up training of `source`.

        Raises:
            ShrinkError: No node of the graph can be int8.
        """
        super().__init__()
        self.settings, self.plan = settings, settings.plan()
        self.layout: Layout = lay_out(source.graph, self.plan)
        self.name, self.findings, self.batchnorm_statistics = source.name, source.findings, source.batchnorms
        self.signature = source.signature or Signature.of_graph(source.graph)
        graph = self.layout.graph
        self.specs = weight_specs(self.layout, self.plan)
        if not self.specs:
            raise ShrinkError(
                f"'{source.name}' has nothing to train for int8: no layer with weights is quantized",
                hint="fewer patterns in float_modules, or a model with convolutions or linear layers",
            )
        self.net = ParameterTree(graph)
        is_live = settings.batchnorm == "live"
        self._norms = restore(graph, self.net, self.specs, source.batchnorms) if is_live else {}
        for name in self._norms:
            _remove_bias(self.net, bias_of(self._spec(name).readers[0]))
        self.rounding = ConstantRounding(self.net, self.specs, self._norms)
        self.ranges = ActivationRanges(self.layout, source.histograms, self.plan, learned=settings.learn_scales)
        self._moved = self._find_moved()
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self._last_use = last_uses(graph.nodes)
        self._ranges_frozen, self._batchnorm_frozen = settings.observe_steps == 0, False
        if settings.learn_scales:
            self.rounding.learn_scales()

    def forward(self, *args: object, **kwargs: object) -> object:
        """Run once, rounding everything that will be integers.

        Args:
            *args: As the original module takes them, at any batch size where the graph allows it.
            **kwargs: The same by name.

        Returns:
            What the original module returns.

        Raises:
            InputError: An argument is missing, or its shape does not fit.
        """
        graph = self.layout.graph
        feeds = self.signature.bind(args, kwargs)
        refuse_unfit(graph, feeds)
        results = self._run(feeds)
        return self.signature.results([results[name] for name in graph.outputs])

    def train(self, mode: bool = True) -> QatModule:
        """Set training or evaluation mode; frozen BatchNorms stay in the latter."""
        super().train(mode)
        if self._batchnorm_frozen:
            for norm in self._norms.values():
                norm.eval()
        return self

    def freeze_ranges(self) -> None:
        """Keep activation ranges as they are from now on; learned scales go on learning."""
        self._ranges_frozen = True

    def freeze_batchnorm(self) -> None:
        """Normalise with running statistics from now on, as the files will; gamma and beta go on learning."""
        self._batchnorm_frozen = True
        self.train(self.training)

    def get_extra_state(self) -> Tensor:
        """What is frozen, for `state_dict`."""
        return torch.tensor([self._ranges_frozen, self._batchnorm_frozen])

    def set_extra_state(self, state: Tensor) -> None:
        """What is frozen, from `load_state_dict`."""
        self._ranges_frozen, self._batchnorm_frozen = (bool(flag) for flag in state.tolist())
        self.train(self.training)

    def decided(self) -> Decided:
        """Everything that calibration would decide, for `edgekit.compress`.

        Raises:
            ShrinkError: Training diverged; see `finish`.
        """
        from edgekit.shrink.qat.finish import finish  # it is made from this module

        outcome = f"{self.settings} for {int(self.steps)} training steps"
        findings = (*self.findings, *((FOUR_BITS,) if self.settings.weight_bits == 4 else ()))
        return Decided(self.name, finish(self), "quantization-aware training", outcome, findings)

    def _run(self, feeds: Mapping[str, Tensor]) -> dict[str, Tensor]:
        graph, follows = self.layout.graph, self._follows()
        tensors = self.rounding.float_constants()
        table = self.ranges.table(self.rounding.peaks(tensors))
        constants = self.rounding.rounded(table, tensors)
        seen: dict[str, Tensor] = {}
        held: dict[str, Tensor] = dict(constants.tensors)
        for name, value in feeds.items():
            held[name] = self._stored(name, value, table, seen if follows else None)
        found = {name: held[name] for name in graph.outputs if name in held}
        batch = _batch_of(graph, feeds)
        for index, node in enumerate(graph.nodes):
            for name, result in zip(node.outputs, self._compute(node, held, batch, constants), strict=True):
                held[name] = self._stored(name, _clamped(node, result), table, seen if follows else None)
                if name in graph.outputs:
                    found[name] = held[name]
            for name in self._last_use.get(index, ()):
                held.pop(name, None)
        if self.training and torch.is_grad_enabled():
            self._advance(seen)
        return found

    def _compute(self, node: Node, held: Mapping[str, Tensor], batch: int, constants: Rounded) -> tuple[Tensor, ...]:
        ready, inputs = at_batch(node, self.layout.graph, batch), [held[name] for name in node.inputs if name]
        if len(node.inputs) > 1 and node.inputs[1] in constants.factors:
            product = FUNCTIONS[node.op](ready, inputs[:2])
            assert isinstance(product, Tensor)
            return (normalised(self._norms[node.inputs[1]], product, constants.factors[node.inputs[1]]),)
        results = FUNCTIONS[node.op](ready, inputs)
        return results if isinstance(results, tuple) else (results,)

    def _stored(self, name: str, value: Tensor, table: Table, seen: dict[str, Tensor] | None) -> Tensor:
        """A value as it is stored; its ends are noted where ranges follow the data."""
        if seen is not None and name in self.ranges.followed:
            seen[name] = torch.stack(torch.aminmax(value.detach()))
        if name not in table.qparams or name in self._moved:
            return value
        scale, zero = table.scales[name], table.zeros[name]
        if scale.requires_grad:
            factor = (value[:1].numel() * HIGH) ** -0.5
            return fake_quantize(value.float(), scale, zero.float(), LOW, HIGH, factor)
        return torch.fake_quantize_per_tensor_affine(value.float(), scale, zero, LOW, HIGH)

    def _follows(self) -> bool:
        return self.training and torch.is_grad_enabled() and not self._ranges_frozen

    @torch.no_grad()
    def _advance(self, seen: Mapping[str, Tensor]) -> None:
        """After a step: ranges move, and are frozen when their time is over."""
        self.ranges.follow(seen, self.settings.momentum)
        self.steps += 1
        if self.settings.observe_steps is not None and int(self.steps) >= self.settings.observe_steps:
            self._ranges_frozen = True

    def _find_moved(self) -> frozenset[str]:
        chosen = self.ranges.choose({})
        moved = (node for node in self.layout.graph.nodes if moves_integers(node, self.layout, chosen))
        return frozenset(name for node in moved for name in node.outputs)

    def _spec(self, weight: str) -> WeightSpec:
        return next(spec for spec in self.specs if spec.name == weight)


def _remove_bias(tree: ParameterTree, name: str) -> None:
    """A layer whose BatchNorm is kept has its bias there."""
    delattr(tree.branch(name), tree.places.pop(name).attribute)


def _clamped(node: Node, result: Tensor) -> Tensor:
    if node.clamp is None:
        return result
    low, high = node.clamp
    return torch.relu(result) if low == 0.0 and high == float("inf") else result.clamp(low, high)


def _batch_of(graph: Graph, feeds: Mapping[str, Tensor]) -> int:
    for name, axis in graph.batch_axes.items():
        if name in feeds:
            return feeds[name].shape[axis] // graph.values[name].shape[axis]
    return 1
