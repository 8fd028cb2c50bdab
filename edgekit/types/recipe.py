"""Recipe: everything that decides a run, in one frozen value that is read from and written to TOML.

The command line's flags, `edgekit.toml` beside a model and `--recipe FILE` all end in this one class, and each run
writes the recipe it used beside its files, so that the same model with the same recipe gives the same bytes.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import tomli_w

from edgekit.errors import RecipeError
from edgekit.types.artifact import FORMATS, Format
from edgekit.types.notation import read_input
from edgekit.types.spec import TensorSpec
from edgekit.types.strict_table import between, one_of, read
from edgekit.types.target import TARGETS
from edgekit.types.training import SELF, DistillSettings, PruneSettings, QatSettings, TrainSettings
from edgekit.units import parse_size

FILES: Mapping[Format, str] = {
    "onnx-fp32": "model.fp32.onnx",
    "onnx-int8": "model.int8.onnx",
    "onnx-x86": "model.x86.int8.onnx",
    "onnx-qop": "model.qop.int8.onnx",
    "tflite-int8": "model.int8.tflite",
    "onnx-vnni": "model.vnni.int8.onnx",
    "onnx-arm": "model.arm.int8.onnx",
    "onnx-qnn": "model.qnn.int8.onnx",
    "onnx-tensorrt": "model.tensorrt.int8.onnx",
    "onnx-host": "model.host.int8.onnx",
    "onnx-int4": "model.int4.onnx",
    "tflite-int4": "model.int4.tflite",
}
"""What the file of each format is called."""

IO = ("float", "int8")
RANGES = ("minmax", "percentile", "mse", "entropy")
EFFORTS = ("fast", "balanced", "thorough")
BACKENDS = ("edgekit", "onnxruntime", "neural-compressor")
BESIDE = "edgekit.toml"
"""Name of the recipe that is looked for in the model's own folder."""

_LARGEST_RECIPE_BYTES = 1_000_000


@dataclass(frozen=True)
class ModelSettings:
    """What the model file does not say about itself.

    Attributes:
        factory: `package.module:name` or `path/to/file.py:name`, called without arguments for the module that a state
            dict belongs to; "" when there is none.
        inputs: One `NAME:SIZES[:DTYPE]` each, in calling order.
    """

    factory: str = ""
    inputs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for text in self.inputs:
            read_input(text)
        if self.factory and ":" not in self.factory:
            raise RecipeError(
                f"model.factory must be module:name, found '{self.factory}'",
                hint="for example mynet.model:build, or model.py:build",
            )

    def specs(self) -> tuple[TensorSpec, ...]:
        """The inputs as TensorSpecs."""
        return tuple(read_input(text) for text in self.inputs)


@dataclass(frozen=True)
class CalibrationSettings:
    """Where ranges come from.

    Attributes:
        data: Folder of images, `.npz`, `.npy` or `module:function`; "" when it is handed over in Python, or absent.
        preprocessing: How an image becomes the input: a preset, or `size=224,mean=127,std=128`; "" for none.
        samples: At most so many samples are taken from the data.
        held_back: Share of them that is kept out of calibration, for the check: above 0, at most 0.5.
        seed: Of the choice among more samples than needed, and of synthesized inputs.
    """

    data: str = ""
    preprocessing: str = ""
    samples: int = 128
    held_back: float = 0.25
    seed: int = 0

    def __post_init__(self) -> None:
        between("calibration.samples", self.samples, 1, 1_000_000)
        between("calibration.held_back", self.held_back, 0.001, 0.5)
        between("calibration.seed", self.seed, 0, 2**32 - 1)


@dataclass(frozen=True)
class EvaluationSettings:
    """Labelled data for the accuracy in the report.

    Attributes:
        data: As `calibration.data`, with labels; "" for none.
        metric: `module:function` or `file.py:function` of (outputs, label) that scores one sample, for example 1.0
            when it is right; "" is top-1. Its mean, times 100, is counted in points.
    """

    data: str = ""
    metric: str = ""


@dataclass(frozen=True)
class QuantizeSettings:
    """How the one quantized graph is made.

    Attributes:
        effort: How far the accuracy ladder may climb: "fast" is the base rung alone, "balanced" adds the rungs with a
            closed form, "thorough" those that search or learn.
        backend: Who decides scales and integers: "edgekit", "onnxruntime" or "neural-compressor".
        weight_bits: 8, or 4 for int4 weights and float activations: the smallest file.
        pair_safe: Choose weight scales such that no sum of two neighbouring products saturates 16 bits, so that the
            same table is right on x86 CPUs without VNNI.
        bias_correction: Take the mean error of each rounded weight back out of its bias.
        range: How an activation's range follows from what was seen, before any rung: "minmax", "percentile", "mse" or
            "entropy".
        weight_only: int8 weights, float activations.
        float_modules: Shell patterns of torch module paths that stay in float, for example "head.*".
    """

    effort: str = "balanced"
    backend: str = "edgekit"
    weight_bits: int = 8
    pair_safe: bool = True
    bias_correction: bool = True
    range: str = "minmax"
    weight_only: bool = False
    float_modules: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        one_of("quantize.effort", self.effort, EFFORTS)
        one_of("quantize.backend", self.backend, BACKENDS)
        one_of("quantize.range", self.range, RANGES)
        if self.weight_bits not in (4, 8):
            raise RecipeError(f"quantize.weight_bits must be 4 or 8, found {self.weight_bits}")


@dataclass(frozen=True)
class BudgetSettings:
    """What the files have to reach; a limit that is not set asks for nothing.

    The ladder stops at the first rung that meets all of them, and a run that misses one says so with its exit code.

    Attributes:
        max_drop: Largest loss of the metric against float on the same labelled samples, points (0..100).
        min_sqnr: Smallest signal to quantization noise over all outputs, dB.
        min_agreement: Smallest share of samples whose top-1 is the float model's, 0..1.
        max_size: Largest size of a file, for example "5.2MB"; "" is unset.
        max_latency_ratio: Largest time of the file for this machine's CPU, as a share of the float file's.
        seconds: Wall time after which the ladder takes no further rung; 0 is no limit.
    """

    max_drop: float | None = None
    min_sqnr: float | None = None
    min_agreement: float | None = None
    max_size: str = ""
    max_latency_ratio: float | None = None
    seconds: float = 0.0

    def __post_init__(self) -> None:
        for name, low, high in (
            ("max_drop", 0.0, 100.0),
            ("min_sqnr", -20.0, 200.0),
            ("min_agreement", 0.0, 1.0),
            ("max_latency_ratio", 0.01, 100.0),
            ("seconds", 0.0, 1e7),
        ):
            limit = getattr(self, name)
            if limit is None:
                continue
            if name == "min_agreement" and isinstance(limit, int | float) and 2 <= limit <= 100:
                raise RecipeError(f"budget.min_agreement is a share, 0..1, found {limit:g}", hint=f"{limit / 100:g}?")
            between(f"budget.{name}", limit, low, high)
        if self.max_size:
            self.max_size_bytes()

    def max_size_bytes(self) -> int | None:
        """`max_size` in bytes, None when unset."""
        if not self.max_size:
            return None
        try:
            return parse_size(self.max_size)
        except (ValueError, TypeError) as error:
            raise RecipeError(f"budget.max_size: {error}", hint="for example 5.2MB, 800kB or 4MiB") from error

    @property
    def asks(self) -> tuple[str, ...]:
        """Names of the limits that are set."""
        names = ("max_drop", "min_sqnr", "min_agreement", "max_size", "max_latency_ratio")
        return tuple(name for name in names if getattr(self, name) not in (None, ""))


@dataclass(frozen=True)
class EmitSettings:
    """Which files are written, and what they take in and give out.

    Attributes:
        formats: Names of `FORMATS`.
        targets: Names of `edgekit.types.target.TARGETS`: the file that is right and fast for each is written besides.
        io: "float": inputs and outputs are float32 as in the model; "int8": as stored, scales in the metadata.
    """

    formats: tuple[str, ...] = FORMATS
    targets: tuple[str, ...] = ()
    io: str = "float"

    def __post_init__(self) -> None:
        one_of("emit.io", self.io, IO)
        for key in ("formats", "targets"):
            if isinstance(getattr(self, key), str):
                raise RecipeError(f"emit.{key} must be a list of names, found '{getattr(self, key)}'")
        if not self.formats:
            raise RecipeError("emit.formats is empty", hint=f"known formats: {', '.join(FORMATS)}")
        for name in self.formats:
            one_of("emit.formats", name, FORMATS)
        for name in self.targets:
            one_of("emit.targets", name, TARGETS)
        if len(set(self.formats)) != len(self.formats):
            raise RecipeError(f"emit.formats names a format twice: {', '.join(self.formats)}")


@dataclass(frozen=True)
class CheckSettings:
    """How long the written files are run.

    Attributes:
        seconds: Wall time to aim for; a few samples per file are always run, and all labelled ones.
    """

    seconds: float = 20.0

    def __post_init__(self) -> None:
        between("check.seconds", self.seconds, 0.1, 86_400)


@dataclass(frozen=True)
class Recipe:
    r"""One run. The default recipe is what a bare `edgekit compress MODEL` does.

    Law: `Recipe.from_toml(recipe.to_toml()) == recipe`.

    >>> Recipe.from_toml("[calibration]\nsamples = 64").calibration.samples
    64
    """

    model: ModelSettings = field(default_factory=ModelSettings)
    calibration: CalibrationSettings = field(default_factory=CalibrationSettings)
    evaluation: EvaluationSettings = field(default_factory=EvaluationSettings)
    quantize: QuantizeSettings = field(default_factory=QuantizeSettings)
    budget: BudgetSettings = field(default_factory=BudgetSettings)
    emit: EmitSettings = field(default_factory=EmitSettings)
    check: CheckSettings = field(default_factory=CheckSettings)
    train: TrainSettings = field(default_factory=TrainSettings)
    prune: PruneSettings = field(default_factory=PruneSettings)
    distill: DistillSettings = field(default_factory=DistillSettings)
    qat: QatSettings = field(default_factory=QatSettings)

    @property
    def trains(self) -> bool:
        """Whether the weights are to change before they are quantized."""
        return bool(self.train.data or self.prune.target or self.distill.teacher or self.qat.length)

    @classmethod
    def from_toml(cls, text: str) -> Recipe:
        """Read a recipe; a key that is absent has its default.

        Raises:
            RecipeError: Not TOML, an unknown key, a value of the wrong type or out of range.
        """
        try:
            table = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise RecipeError(f"the recipe is not TOML: {error}") from error
        return read(cls, table)

    def to_toml(self) -> str:
        """Every setting, defaults included, so that a later default cannot change an old run; unset ones are absent."""
        tables = {name: {k: v for k, v in table.items() if v is not None} for name, table in asdict(self).items()}
        return tomli_w.dumps(tables)

    @classmethod
    def from_file(cls, path: Path) -> Recipe:
        """Read a recipe file; the paths in it are relative to its own folder.

        Raises:
            RecipeError: The file cannot be read, or as `from_toml`.
        """
        try:
            if path.stat().st_size > _LARGEST_RECIPE_BYTES:
                raise RecipeError(f"{path} is no recipe: it has {path.stat().st_size} bytes")
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise RecipeError(f"cannot read the recipe {path}: {error.strerror or error}") from error
        except UnicodeDecodeError as error:
            raise RecipeError(f"cannot read the recipe {path}: {error}") from error
        try:
            return cls.from_toml(text).relative_to(path.parent)
        except RecipeError as error:
            raise RecipeError(f"{path}: {error}", hint=error.hint) from error

    @classmethod
    def beside(cls, model: Path) -> Recipe:
        """The `edgekit.toml` in the model's folder, or the default recipe where there is none.

        Raises:
            RecipeError: As `from_file`.
        """
        path = model.parent / BESIDE
        return cls.from_file(path) if path.is_file() else cls()

    def with_fields(self, fields: Mapping[str, object]) -> Recipe:
        """The same recipe with some fields replaced, checked like a file.

        Args:
            fields: Dotted path -> value as TOML has it, for example {"calibration.samples": 64}.

        Raises:
            RecipeError: As `from_toml`.
        """
        tables = tomllib.loads(self.to_toml())
        for path, value in fields.items():
            table, _, key = path.partition(".")
            tables.setdefault(table, {})[key] = value
        return read(Recipe, tables)

    def relative_to(self, folder: Path) -> Recipe:
        """The same recipe with its relative file paths taken from `folder`, where it was read."""
        return self._with_places(lambda path: str(folder / path))

    def seen_from(self, folder: Path) -> Recipe:
        """The same recipe as it stands in a file in `folder`: paths relative to it, however they were typed.

        So the text does not depend on where the project lies or where the command was given.

        Law: `recipe.seen_from(folder).relative_to(folder)` names the same files as `recipe`.
        """
        return self._with_places(lambda path: os.path.relpath(path, folder))

    def _with_places(self, move: Callable[[str], str]) -> Recipe:
        return replace(
            self,
            model=replace(self.model, factory=_moved(self.model.factory, move)),
            calibration=replace(self.calibration, data=_moved(self.calibration.data, move)),
            evaluation=replace(
                self.evaluation,
                data=_moved(self.evaluation.data, move),
                metric=_moved(self.evaluation.metric, move),
            ),
            train=replace(self.train, data=_moved(self.train.data, move), loss=_moved(self.train.loss, move)),
            distill=self.distill
            if self.distill.teacher == SELF
            else replace(self.distill, teacher=_moved(self.distill.teacher, move)),
        )


def _moved(place: str, move: Callable[[str], str]) -> str:
    """`place` with its file path moved; a dotted module (`package.module:name`) and "" stay."""
    path, colon, name = place.partition(":")
    is_module = bool(colon) and not path.endswith(".py")
    return place if not place or is_module else f"{move(path)}{colon}{name}"
