"""One walk over the held-back samples, in which every comparison of outputs is made.

Each sample is run through the float file and every int8 file once. The first few also go through the plain meaning of
the QDQ file (no graph optimisation) and, while time lasts, through the NumPy reference. Nothing of a sample is kept.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from edgekit.check.evidence import AUDITS, KernelGap
from edgekit.check.signal import LsbMeter, SignalMeter, SqnrMeter
from edgekit.check.subject import Subject, integers_of
from edgekit.errors import EdgekitError
from edgekit.runtime.session import Session
from edgekit.types.artifact import Format
from edgekit.types.progress import Stage
from edgekit.types.qparams import Array, choose_activation
from edgekit.types.report import LsbGap, Signal

PLAIN_SAMPLES = 8
"""Samples for the plain meaning of the file, and, unless told otherwise, for files for audits: both are slow."""
REFERENCE_SAMPLES = 4
MIN_SAMPLES = 2
REFERENCE = "reference"
PLAIN = "plain QDQ"


@dataclass(frozen=True)
class Outcome:
    """What the walk found, by format.

    Attributes:
        samples: How many samples were run.
        signals: Against the float file.
        references: Against the NumPy reference.
        kernels: Against the plain meaning of the QDQ file.
        pairs: Between every two int8 files.
        errors: The runtime's message, for files that loaded and then did not run.
    """

    samples: int
    signals: Mapping[Format, Signal] = field(default_factory=dict)
    references: Mapping[Format, LsbGap] = field(default_factory=dict)
    kernels: Mapping[Format, KernelGap] = field(default_factory=dict)
    pairs: tuple[LsbGap, ...] = ()
    errors: Mapping[Format, str] = field(default_factory=dict)


class HeldBackWalk:
    """The meters of one walk."""

    def __init__(
        self,
        exact: Subject,
        subjects: Mapping[Format, Subject],
        *,
        plain: Subject | None,
        reference: Session | None,
        audit_samples: int = PLAIN_SAMPLES,
    ) -> None:
        """Set the meters to zero.

        Args:
            exact: The float file.
            subjects: The int8 files.
            plain: The canonical QDQ file without graph optimisations, when there is one.
            reference: The NumPy reference of the same quantized graph, when it is to be asked.
            audit_samples: Samples for files that are for audits.
        """
        self._audit_samples = audit_samples
        self._exact, self._plain, self._reference = exact, plain, reference
        self._quantized = exact.quantized
        self._live = dict(subjects)
        graph = exact.quantized.graph
        outputs = [graph.spec(name) for name in graph.outputs]
        self._signals = {name: SignalMeter(outputs) for name in subjects}
        self._references = {name: LsbMeter(name, REFERENCE) for name in subjects}
        self._pairs = {pair: LsbMeter(*pair) for pair in itertools.combinations(subjects, 2)}
        self._plain_noise = {name: SqnrMeter() for name in subjects}
        self._runtime_noise = {name: SqnrMeter() for name in subjects}
        self._plain_gaps = {name: LsbMeter(name, PLAIN) for name in subjects}
        self._errors: dict[Format, str] = {}
        self._samples = 0
        self._spans: dict[str, tuple[float, float]] = {}

    def walk(
        self, samples: Iterable[Mapping[str, Array]], *, budget_seconds: float, reference_seconds: float, stage: Stage
    ) -> Outcome:
        """Run samples until they or the time run out; at least `MIN_SAMPLES`, at most one reference run too long.

        Raises:
            InputError: The float file does not take the samples.
        """
        start = time.perf_counter()
        spent = 0.0
        for sample in samples:
            if self._samples >= MIN_SAMPLES and time.perf_counter() - start - spent > budget_seconds:
                break
            before = time.perf_counter()
            wants_reference = self._samples < REFERENCE_SAMPLES and spent < reference_seconds
            referee = self._reference.run(sample) if wants_reference and self._reference else None
            spent += time.perf_counter() - before
            self._add(sample, referee)
            stage.advance()
        return self._outcome()

    def _add(self, sample: Mapping[str, Array], referee: Mapping[str, Array] | None) -> None:
        exact = self._exact.run(sample)
        self._widen_spans(exact)
        plain = self._plain.run(sample) if self._plain and self._samples < PLAIN_SAMPLES else None
        results = self._run_live(sample)
        with np.errstate(invalid="ignore"):  # a file that returns nan gets its own finding
            integers = {name: self._integers(result) for name, result in results.items()}
            for name, result in results.items():
                self._signals[name].add(exact, result)
                if referee is not None:
                    self._references[name].add(integers[name], self._integers(referee))
                if plain is not None:
                    self._add_plain(name, exact, plain, result)
        for (first, second), meter in self._pairs.items():
            if first in integers and second in integers:
                meter.add(integers[first], integers[second])
        self._samples += 1

    def _run_live(self, sample: Mapping[str, Array]) -> dict[Format, dict[str, Array]]:
        results: dict[Format, dict[str, Array]] = {}
        for name, subject in list(self._live.items()):
            if name in AUDITS and self._samples >= self._audit_samples:
                continue
            try:
                results[name] = subject.run(sample)
            except EdgekitError as error:
                self._errors[name] = str(error)
                del self._live[name]
        return results

    def _add_plain(
        self, name: Format, exact: Mapping[str, Array], plain: Mapping[str, Array], result: Mapping[str, Array]
    ) -> None:
        for output in [key for key, array in exact.items() if array.dtype.kind == "f"]:
            self._plain_noise[name].add(exact[output], plain[output])
            self._runtime_noise[name].add(exact[output], result[output])
        self._plain_gaps[name].add(self._integers(result), self._integers(plain))

    def _integers(self, result: Mapping[str, Array]) -> dict[str, Array]:
        steps = {name: choose_activation(*span) for name, span in self._spans.items()}
        return integers_of(result, self._quantized, steps=steps)

    def _widen_spans(self, exact: Mapping[str, Array]) -> None:
        """Ranges of outputs that keep the float result of an int8 layer: they are compared in steps of 1/255 of it."""
        quantized = self._quantized
        for name, array in exact.items():
            node = quantized.graph.producers.get(name)
            if node is None or name in quantized.qparams or not quantized.multiplies_integers(node):
                continue
            low, high = self._spans.get(name, (0.0, 0.0))
            ends = min(low, float(array.min())), max(high, float(array.max()))
            if np.isfinite(ends).all():
                self._spans[name] = ends

    def _outcome(self) -> Outcome:
        ran = [name for name in self._signals if name not in self._errors]
        signals = {name: self._signals[name].result() for name in ran}
        references = {name: self._references[name].result() for name in ran}
        kernels = {
            name: KernelGap(self._plain_noise[name].db, self._runtime_noise[name].db, self._plain_gaps[name].result())
            for name in ran
            if self._runtime_noise[name].signal > 0
        }
        pairs = [meter.result() for pair, meter in self._pairs.items() if not self._errors.keys() & set(pair)]
        return Outcome(
            samples=self._samples,
            signals={name: signal for name, signal in signals.items() if signal},
            references={name: gap for name, gap in references.items() if gap},
            kernels=kernels,
            pairs=tuple(gap for gap in pairs if gap),
            errors=self._errors,
        )
