"""One door for forecasts: what each target makes of a file, from the rules, and what the CPU at hand really does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from edgekit.check.fusion import Executed
from edgekit.check.fusion_litert import list_tflite
from edgekit.check.fusion_ort import list_executed, optimized_graph
from edgekit.check.machine import describe_machine
from edgekit.targets.rules_npu import forecast_qnn, forecast_tensorrt
from edgekit.targets.rules_ort import OrtRules, forecast_ort
from edgekit.targets.rules_xnnpack import forecast_delegate, forecast_xnnpack
from edgekit.targets.scene import Scene, open_scene
from edgekit.targets.site import Site
from edgekit.types.forecast import Forecast, Verdict, group_verdicts
from edgekit.types.qparams import Array
from edgekit.types.report import Machine
from edgekit.types.target import HOST, Target, processor_of

PAIR_LIMIT = 128
"""Two weights of one sign whose magnitudes sum to more can saturate: 255 * 129 > 2^15 - 1."""
_DENSE = ("Conv", "Gemm", "QLinearConv", "QGemm")

_RULES: Mapping[str, Callable[[Scene], tuple[Verdict, ...]]] = {
    "x86-avx2": lambda scene: forecast_ort(scene, signed=False),
    "x86-vnni": lambda scene: forecast_ort(scene, signed=False),
    "arm": lambda scene: forecast_ort(scene, signed=True),
    "xnnpack": forecast_xnnpack,
    "tensorrt": forecast_tensorrt,
    "qnn": forecast_qnn,
}


def forecast(path: Path, targets: Sequence[Target]) -> tuple[Forecast, ...]:
    """What targets make of a file: from rules, and for `host` read from the runtime's own executed graph.

    Args:
        path: Any .onnx or .tflite file, whoever made it.
        targets: Rows of `edgekit.types.target.TARGETS`.

    Raises:
        ModelLoadError: The file cannot be read, or, for `host`, not be loaded by its runtime.
    """
    if path.suffix == ".tflite":
        return tuple(_forecast_tflite(path, target) for target in targets)
    scene = open_scene(path)
    return tuple(_forecast_onnx(scene, target) for target in targets)


def _forecast_onnx(scene: Scene, target: Target) -> Forecast:
    if target.name == HOST:
        machine = describe_machine()
        return Forecast(HOST, _basis("onnxruntime", machine), group_verdicts(_host_verdicts(scene, machine)))
    verdicts = _RULES[target.name](scene)
    remarks = _remark_weights(scene) if target.name == "x86-avx2" else ()
    return Forecast(target.name, "rules", group_verdicts(verdicts), remarks)


def _host_verdicts(scene: Scene, machine: Machine) -> list[Verdict]:
    """What ONNX Runtime executes; where it computes in float, why, as the rules for this processor say."""
    rules = OrtRules(signed=processor_of(machine) != "x86")
    sites = tuple(scene.sites())
    reasons = {site.node.name: rules.verdict(site).reason for site in sites}
    labels = {site.node.name: site.label for site in sites}
    executed = list_executed(optimized_graph(scene.path))
    return [_host_verdict(step, reasons, labels) for step in executed if step.kind != "conversion"]


def _host_verdict(step: Executed, reasons: Mapping[str, str], labels: Mapping[str, str]) -> Verdict:
    name = step.names[-1]
    reason = reasons.get(name, "") if step.kind == "float" else ""
    return Verdict(step.op, labels.get(name, name), step.kind, reason)


def _forecast_tflite(path: Path, target: Target) -> Forecast:
    machine = describe_machine()
    if target.name not in ("xnnpack", HOST):
        groups = group_verdicts([Verdict("file", path.name, "refused", f"{target.what.split(',')[0]}: reads .onnx")])
        return Forecast(target.name, "rules", groups)
    executed, partitions = list_tflite(path)
    verdicts = forecast_delegate([step for step in executed if step.kind != "conversion"])
    if target.name != HOST:
        return Forecast(target.name, "rules", group_verdicts(verdicts))
    told = () if partitions is None else (f"XNNPACK took {partitions} partition(s) of the graph",)
    runtime = "ai-edge-litert" if "ai-edge-litert" in machine.runtimes else "tflite-runtime"
    return Forecast(HOST, _basis(runtime, machine), group_verdicts(verdicts), told)


def _basis(runtime: str, machine: Machine) -> str:
    return f"{runtime} {machine.runtimes.get(runtime, '?')} on {machine.cpu}"


def _remark_weights(scene: Scene) -> tuple[str, ...]:
    """int8 layers whose weights can saturate the 16-bit pair sums of AVX2, and those that pay for not doing so."""
    rules = OrtRules(signed=False)
    sites = [site for site in scene.sites() if site.op in _DENSE and rules.verdict(site).runs == "int8"]
    weights = [(site, found) for site in sites if (found := _weight(scene, site)) is not None]
    loud = [site for site, rows in weights if rows.dtype == np.int8 and _saturates(rows)]
    unsigned = [site for site, rows in weights if rows.dtype == np.uint8]
    remarks = []
    if loud:
        remarks.append(
            f"{len(loud)} of {len(weights)} int8 layers have neighbouring weights whose products can saturate 16 bits "
            f"(first {loud[0].label}); pair-safe weights, 7-bit weights or session.x64quantprecision=1 avoid it"
        )
    if unsigned:
        remarks.append(f"{len(unsigned)} layers have uint8 weights: exact, but their kernels are slower than u8 x s8")
    return tuple(remarks)


def _weight(scene: Scene, site: Site) -> Array | None:
    """Integers of a dense layer's weight, (O, K) in the order the kernel multiplies; None where there are none."""
    slot = {"QLinearConv": 3, "QGemm": 3}.get(site.op)
    name = site.node.input[slot] if slot is not None else site.feeds[1].source if len(site.feeds) > 1 else ""
    array = scene.array(name)
    if array is None or array.dtype not in (np.int8, np.uint8) or array.ndim < 2:
        return None
    if "Gemm" in site.op:
        return array if site.attribute("transB", 0) else array.T
    if array.shape[1] == 1 and site.attribute("group", 1) == array.shape[0]:
        return None  # depthwise kernels add in 32 bits
    return np.moveaxis(array, 1, -1).reshape(array.shape[0], -1)


def _saturates(rows: Array) -> bool:
    wide = rows.astype(np.int16)
    even, odd = wide[:, 0 : wide.shape[1] // 2 * 2 : 2], wide[:, 1::2][:, : wide.shape[1] // 2]
    return bool((np.where(even * odd > 0, np.abs(even + odd), 0) > PAIR_LIMIT).any())
