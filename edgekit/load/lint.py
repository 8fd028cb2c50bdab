"""Lint of calibration data, before any work: most bad int8 models come from bad calibration data.

One pass over the samples; what makes ranges meaningless is an error, everything else a finding.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from edgekit.errors import CalibrationError
from edgekit.load.first_layer import PatchMoments, first_layers
from edgekit.load.normalisation import THRESHOLD, Fit, judge_fit, pixel_map
from edgekit.load.presets import image_axes
from edgekit.load.tallies import DuplicateTally, RangeTally
from edgekit.types.batchnorm import BatchNormStatistics
from edgekit.types.finding import Finding, Severity
from edgekit.types.graph import Graph
from edgekit.types.preprocessing import Preprocessing
from edgekit.types.samples import Samples
from edgekit.types.spec import TensorSpec

FEW = 16
"""Below this many samples int8 ranges depend on the luck of the draw."""
MANY_DUPLICATES = 0.05
"""Share of the set above which repeated samples are worth a warning."""
FIT_SAMPLES = 64
"""At most this many samples, spread over the set, are shown to the first layer."""


def lint(
    samples: Samples,
    inputs: Sequence[TensorSpec],
    *,
    expectations: Sequence[BatchNormStatistics] = (),
    graph: Graph | None = None,
) -> tuple[Finding, ...]:
    """Look through calibration data.

    Args:
        samples: The data; walked once.
        inputs: The model's inputs.
        expectations: What the BatchNorms of `graph` remember of the training data.
        graph: The float graph; without it, or without a BatchNorm behind the first layer, the normalisation is not
            judged.

    Returns:
        Findings: "few-samples", "constant-channels", "constant-input", "duplicate-samples", "near-duplicate-samples",
        "one-class", "normalisation-mismatch" and, as a note, "calibration-range" per input.

    Raises:
        CalibrationError: No sample, or a sample with NaN or an infinity (it is named).
    """
    layers = {} if graph is None else first_layers(graph, expectations)
    axes = {spec.name: _channel_axis(spec, samples.preprocessing) for spec in inputs}
    ranges = {spec.name: RangeTally(spec, axes[spec.name]) for spec in inputs}
    moments = {name: PatchMoments(layer) for name, layer in layers.items()}
    image = next((spec for spec in inputs if _is_image(spec)), None)
    duplicates = DuplicateTally(None if image is None else (2, 3) if axes[image.name] == 1 else (1, 2))
    every = max(1, -(-samples.count // FIT_SAMPLES))
    count = 0
    for index, sample in enumerate(samples):
        for name, tally in ranges.items():
            tally.update(sample[name], index)
        duplicates.update(sample, image.name if image else "")
        for name, moment in moments.items():
            if index % every == 0:
                moment.update(sample[name])
        count += 1
    if count == 0:
        raise CalibrationError(f"{samples.source} holds no sample", hint="16 are few, 100 to 500 are usual")
    return (
        *_count_findings(samples, count),
        *_duplicate_findings(duplicates, count),
        *_label_findings(samples),
        *(finding for spec in inputs for finding in _range_findings(ranges[spec.name], spec)),
        *_fit_findings(moments, ranges, samples.preprocessing),
    )


def _is_image(spec: TensorSpec) -> bool:
    return len(spec.shape) == 4 and np.dtype(spec.dtype).kind in "fu"


def _channel_axis(spec: TensorSpec, preprocessing: Preprocessing | None) -> int:
    """Axis 1, but the last of images that are channels-last."""
    if preprocessing is not None and spec.shape == preprocessing.shape:
        return 1 if preprocessing.layout == "NCHW" else 3
    is_last = len(spec.shape) == 4 and spec.shape[3] in (1, 3) and spec.shape[1] not in (1, 3)
    return 3 if is_last else min(1, max(len(spec.shape) - 1, 0))


def _count_findings(samples: Samples, count: int) -> Iterator[Finding]:
    if count < FEW:
        message = f"{count} calibration sample(s): ranges chosen from fewer than {FEW} depend on which ones they are"
        yield Finding("few-samples", message, Severity.WARNING, samples.source, "use 100 to 500 typical inputs")


def _duplicate_findings(duplicates: DuplicateTally, count: int) -> Iterator[Finding]:
    for code, found, what in (
        ("duplicate-samples", duplicates.exact, "repeat an earlier one exactly"),
        ("near-duplicate-samples", duplicates.near(), "look like an earlier one, perhaps scaled or compressed again"),
    ):
        if found:
            severity = Severity.WARNING if found > MANY_DUPLICATES * count else Severity.NOTE
            message = f"{found} of {count} samples {what}: they add work and no information"
            yield Finding(code, message, severity, hint="replace them by other inputs")


def _label_findings(samples: Samples) -> Iterator[Finding]:
    labels = samples.labels()
    if labels is not None and len(labels) > 1 and len(np.unique(labels)) == 1:
        message = f"all {len(labels)} samples have the label {labels[0]}: ranges of one class do not hold for others"
        yield Finding("one-class", message, Severity.WARNING, samples.source, "mix samples of all classes")


def _range_findings(tally: RangeTally, spec: TensorSpec) -> Iterator[Finding]:
    low, high = np.atleast_1d(tally.low), np.atleast_1d(tally.high)
    shown = [f"[{bottom:.4g}, {top:.4g}]" for bottom, top in zip(low[:4], high[:4], strict=True)]
    text = ", ".join(shown) if len(low) <= 4 else f"[{low.min():.4g}, {high.max():.4g}] over {len(low)} channels"
    yield Finding("calibration-range", f"input '{spec.name}' runs over {text}", Severity.NOTE, spec.name)
    constant = np.flatnonzero(low == high)
    if len(constant) == len(low) and low.min() == high.max():
        message = f"input '{spec.name}' is {low[0]:.4g} in every sample: nothing can be calibrated from it"
        yield Finding("constant-input", message, Severity.WARNING, spec.name, "check how the samples are made")
    elif len(constant):
        names = ", ".join(f"{channel} (always {low[channel]:.4g})" for channel in constant[:4])
        more = f" and {len(constant) - 4} more" if len(constant) > 4 else ""
        message = f"{len(constant)} of {len(low)} channels of input '{spec.name}' never change: {names}{more}"
        severity = Severity.NOTE if len(spec.shape) < 3 else Severity.WARNING
        yield Finding("constant-channels", message, severity, spec.name, "check how the samples are made")


def _fit_findings(
    moments: Mapping[str, PatchMoments], ranges: Mapping[str, RangeTally], preprocessing: Preprocessing | None
) -> Iterator[Finding]:
    for name, moment in moments.items():
        if moment.count == 0:
            continue
        tally = ranges[name]
        pixels = None
        if _takes_pixels(tally.spec):
            applied = preprocessing if preprocessing is not None and preprocessing.shape == tally.spec.shape else None
            pixels = pixel_map(applied, np.atleast_1d(tally.low), np.atleast_1d(tally.high))
        fit = judge_fit(moment, pixels, tally.spec.shape)
        if fit.is_bad:
            yield _mismatch(fit, name, moment.layer.label)


def _takes_pixels(spec: TensorSpec) -> bool:
    try:
        image_axes(spec)
    except CalibrationError:
        return False
    return True


def _mismatch(fit: Fit, name: str, label: str) -> Finding:
    message = (
        f"input '{name}' is not normalised as in training: {label} sees {fit.spread:.3g} times the standard deviation "
        f"that its BatchNorm remembers, with means {fit.offset:.2g} standard deviations off "
        f"(median divergence {fit.divergence:.3g} nats, limit {THRESHOLD})"
    )
    hint = "check mean, std and color order of the preprocessing against the training code"
    if fit.better:
        names = " or ".join(f"'{better}'" for better in fit.better)
        message += f"; with preprocessing {names} it would fit ({fit.better_divergence:.2g} nats)"
        hint = f"try --preprocess {' or '.join(fit.better)}"
    return Finding("normalisation-mismatch", message, Severity.WARNING, name, hint)
