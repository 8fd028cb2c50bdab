"""What the agent answered to one job, read with care: the device may be anybody's.

Numbers are checked for their type and range, lists for their length; what does not fit is an error of the device, and
what was read before it is kept.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edgekit.bench.operators import operator_costs
from edgekit.errors import DeviceError, DeviceRefusalError
from edgekit.types.bench import OperatorCost

LONGEST_LINE = 16_000_000
MOST_SAMPLES = 20_000_000
MOST_CHARACTERS = 2_000_000_000
"""Of one job: a day of the sustained mode on a talkative phone."""
LONGEST_S = 1e9
_HINTS = {
    "no-runtime": "install it there, or bring it along: edgekit bench bundle --arch aarch64, then --runtime FILE",
    "no-provider": "leave --provider out, or install a build of ONNX Runtime that has it",
    "no-counter": "leave --count out there, or use --on qemu-system:cortex-a76",
    "refused": "try a newer runtime there, or another file of the same model (edgekit compress --for)",
    "bad-job": "see --inputs in edgekit bench --help",
}


@dataclass
class Answers:
    """Everything one job brought, as far as it came.

    Attributes:
        before: Event "environment" before; None when it never came.
        after: Event "environment" after.
        import_ns: Wall time of importing the runtime; the sum when there were two.
        load_ns: Subject -> wall time of loading.
        first_ns: Subject -> wall time of the first inference.
        outputs: Subject -> its outputs: dictionaries with name, shape, dtype, scale, zero_point.
        warmup_runs: Subject -> inferences before the measured ones.
        stable: Subject -> whether it had settled.
        samples: Subject -> raw costs, in order.
        begin_s: Begin of the steady state on the clock of the sensors' events.
        seconds: Wall time of the steady state.
        peak_rss_bytes: Largest resident memory.
        golden: Subject -> event "golden".
        operators: Subject -> its costs per operator.
        unprofiled: Subject -> why it has none; "" when it has.
        sensors: Events "sensors", in order.
        refusals: Subject -> why the device cannot run it, where the others went on.
        characters: How many were read, those before the agent's first line too.
        begun: Whether the agent has said anything.
        done: Whether the agent came to its end.
    """

    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
    import_ns: int = 0
    load_ns: dict[int, int] = field(default_factory=dict)
    first_ns: dict[int, int] = field(default_factory=dict)
    outputs: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    warmup_runs: dict[int, int] = field(default_factory=dict)
    stable: dict[int, bool] = field(default_factory=dict)
    samples: dict[int, list[int]] = field(default_factory=dict)
    begin_s: float = 0.0
    seconds: float = 0.0
    peak_rss_bytes: int = 0
    golden: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    operators: dict[int, tuple[OperatorCost, ...]] = field(default_factory=dict)
    unprofiled: dict[int, str] = field(default_factory=dict)
    sensors: list[Mapping[str, Any]] = field(default_factory=list)
    refusals: dict[int, DeviceRefusalError] = field(default_factory=dict)
    characters: int = 0
    begun: bool = False
    done: bool = False

    def take(self, line: str) -> None:
        """Take in one line; what a login script says before the agent's first is passed over.

        Raises:
            DeviceRefusalError: The agent cannot do the job.
            DeviceError: The line is no event of the agent.
        """
        self.characters += len(line)
        if self.characters > MOST_CHARACTERS:
            raise DeviceError(f"the device says more than {MOST_CHARACTERS} characters in one job")
        if not self.begun and not line.lstrip().startswith('{"event"'):
            return
        if len(line) > LONGEST_LINE:
            raise DeviceError(f"a line of the agent has {len(line)} characters; at most {LONGEST_LINE} are read")
        self.begun = True
        try:
            event = json.loads(line)
            name = event["event"]
            self._take(name, event)
        except DeviceError:
            raise
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            raise DeviceError(
                f"something that is no event of the agent: {line.strip()[:200]!r}",
                hint="another program may write to the agent's standard output there (a login script, a module)",
            ) from error

    def _take(self, name: str, event: Mapping[str, Any]) -> None:
        subject = _whole(event.get("subject", 0))
        match name:
            case "samples":
                self._take_samples(subject, event)
            case "environment" | "memory" | "steady" | "sensors":
                self._take_state(name, event)
            case "import" | "load" | "first" | "warm":
                self._take_start(name, subject, event)
            case "golden":
                _check_golden(event)
                self.golden[subject] = event
            case "profile":
                self.operators[subject] = operator_costs(event)
                self.unprofiled[subject] = str(event.get("reason", ""))[:1000]
            case "done":
                self.done = True
            case "error":
                raise _refusal(event)
            case "refused":
                self.refusals[subject] = _refusal(event)
            case _:
                pass  # an agent of a later version may tell more

    def _take_state(self, name: str, event: Mapping[str, Any]) -> None:
        if name == "environment" and event["when"] == "before":
            self.before = event
        elif name == "environment":
            self.after = event
        elif name == "memory":
            self.peak_rss_bytes = _whole(event["peak_rss_bytes"])
        elif name == "steady":
            self.begin_s, self.seconds = _seconds(event["begin_s"]), _seconds(event["seconds"])
        else:
            self.sensors.append(event)

    def _take_start(self, name: str, subject: int, event: Mapping[str, Any]) -> None:
        if name == "import":
            self.import_ns += _whole(event["ns"])
        elif name == "load":
            self.load_ns[subject] = _whole(event["ns"])
            self.outputs[subject] = [dict(output) for output in event["outputs"]]
        elif name == "first":
            self.first_ns[subject] = _whole(event["ns"])
        else:
            self.warmup_runs[subject] = _whole(event["runs"])
            self.stable[subject] = event["stable"] is True

    def _take_samples(self, subject: int, event: Mapping[str, Any]) -> None:
        kept = self.samples.setdefault(subject, [])
        kept.extend(_whole(value) for value in event["values"])
        if len(kept) > MOST_SAMPLES:
            raise DeviceError(f"the agent sends more than {MOST_SAMPLES} samples")


def _check_golden(event: Mapping[str, Any]) -> None:
    """Raises ValueError for a number of samples that cannot be, or a digest that is none."""
    correct = event.get("correct")
    if (0 if correct is None else _whole(correct)) > _whole(event["samples"]):
        raise ValueError("more samples are right than were run")
    if not re.fullmatch("[0-9a-f]{64}", event["digest"]):
        raise ValueError("no sha256")


def _refusal(event: Mapping[str, Any]) -> DeviceRefusalError:
    kind = str(event["kind"])
    return DeviceRefusalError(str(event["message"])[:1000], kind=kind, hint=_HINTS.get(kind, ""))


def _seconds(value: object) -> float:
    """A time: a number, not negative, below `LONGEST_S`.

    Raises:
        ValueError: It is not.
    """
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < LONGEST_S:
        raise ValueError(f"{value!r} is no time")
    return float(value)


def _whole(value: object) -> int:
    """A count or a time: a whole number, not negative, below 2**63.

    Raises:
        ValueError: It is not.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**63:
        raise ValueError(f"{value!r} is no count")
    return value
