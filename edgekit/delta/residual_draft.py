"""A plan that grows tensor by tensor, each with its scales and biases, and the integers that the plan tells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from edgekit.delta.channels import match_channels
from edgekit.delta.residual_fitting import Ratios, fit_ratios
from edgekit.delta.residual_plan import BLOCK_VALUES, BiasSpan, FloatSpan, Plan, ProductSpan, WeightSpan
from edgekit.delta.residual_prediction import multiply, predict_biases
from edgekit.delta.spans import Pair
from edgekit.delta.weights import Floats
from edgekit.types.qparams import Array

_FEWEST_WEIGHTS, _FEWEST_PRODUCTS = 64, 4
"""Smaller ones are left to the rest."""


@dataclass
class Draft:
    """The plan so far.

    Attributes:
        old: The old file.
        new: The new one.
        maps: As in a Plan; all other lists too.
        floats: Scales of weights.
        products: Scales of biases.
        weights: Weights.
        ratios: Of their rows and columns.
        biases: Biases.
        differences: What biases differ from their prediction.
        moved: Place in the new file -> in the old one of weights that are the same.
        weight_bytes: How many weights are told, or the same.
    """

    old: bytes
    new: bytes
    maps: list[tuple[int, ...]] = field(default_factory=list)
    floats: list[FloatSpan] = field(default_factory=list)
    products: list[ProductSpan] = field(default_factory=list)
    weights: list[WeightSpan] = field(default_factory=list)
    ratios: list[Ratios] = field(default_factory=list)
    biases: list[BiasSpan] = field(default_factory=list)
    differences: list[Array] = field(default_factory=list)
    moved: dict[int, int] = field(default_factory=dict)
    weight_bytes: int = 0
    _told: set[int] = field(default_factory=set)
    """Places in the new file that are told already: scales may be shared."""

    @classmethod
    def of(cls, pairs: Sequence[Pair], old: bytes, new: bytes) -> Draft:
        """The plan for some pairs of weights."""
        draft = cls(old, new)
        for pair in match_channels(pairs, old, new):
            draft._add(pair)
        return draft

    @property
    def plan(self) -> Plan:
        """The plan."""
        lists = (self.maps, self.floats, self.products, self.weights, self.biases)
        return Plan(*map(tuple, lists))  # type: ignore[arg-type]

    def integers(self) -> list[Array]:
        """All that are told, in the order of `Plan.lengths`."""
        plan = self.plan
        floats = [
            _integers(self.new, "<u4", span.new, span.count)
            - _integers(self.old, "<u4", span.old, span.old_count)[plan.chosen(span.map, 0, span.count)]
            for span in self.floats
        ]
        ratios = [array for one in self.ratios for array in (one.row_differences, one.column_differences)]
        return floats + ratios + self.differences

    def _add(self, pair: Pair) -> None:
        """What of one tensor and its scales and biases differs."""
        old, new = pair.old, pair.new
        rows, columns = self._map(pair.rows), self._map(pair.columns)
        if new.scales and old.scales and (new.scales.count, old.scales.count) in ((1, 1), (new.rows, old.rows)):
            self._add_floats(old.scales, new.scales, rows if new.scales.count > 1 else 0)
        if new.scales and new.input_scale is not None:
            self._add_product(new.scales, new.input_scale)
        index = None
        same_shape = not rows and not columns
        if same_shape and self._is_same(old.place, new.place, new.count):
            self.moved[new.place] = old.place
            self.weight_bytes += new.count
        elif new.count >= _FEWEST_WEIGHTS and self._tell(new.place):
            index = len(self.weights)
            self.weight_bytes += new.count
            self._add_weights(pair, rows, columns)
        if old.bias is not None and new.bias is not None:
            self._add_biases(pair, rows, index)

    def _map(self, chosen: Array | None) -> int:
        """Number of a map, which is new or known."""
        if chosen is None:
            return 0
        made = tuple(chosen.tolist())
        if made not in self.maps:
            self.maps.append(made)
        return self.maps.index(made) + 1

    def _tell(self, place: int) -> bool:
        """Whether that place in the new file was not told before; now it is."""
        is_new = place not in self._told
        self._told.add(place)
        return is_new

    def _is_same(self, old: int, new: int, size: int) -> bool:
        return self.old[old : old + size] == self.new[new : new + size]

    def _add_floats(self, old: Floats, new: Floats, rows: int) -> None:
        if (rows or not self._is_same(old.place, new.place, 4 * new.count)) and self._tell(new.place):
            self.floats.append(FloatSpan(new.place, old.place, new.count, old.count, rows))

    def _add_product(self, floats: Floats, factor: int) -> None:
        """Scales of biases, which are products; some files have them without saying of what they are the scales."""
        product = multiply(self.new, floats.place, floats.count, factor).tobytes()
        place = self.new.find(product) if floats.count >= _FEWEST_PRODUCTS and product not in self.old else -1
        if place >= 0 and self._tell(place):
            self.products.append(ProductSpan(place, floats.count, factor, floats.place))

    def _add_weights(self, pair: Pair, row_map: int, column_map: int) -> None:
        """Weights in spans of a size that is coded together, where that can be."""
        old, new = pair.old, pair.new
        outer, rows, inner = new.shape
        most = max(1, BLOCK_VALUES // inner) if outer == 1 else rows
        scales = new.scales.count if new.scales and old.scales and new.scales.place in self._told else 0
        for first in range(0, rows, most):
            count = min(most, rows - first)
            at = 4 * first if scales > 1 else 0
            span = WeightSpan(
                new=new.place + first * inner,
                old=old.place,
                outer=outer,
                rows=count,
                inner=inner,
                old_outer=old.shape[0],
                old_rows=old.shape[1],
                old_inner=old.shape[2],
                first_row=first,
                row_map=row_map,
                column_map=column_map,
                scales=min(scales, count) if count > 1 else 0,
                new_scales=new.scales.place + at if scales and new.scales else 0,
                old_scales=old.scales.place if scales and old.scales else 0,
                has_row_ratios=1,
                has_column_ratios=1,
            )
            span, ratios = fit_ratios(span, self.plan, self.old, self.new)
            self.weights.append(span)
            self.ratios.append(ratios)

    def _add_biases(self, pair: Pair, rows: int, index: int | None) -> None:
        """Biases by the prediction that leaves least."""
        old, new = pair.old, pair.new
        assert old.bias is not None
        assert new.bias is not None
        if (not rows and self._is_same(old.bias, new.bias, 4 * new.rows)) or not self._tell(new.bias):
            return
        plan = self.plan
        plain = BiasSpan(new.bias, old.bias, new.rows, old.rows, rows, 0, 0, 0, 0, 0, 0)
        choices = [(plain, predict_biases(plain, plan, self.old, self.new, None))]
        if new.input_scale is not None and old.input_scale is not None:
            scaled = replace(plain, new_input=new.input_scale, old_input=old.input_scale)
            if new.scales and old.scales and (new.scales.count, old.scales.count) in ((1, 1), (new.rows, old.rows)):
                places = {"new_scales": new.scales.place, "old_scales": old.scales.place}
                span = replace(scaled, scales=new.scales.count, **places)
                choices.append((span, predict_biases(span, plan, self.old, self.new, None)))
            if index is not None and self.weights[index].rows == new.rows:
                span = replace(scaled, weights=index)
                choices.append((span, predict_biases(span, plan, self.old, self.new, self.ratios[index].rows)))
        actual = _integers(self.new, "<i4", new.bias, new.rows)
        span, predicted = min(choices, key=lambda choice: float(np.log2(1 + np.abs(actual - choice[1])).sum()))
        self.biases.append(span)
        self.differences.append(actual - predicted)


def _integers(data: bytes, kind: str, place: int, count: int) -> Array:
    return np.frombuffer(data, kind, count, place).astype(np.int64)
