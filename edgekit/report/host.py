"""The table of candidates for the CPU at hand: what each held, what it cost, and which was taken."""

from __future__ import annotations

import math

from edgekit.report.tables import NONE, Table, decibels
from edgekit.types.target import HostChoice, HostTrial
from edgekit.units import share


def tabulate_host(choice: HostChoice) -> Table:
    """One row per candidate, in the order they were tried."""
    chosen = next((trial for trial in choice.trials if trial.candidate.name == choice.chosen), None)
    rows = tuple(_cells(trial, chosen) for trial in choice.trials)
    return Table(("candidate", "SQNR", "same top-1", "time ratio", "verdict"), rows)


def _cells(trial: HostTrial, chosen: HostTrial | None) -> tuple[str, ...]:
    slower = "as accurate, slower" if _ratio(trial) > _ratio(chosen) else "as accurate, no slower"
    verdict = "chosen" if trial is chosen else slower if trial.accurate else "less accurate"
    if trial.error:
        verdict = f"does not run: {trial.error}"
    options = ", ".join(f"{key}={value}" for key, value in trial.candidate.session.items())
    return (
        f"{trial.candidate.name} ({options})" if options else trial.candidate.name,
        decibels(trial.sqnr_db),
        NONE if trial.agreement is None else share(trial.agreement),
        NONE if trial.latency_ratio is None else f"{trial.latency_ratio.estimate:.2f}",
        verdict,
    )


def _ratio(trial: HostTrial | None) -> float:
    return trial.latency_ratio.estimate if trial is not None and trial.latency_ratio else math.inf
