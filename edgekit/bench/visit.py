"""Visit: everything that is done on one device, from its first process to its last.

Golden inputs first, then fresh processes in rounds, one per artifact and configuration in each round and in an order
that rotates, so that a device that warms up or is disturbed treats all alike. Profiles and the sustained mode come
last. A refusal concerns one configuration; the loss of the device ends the visit, and what came before it is kept.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from edgekit.bench import jobs
from edgekit.bench.agent_file import NAME, agent_bytes
from edgekit.bench.answers import Answers
from edgekit.bench.artifacts import BenchFile
from edgekit.bench.conversation import StoppedError, converse
from edgekit.bench.jobs import Subject
from edgekit.bench.outputs import GoldenOutputs, digest_outputs, output_scales, read_outputs
from edgekit.devices.device import Device
from edgekit.errors import DeviceError, DeviceRefusalError, InputError
from edgekit.types.bench import BenchSettings, Kind

INPUTS = "inputs.npz"


@dataclass
class Take:
    """One artifact in one configuration on this device, and what its jobs brought.

    Attributes:
        file: The artifact.
        subject: As the agent gets it.
        answers: One per process, in order.
        profile: Of the job that took costs per operator.
        sustained: Of the long run.
        refusal: Why the device cannot run it.
        complete: Whether the device was there to the end.
    """

    file: BenchFile
    subject: Subject
    answers: list[Answers] = field(default_factory=list)
    profile: Answers | None = None
    sustained: Answers | None = None
    refusal: str = ""
    complete: bool = False


@dataclass
class Visit:
    """What one device brought.

    Attributes:
        name: What the report calls the device.
        kind: What its costs count; None where they mean nothing.
        takes: Every artifact in every configuration.
        golden: Outputs of the golden inputs.
        error: What ended the visit early.
        look: Answers of the job that ran the golden inputs, which looks around first; None when it never began.
    """

    name: str
    kind: Kind | None
    takes: list[Take]
    golden: list[GoldenOutputs] = field(default_factory=list)
    error: DeviceError | None = None
    look: Answers | None = None

    def all_answers(self) -> Iterator[Answers]:
        """Every job that was begun, golden inputs first, in the order they ran per artifact."""
        if self.look:
            yield self.look
        for take in self.takes:
            yield from take.answers
            yield from (answers for answers in (take.profile, take.sustained) if answers)


class Visitor:
    """Drives one opened device."""

    def __init__(
        self, device: Device, settings: BenchSettings, *, inputs: Path | None, stop: threading.Event, name: str
    ) -> None:
        """Prepare a visit.

        Args:
            device: Opened; whoever opened it closes it.
            settings: How the benchmark is taken.
            inputs: An .npz of golden inputs; None draws random ones on the device.
            stop: Ends the visit when set.
            name: What the report calls the device.
        """
        self._device = device
        self._settings = settings
        self._inputs = inputs
        self._stop = stop
        self._kind = counted_kind(device, settings)
        self._name = name

    def count_jobs(self, files: Sequence[BenchFile]) -> int:
        """How many jobs `visit` will run when nothing goes wrong, for a progress bar."""
        takes = len(self._takes(files))
        extra = len(self._extras())
        return 1 + (0 if self._kind is None else takes * (self._processes() + extra))

    def visit(self, files: Sequence[BenchFile], advance: Callable[[], None]) -> Visit:
        """Take everything.

        Args:
            files: The artifacts.
            advance: Called after each job.

        Raises:
            StoppedError: `stop` was set.
        """
        visit = Visit(self._name, self._kind, self._takes(files) if self._kind else [])
        try:
            self._push(files)
            self._take_golden(visit, files)
            advance()
            if self._kind is not None:
                self._take_rounds(visit.takes, advance)
                self._take_extras(visit.takes, advance)
        except DeviceError as error:
            visit.error = error
        return visit

    def _takes(self, files: Sequence[BenchFile]) -> list[Take]:
        return [
            Take(file, Subject(stored_name(number, file), file.artifact.runtime, provider, threads, batch, file.border))
            for number, file in enumerate(files)
            for provider in (self._settings.providers if file.artifact.runtime == "onnxruntime" else ("cpu",))
            for threads in self._settings.threads
            for batch in (self._settings.batch,)
        ]

    def _processes(self) -> int:
        """Counts of two processes tell what counts of five do: they part by parts in ten thousand."""
        return min(2, self._settings.processes) if self._kind is Kind.INSTRUCTIONS else self._settings.processes

    def _push(self, files: Sequence[BenchFile]) -> None:
        inputs = {INPUTS: self._inputs} if self._inputs else {}
        self._device.push({NAME: agent_bytes(), **stored_parts(files), **inputs})

    def _take_golden(self, visit: Visit, files: Sequence[BenchFile]) -> None:
        """The golden inputs through every artifact, in one process: importing a runtime is dear on an emulator."""
        subjects = [
            Subject(stored_name(number, file), file.artifact.runtime, border=file.border)
            for number, file in enumerate(files)
        ]
        names = [f"outputs{number}.npz" for number in range(len(files))]
        visit.look = Answers()
        job = jobs.job(subjects, seed=self._settings.seed, inputs=INPUTS if self._inputs else None, golden=names)
        try:
            self._run(job, visit.look)
        except DeviceRefusalError as refusal:
            visit.golden.extend(
                GoldenOutputs(file.artifact.name, self._name, error=_plain(refusal, self._device)) for file in files
            )
            return
        for number, file in enumerate(files):
            visit.golden.append(self._fetch(visit.look, number, file, names[number]))

    def _fetch(self, answers: Answers, number: int, file: BenchFile, name: str) -> GoldenOutputs:
        if number in answers.refusals:
            return GoldenOutputs(file.artifact.name, self._name, error=_plain(answers.refusals[number], self._device))
        found = answers.golden.get(number)
        if found is None:
            return GoldenOutputs(file.artifact.name, self._name, error="the agent told nothing of it")
        with tempfile.TemporaryDirectory(prefix="edgekit.") as folder:
            place = Path(folder, name)
            self._device.pull(name, place)
            arrays = read_outputs(place)
        scales = output_scales(answers.outputs.get(number, []))
        if len(arrays) != len(scales):
            raise DeviceError(f"it sent {len(arrays)} outputs of a file with {len(scales)}", device=self._device.uri)
        if digest_outputs(arrays) != found["digest"]:
            raise DeviceError("its outputs are not those whose digest it told", device=self._device.uri)
        samples, correct = found["samples"], found.get("correct")
        return GoldenOutputs(
            artifact=file.artifact.name,
            device=self._name,
            digest=found["digest"],
            samples=samples,
            top1=correct / samples if correct is not None and samples else None,
            arrays=arrays,
            scales=scales,
        )

    def _take_rounds(self, takes: Sequence[Take], advance: Callable[[], None]) -> None:
        plan = jobs.count_plan() if self._kind is Kind.INSTRUCTIONS else jobs.wall_plan(self._settings)
        sensors = None if self._kind is Kind.INSTRUCTIONS else jobs.SENSOR_SECONDS
        for number in range(self._processes()):
            shift = number % len(takes)
            for take in (*takes[shift:], *takes[:shift]):
                if not take.refusal:
                    answers = Answers()
                    take.answers.append(answers)
                    with _refusal_of(take, self._device):
                        self._run(self._job(take, steady=plan, sensor_seconds=sensors), answers)
                advance()
        for take in takes:
            take.complete = True

    def _extras(self) -> list[Callable[[Take], None]]:
        """What is taken of each artifact after its processes; an emulator's time would tell nothing."""
        if self._kind is not Kind.WALL_NS:
            return []
        profile = [self._profile] if self._settings.profile else []
        return [*profile, *([self._sustain] if self._settings.sustained_s > 0 else [])]

    def _take_extras(self, takes: Sequence[Take], advance: Callable[[], None]) -> None:
        for take in takes:
            for extra in self._extras():
                if not take.refusal:
                    with _refusal_of(take, self._device):
                        extra(take)
                advance()

    def _profile(self, take: Take) -> None:
        take.profile = Answers()
        self._run(self._job(take, profile=self._device.python), take.profile)

    def _sustain(self, take: Take) -> None:
        take.sustained = Answers()
        plan = jobs.wall_plan(self._settings, duration_s=self._settings.sustained_s)
        self._run(self._job(take, steady=plan, sensor_seconds=jobs.SENSOR_SECONDS), take.sustained)

    def _job(
        self,
        take: Take,
        *,
        steady: dict[str, object] | None = None,
        profile: Sequence[str] | None = None,
        sensor_seconds: float | None = None,
    ) -> str:
        return jobs.job(
            [take.subject],
            seed=self._settings.seed,
            inputs=INPUTS if self._inputs else None,
            steady=steady,
            profile=profile,
            sensor_seconds=sensor_seconds,
        )

    def _run(self, job: str, answers: Answers) -> None:
        if self._stop.is_set():
            raise StoppedError
        converse(self._device, job, answers, stop=self._stop)


def counted_kind(device: Device, settings: BenchSettings) -> Kind | None:
    """What is measured there: time on real hardware, unless instructions are asked for; what an emulator can count."""
    return Kind.INSTRUCTIONS if settings.count and device.kind is Kind.WALL_NS else device.kind


def stored_parts(files: Sequence[BenchFile]) -> dict[str, Path]:
    """Everything the artifacts consist of, by its name in the device's folder."""
    return {
        stored_name(number, file) if part == file.path else part.name: part
        for number, file in enumerate(files)
        for part in file.parts
    }


def stored_name(number: int, file: BenchFile) -> str:
    """What the artifact is called in the device's folder.

    One with external data keeps its name, which is written in the file; the others are numbered, since artifacts of
    one model have the same name in several folders.
    """
    return file.path.name if len(file.parts) > 1 else f"model{number}{file.path.suffix}"


def refuse_collisions(files: Sequence[BenchFile]) -> None:
    """Refuse files that would overwrite one another in the device's folder.

    Raises:
        InputError: Two have external data and the same name.
    """
    seen: set[str] = set()
    for number, file in enumerate(files):
        name = stored_name(number, file)
        if name in seen:
            raise InputError(
                f"two artifacts with external data are called {name}: they cannot lie in one folder",
                hint="bench them one after the other",
            )
        seen.add(name)


@contextmanager
def _refusal_of(take: Take, device: Device) -> Iterator[None]:
    """A refusal is noted, and the visit goes on with the others."""
    try:
        yield
    except DeviceRefusalError as refusal:
        take.refusal = _plain(refusal, device)


def _plain(error: DeviceError, device: Device) -> str:
    """The message without the device's URI, with its hint: it stands beside the device's name."""
    text = str(error).removeprefix(f"{device.uri}: ")
    return f"{text} ({error.hint})" if error.hint else text
