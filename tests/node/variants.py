"""Variants whose files are real: nets that edgekit wrote, golden inputs, and answers of this machine's runtimes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from edgekit.node.installed import installed_runtimes
from edgekit.runtime.array_archive import read_arrays, write_arrays
from edgekit.types.manifest import Golden, Mode, Requires, Rule, RuntimeNeed, Variant
from edgekit.types.spec import TensorSpec

SAMPLES = 4
INPUTS, OUTPUTS = "golden.inputs.npz", "golden.outputs.npz"
MIB = 2**20


def onnx_variant(folder: Path, model: str, rule: Rule | None = None) -> Variant:
    """A variant for ONNX Runtime with golden files of its own, written into the folder."""
    from edgekit.runtime.ort import open_onnx

    session = open_onnx(folder / model)
    return _written(folder, model, session, rule or Rule("onnxruntime", Mode.EXACT))


def litert_variant(folder: Path, model: str, rule: Rule | None = None) -> Variant:
    """A variant for LiteRT with golden files of its own, written into the folder."""
    from edgekit.runtime.litert import open_tflite

    session = open_tflite(folder / model)
    return _written(folder, model, session, rule or Rule("litert", Mode.EXACT))


def _written(folder: Path, model: str, session, rule: Rule) -> Variant:
    random = np.random.RandomState(7)
    inputs = {spec.name: _draw(random, spec) for spec in session.inputs}
    answers = [session.run({name: array[number] for name, array in inputs.items()}) for number in range(SAMPLES)]
    outputs = {spec.name: np.stack([answer[spec.name] for answer in answers]) for spec in session.outputs}
    for name, arrays in ((INPUTS, inputs), (OUTPUTS, outputs)):
        with (folder / name).open("wb") as stream:
            write_arrays(stream, arrays)
    return Variant(
        name=f"{rule.runtime}-test",
        format="onnx-int8" if model.endswith(".onnx") else "tflite-int8",
        model=model,
        files=(INPUTS, OUTPUTS, model),
        requires=Requires(
            os="linux",
            arch="any",
            runtime=RuntimeNeed(rule.runtime, installed_runtimes()[rule.runtime]),
            ram_bytes=64 * MIB,
            flash_bytes=MIB,
        ),
        inputs=session.inputs,
        outputs=session.outputs,
        golden=Golden(INPUTS, OUTPUTS, SAMPLES, (rule,)),
    )


def _draw(random: np.random.RandomState, spec: TensorSpec) -> np.ndarray:
    shape = (SAMPLES, *spec.shape)
    if spec.dtype == "int8":
        return random.randint(-128, 128, shape).astype(np.int8)
    return (random.random_sample(shape) * 2 - 1).astype(spec.dtype)


def with_rule(variant: Variant, rule: Rule) -> Variant:
    """The same, compared otherwise."""
    return replace(variant, golden=replace(variant.golden, rules=(rule,)))


def change_answers(folder: Path, change) -> None:
    """Write the golden answers anew; `change` gets the arrays by name and gives others."""
    found = read_arrays(folder / OUTPUTS, limit_bytes=2**24)
    with (folder / OUTPUTS).open("wb") as stream:
        write_arrays(stream, change({name: array.copy() for name, array in found.items()}))
