"""A plan that grows tensor by tensor, each with its scales and biases, and the integers that the plan tells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
        scales = _scales(pair)
        if scales:
            self._add_floats(*scales, rows if scales[1].count > 1 else 0)
        if new.scales and new.input_scale is not None:
            self._add_product(new.scales, new.input_scale)
        index = None
        if not rows and not columns and self._is_same(old.place, new.place, new.count):
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
        """Weights, in spans of a size that is coded together."""
        old, new = pair.old, pair.new
        scales = _scales(pair)
        has_scales = scales and any(span.new == scales[1].place for span in self.floats)
        whole = WeightSpan(
            new=new.place,
            old=old.place,
            outer=new.shape[0],
            rows=new.rows,
            inner=new.shape[2],
            old_outer=old.shape[0],
            old_rows=old.rows,
            old_inner=old.shape[2],
            first_row=0,
            row_map=row_map,
            column_map=column_map,
            scales=scales[1].count if scales and has_scales else 0,
            new_scales=scales[1].place if scales and has_scales else 0,
            old_scales=scales[0].place if scales and has_scales else 0,
            has_row_ratios=1,
            has_column_ratios=1,
        )
        plan = self.plan
        for part in _parts(whole):
            span, ratios = fit_ratios(part, plan, self.old, self.new)
            self.weights.append(span)
            self.ratios.append(ratios)

    def _add_biases(self, pair: Pair, rows: int, index: int | None) -> None:
        """Biases by the prediction that leaves least."""
        old, new, scales = pair.old, pair.new, _scales(pair)
        assert old.bias is not None
        assert new.bias is not None
        if (not rows and self._is_same(old.bias, new.bias, 4 * new.rows)) or not self._tell(new.bias):
            return
        plan = self.plan
        plain = BiasSpan(new.bias, old.bias, new.rows, old.rows, rows, 0, 0, 0, 0, 0, 0)
        choices = [(plain, predict_biases(plain, plan, self.old, self.new, None))]
        if new.input_scale is not None and old.input_scale is not None:
            scaled = replace(plain, new_input=new.input_scale, old_input=old.input_scale)
            if scales:
                places = {"new_scales": scales[1].place, "old_scales": scales[0].place}
                span = replace(scaled, scales=scales[1].count, **places)
                choices.append((span, predict_biases(span, plan, self.old, self.new, None)))
            if index is not None and self.weights[index].rows == new.rows:
                span = replace(scaled, weights=index)
                choices.append((span, predict_biases(span, plan, self.old, self.new, self.ratios[index].rows)))
        actual = _integers(self.new, "<i4", new.bias, new.rows)
        span, predicted = min(choices, key=lambda choice: float(np.log2(1 + np.abs(actual - choice[1])).sum()))
        self.biases.append(span)
        self.differences.append(actual - predicted)


def _scales(pair: Pair) -> tuple[Floats, Floats] | None:
    """Old and new scales of weights, where both have one, or one a row."""
    old, new = pair.old.scales, pair.new.scales
    if not old or not new or (old.count, new.count) not in ((1, 1), (pair.old.rows, pair.new.rows)):
        return None
    return old, new


def _parts(span: WeightSpan) -> Iterator[WeightSpan]:
    """The span as several of at most `BLOCK_VALUES`, cut across its slowest axis that is longer than 1."""
    if span.outer == 1:
        step = max(1, BLOCK_VALUES // span.inner)
        for first in range(0, span.rows, step):
            rows = min(step, span.rows - first)
            at = 4 * first if span.scales > 1 else 0
            scales = span.scales if span.scales < 2 else rows
            yield replace(
                span,
                new=span.new + first * span.inner,
                rows=rows,
                first_row=first,
                scales=scales if rows > 1 else 0,
                new_scales=span.new_scales + at if scales and rows > 1 else 0,
            )
    elif span.count <= BLOCK_VALUES:
        yield span
    elif not span.column_map:  # its columns would have to be cut too
        step = max(1, BLOCK_VALUES // (span.rows * span.inner))
        for first in range(0, span.outer, step):
            outer = min(step, span.outer - first)
            yield replace(
                span,
                new=span.new + first * span.rows * span.inner,
                old=span.old + first * span.old_rows * span.old_inner,
                outer=outer,
                old_outer=outer,
            )


def _integers(data: bytes, kind: str, place: int, count: int) -> Array:
    return np.frombuffer(data, kind, count, place).astype(np.int64)
