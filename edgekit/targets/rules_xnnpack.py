"""What XNNPACK runs on integers: of an ONNX file as ONNX Runtime's provider, of a TFLite file as LiteRT's delegate.

Sources: ONNX Runtime, core/providers/xnnpack (nn/conv_base.cc and the other nodes of nn/, math/softmax.cc,
tensor/resize.cc); LiteRT's delegate: which operators it takes in int8 was read off single-operator files (LiteRT 2.3),
as its README lags behind.
"""

from __future__ import annotations

from collections.abc import Sequence

from edgekit.check.fusion import Executed
from edgekit.targets.rules_ort import OrtRules
from edgekit.targets.scene import Scene
from edgekit.targets.site import Params, Site
from edgekit.types.forecast import Verdict

DELEGATED = frozenset(
    {
        "ADD", "CONCATENATION", "CONV_2D", "DEPTHWISE_CONV_2D", "DEPTH_TO_SPACE", "FULLY_CONNECTED", "LEAKY_RELU",
        "LOGISTIC", "MAX_POOL_2D", "MEAN", "MUL", "PAD", "REDUCE_MAX", "RESHAPE", "RESIZE_BILINEAR", "SPACE_TO_DEPTH",
        "SPLIT", "STRIDED_SLICE", "SUB", "TANH", "TRANSPOSE", "TRANSPOSE_CONV",
    }
)  # fmt: skip
"""TFLite operators that LiteRT's XNNPACK delegate takes with int8 tensors (some shapes of them excepted)."""


def forecast_xnnpack(scene: Scene) -> tuple[Verdict, ...]:
    """What ONNX Runtime with its XNNPACK provider makes of a file; what XNNPACK leaves, the CPU provider takes."""
    rules = OrtRules(signed=True)
    return tuple(_verdict(scene, rules, site) for site in scene.sites())


def forecast_delegate(executed: Sequence[Executed]) -> tuple[Verdict, ...]:
    """What LiteRT with XNNPACK makes of the operators of a TFLite file."""
    return tuple(_delegate(step) for step in executed)


def _verdict(scene: Scene, rules: OrtRules, site: Site) -> Verdict:
    own = rules.verdict(site)
    if own.runs != "int8" or site.kind == "int8":
        return own
    left = _left(scene, site)
    if not left:
        return own
    return Verdict(site.op, site.label, "int8", f"{left}; ONNX Runtime's own int8 kernel runs it")


def _left(scene: Scene, site: Site) -> str:
    """Why XNNPACK leaves a fused node to the CPU provider; "" when it takes it."""
    if site.op == "Conv":
        return _left_conv(scene, site)
    types = {params.dtype for params in _params(site)}
    if site.op == "MaxPool" or (site.op == "Resize" and site.attribute("mode", b"nearest") == b"linear"):
        return ""
    if site.op in ("AveragePool", "Softmax"):
        return "" if types == {"uint8"} else f"XNNPACK takes {site.op} with uint8 only"
    return f"XNNPACK's provider has no quantized {site.op}"


def _left_conv(scene: Scene, site: Site) -> str:
    source, weight = site.feeds[0].params, site.feeds[1].params
    tensor = scene.constants.get(site.feeds[1].source)
    if tensor is not None and len(tensor.dims) != 4:
        return f"XNNPACK takes 2-D convolutions only, this one is {len(tensor.dims) - 2}-D"
    if source is None or weight is None:
        return "XNNPACK needs quantized weights in the file"
    if source.dtype == "int8":
        symmetric = weight.per_tensor or weight.is_symmetric
        return "" if weight.dtype == "int8" and symmetric else "XNNPACK needs int8 weights with zero point 0"
    if weight.dtype == "uint8" and weight.per_tensor:
        return ""
    kind = "per channel" if not weight.per_tensor else "per tensor"
    return f"XNNPACK has no kernel for uint8 activations with {weight.dtype} weights {kind}"


def _params(site: Site) -> list[Params]:
    found = [site.feeds[0].params, *(sink.params for sink in site.sinks)]
    return [params for params in found if params is not None]


def _delegate(step: Executed) -> Verdict:
    label = step.names[0] if step.names else step.op
    if step.kind == "int8" and step.op not in DELEGATED:
        return Verdict(step.op, label, "int8", f"XNNPACK does not take {step.op} in int8; LiteRT's own kernel runs it")
    reason = "its tensors are float in the file" if step.kind == "float" else ""
    return Verdict(step.op, label, step.kind, reason)
