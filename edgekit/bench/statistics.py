"""Statistics of a measurement: samples within processes, processes within a measurement.

Samples of one process share its memory layout and its moment, so they are not independent: the interval comes from
resampling processes first and samples within them afterwards.

Source: T. Kalibera and R. Jones (2013), "Rigorous benchmarking in reasonable time", ISMM '13, section 8; sample floors
of tail percentiles: MLCommons Inference rules, early stopping (64 for the 90th, 662 for the 99th at 99 % confidence).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgekit.types.bench import ProcessRun, Summary
from edgekit.types.interval import Interval
from edgekit.types.qparams import Array

P90_FLOOR = 64
P99_FLOOR = 662
RESAMPLES = 2000


def summarize(processes: Sequence[ProcessRun], *, seed: int = 0) -> Summary | None:
    """A measurement in a few numbers.

    Args:
        processes: What each process measured.
        seed: Of the resampling.

    Returns:
        None when no process has a sample.
    """
    measured = [process for process in processes if process.samples]
    if not measured:
        return None
    samples = [np.asarray(process.samples, np.float64) for process in measured]
    pooled = np.concatenate(samples)
    medians = [float(np.median(values)) for values in samples]
    energy = [found for found in map(_energy_mj, measured) if found is not None]
    return Summary(
        median=median_interval(samples, seed=seed),
        minimum=float(pooled.min()),
        p90=float(np.quantile(pooled, 0.9)) if pooled.size >= P90_FLOOR else None,
        p99=float(np.quantile(pooled, 0.99)) if pooled.size >= P99_FLOOR else None,
        samples=int(pooled.size),
        processes=len(measured),
        spread=max(medians) / min(medians) - 1 if min(medians) > 0 else 0.0,
        import_ms=_median_ms([process.import_ns for process in measured]),
        load_ms=_median_ms([process.load_ns for process in measured]),
        first_ms=_median_ms([process.first_ns for process in measured]),
        peak_rss_bytes=max(process.peak_rss_bytes for process in measured),
        energy_mj=float(np.median(energy)) if energy else None,
    )


def _energy_mj(process: ProcessRun) -> float | None:
    """Energy of one inference, millijoule: mean power of the steady state times the mean time of an inference.

    The steady state also holds inferences that are not measured, and the reading of the sensors: its whole energy over
    the number of samples would be up to twice as much.
    """
    if process.energy_j is None or process.seconds <= 0:
        return None
    return process.energy_j / process.seconds * float(np.mean(process.samples)) / 1e6


def median_interval(samples: Sequence[Array], *, confidence: float = 0.95, seed: int = 0) -> Interval:
    """Median over processes of their medians, with its bootstrap interval.

    Args:
        samples: Costs of each process, each of shape (n,), n >= 1.
        confidence: Nominal coverage, 0..1.
        seed: Of the resampling, so that the same samples give the same interval.
    """
    rng = np.random.default_rng(seed)
    ordered = [np.sort(values) for values in samples]
    picks = rng.integers(0, len(ordered), (RESAMPLES, len(ordered)))
    drawn = np.stack([_medians(values, rng) for values in ordered])
    columns = np.arange(RESAMPLES)[:, None]
    medians = np.median(drawn[picks, columns], axis=1)
    tail = (1 - confidence) / 2
    low, high = np.quantile(medians, [tail, 1 - tail])
    estimate = float(np.median([np.median(values) for values in samples]))
    return Interval(estimate, min(float(low), estimate), max(float(high), estimate), confidence)


def _medians(ordered: Array, rng: np.random.Generator) -> Array:
    """Medians of `RESAMPLES` resamples of sorted values, shape (RESAMPLES,).

    The median of n draws with replacement is the value at the rank that n/2 of n uniform numbers stay below, which is
    beta-distributed: the resamples themselves need not be made.
    """
    half = (ordered.size + 1) / 2
    ranks = rng.beta(half, half, RESAMPLES) * ordered.size
    return ordered[np.minimum(ranks.astype(np.int64), ordered.size - 1)]


def _median_ms(values_ns: Sequence[int]) -> float:
    return float(np.median(values_ns)) / 1e6
