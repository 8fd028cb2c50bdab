"""The self-test: does the model answer here, on this runtime, as its publisher says it should?

It is what stands between a verified bundle and the switch to it: signatures say who built the bytes, and only running
them says that this machine's runtime and kernels make the same of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgekit.errors import NodeError, SelfTestError
from edgekit.node.installed import LITERT, TFLITE_RUNTIME, installed_runtimes
from edgekit.node.memory_limit import memory_bytes
from edgekit.node.model_process import run_model
from edgekit.runtime.agent_process import LARGEST_FILE_BYTES, Limits
from edgekit.runtime.array_archive import digest_arrays, read_arrays
from edgekit.types.manifest import Mode, Rule, Variant
from edgekit.types.qparams import Array
from edgekit.types.spec import TensorSpec

TIMEOUT_S = 120.0
_ROOM_BYTES = 512 * 2**20
"""What Python, numpy and a runtime take at most beside the model: 70 MB was seen on x86-64."""
_ON_GRID = 0.02
"""How far, in steps, a float that stands for an integer may lie off its grid: float32 products are this exact."""


@dataclass(frozen=True)
class SelfTest:
    """A self-test that was passed; one that was not is a SelfTestError.

    Attributes:
        runtime: Distribution that ran it: "onnxruntime", "litert", "tflite-runtime".
        version: Of the runtime.
        samples: How many golden inputs were run.
        mode: How the answers were compared.
        bound: Largest difference that was allowed, in the mode's unit.
        largest_difference: That was found, in steps (LSB) or in the output's unit (EXACT, ATOL).
        outputs_sha256: Digest over the bytes of all outputs in the manifest's order, hex.
    """

    runtime: str
    version: str
    samples: int
    mode: Mode
    bound: float
    largest_difference: float
    outputs_sha256: str


def self_test(folder: Path, variant: Variant, *, timeout_s: float = TIMEOUT_S) -> SelfTest:
    """Run the golden inputs in a process of its own and hold the answers against the publisher's.

    Args:
        folder: Holds the variant's files.
        variant: What is tested.
        timeout_s: Wall time that it may take, seconds.

    Raises:
        SelfTestError: The answers differ by more than the rule allows, or there are none: no runtime, a crash, too
            slow, too much memory; says which, with figures.
        StorageError: There is no room for temporary files.
    """
    where = f"self-test of variant {variant.name}"
    rule = _rule(variant, where)
    golden = _golden_answers(folder, variant, where)
    size_bytes = sum(array.nbytes for array in golden.values())
    limits = Limits(
        timeout_s=timeout_s,
        memory_bytes=_memory_limit(variant.requires.ram_bytes, 4 * size_bytes),
        file_bytes=size_bytes + 2**20,
    )
    try:
        found = run_model(folder, variant, folder / variant.golden.inputs, limits)
    except NodeError as error:
        raise SelfTestError(f"{where}: {error}", hint=error.hint) from error
    gaps = [_held_against(found[spec.name], golden[spec.name], rule, spec, where) for spec in variant.outputs]
    runtime, version = _runtime(variant)
    return SelfTest(
        runtime=runtime,
        version=version,
        samples=variant.golden.samples,
        mode=rule.mode,
        bound=rule.bound,
        largest_difference=max(gaps, default=0.0),
        outputs_sha256=digest_arrays(found.values()),
    )


def _rule(variant: Variant, where: str) -> Rule:
    name = variant.requires.runtime.name
    for rule in variant.golden.rules:
        if rule.runtime == name:
            return rule
    raise SelfTestError(f"{where}: its publisher has no rule for {name}", hint="ask its publisher to pack it again")


def _golden_answers(folder: Path, variant: Variant, where: str) -> dict[str, Array]:
    path = folder / variant.golden.outputs
    try:
        found = read_arrays(path, limit_bytes=_expected_bytes(variant))
    except (OSError, ValueError, MemoryError) as error:
        raise SelfTestError(f"{where}: {variant.golden.outputs} cannot be read: {error}") from error
    wanted = [spec.name for spec in variant.outputs]
    if sorted(found) != sorted(wanted):
        raise SelfTestError(
            f"{where}: {variant.golden.outputs} has answers for {', '.join(sorted(found))}; "
            f"the outputs are {', '.join(wanted)}"
        )
    for name, array in found.items():
        if not array.ndim or len(array) != variant.golden.samples:
            raise SelfTestError(
                f"{where}: {variant.golden.outputs} has an array of shape {array.shape} for '{name}', "
                f"not {variant.golden.samples} samples"
            )
    return found


def _expected_bytes(variant: Variant) -> int:
    """What the answers take by the shapes that the manifest gives them: an archive may unpack to any size."""
    sizes = (math.prod(spec.shape) * np.dtype(spec.dtype).itemsize for spec in variant.outputs)
    return min(LARGEST_FILE_BYTES, variant.golden.samples * sum(sizes))


def _memory_limit(ram_bytes: int, arrays_bytes: int) -> int:
    """Twice what the publisher says that it takes, and room for Python; never more than there is."""
    there_is = memory_bytes()
    allowed = 2 * ram_bytes + _ROOM_BYTES + arrays_bytes
    return min(allowed, there_is) if there_is else allowed


def _held_against(found: Array, golden: Array, rule: Rule, spec: TensorSpec, where: str) -> float:
    """The largest difference, in the rule's unit.

    Raises:
        SelfTestError: It is larger than the rule allows, or the arrays cannot be compared.
    """
    where = f"{where}, output '{spec.name}'"
    if found.dtype != golden.dtype or _plain_shape(found) != _plain_shape(golden):
        raise SelfTestError(
            f"{where} is {found.dtype} of shape {found.shape}; its publisher has {golden.dtype} of {golden.shape}"
        )
    golden = golden.reshape(found.shape)
    step, slack = 1.0, 0.0
    if rule.mode is Mode.LSB and found.dtype.kind == "f":
        if not spec.scale or not 0 < spec.scale < math.inf:
            raise SelfTestError(f"{where} is compared in steps, and its publisher does not say how large one is")
        step, slack = spec.scale, _ON_GRID
    gaps = differences(found, golden) / step
    largest = float(gaps.max(initial=0.0))
    if rule.mode is Mode.EXACT:
        wrong = int(np.count_nonzero(_differs(found, golden)))
    else:
        wrong = int(np.count_nonzero(~(gaps <= rule.bound + slack)))  # a bound that is NaN allows nothing
    if wrong:
        unit = "steps" if rule.mode is Mode.LSB else ""
        allowed = "none is allowed" if rule.mode is Mode.EXACT else f"at most {rule.bound:g} is allowed"
        raise SelfTestError(
            f"{where} differs from its publisher's in {wrong} of {found.size} values, "
            f"by up to {f'{largest:.6g} {unit}'.strip()}; {allowed} ({rule.mode.value})",
            hint="this machine's runtime or processor computes something else: try another version of the runtime",
        )
    return largest


def differences(found: Array, golden: Array) -> Array:
    """Distance of each value from its counterpart, float64, of the arrays' shape.

    Two NaN are no distance apart, and neither are two equal infinities; NaN and a number are infinitely far apart.
    """
    mine, theirs = found.astype(np.float64), golden.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        gaps = np.abs(mine - theirs)
    same = (mine == theirs) | (np.isnan(mine) & np.isnan(theirs))
    gaps[same] = 0.0
    return np.where(np.isnan(gaps), np.inf, gaps)


def _differs(found: Array, golden: Array) -> Array:
    """Whether each value's bits differ: 0.0 and -0.0 do."""
    bits = np.dtype((np.void, found.dtype.itemsize))
    different: Array = np.ascontiguousarray(found).view(bits) != np.ascontiguousarray(golden).view(bits)
    return different


def _plain_shape(array: Array) -> tuple[int, ...]:
    """Samples, and the axes of each that are longer than 1: a batch of one may be written or not."""
    return (*array.shape[:1], *(size for size in array.shape[1:] if size != 1))


def _runtime(variant: Variant) -> tuple[str, str]:
    """Name and version of what ran the variant, as `edgekit.agent` chooses it."""
    installed = installed_runtimes()
    name = variant.requires.runtime.name
    if name == LITERT and name not in installed:
        name = TFLITE_RUNTIME
    return name, installed.get(name, "")
