"""What compilers for other hardware make of an ONNX file: TensorRT and Qualcomm's QNN.

Neither is run here. Sources: TensorRT developer guide, "Explicit quantization"; ONNX Runtime docs, QNN execution
provider (static shapes, QDQ groups, "typically uint8 and uint16") and TensorRT execution provider.
"""

from __future__ import annotations

from collections.abc import Mapping

from edgekit.targets.scene import DEQUANTIZE, Scene
from edgekit.targets.site import Params, Site
from edgekit.types.forecast import RunsAs, Verdict

WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")
ACTIVATIONS = ("Relu", "Clip", "Sigmoid", "HardSwish", "LeakyRelu", "Tanh", "Gelu")
INT8_TENSORRT = (
    "Add", "MaxPool", "AveragePool", "GlobalAveragePool", "Concat", "Reshape", "Transpose", "Flatten", "Squeeze",
    "Unsqueeze", "Slice", "Split", "Resize", "Gather", "Expand", "Pad", "DepthToSpace", "SpaceToDepth",
)  # fmt: skip
"""Besides the weighted layers: what TensorRT runs, or moves, as int8 between Q and DQ."""
QNN_OPERATORS = frozenset(
    {
        "Abs", "Add", "ArgMax", "ArgMin", "AveragePool", "BatchNormalization", "Ceil", "Clip", "Concat", "Conv",
        "ConvTranspose", "Cos", "DepthToSpace", "Div", "Elu", "Exp", "Expand", "Flatten", "Floor", "Gather",
        "GatherElements", "Gelu", "Gemm", "GlobalAveragePool", "GlobalMaxPool", "HardSigmoid", "HardSwish",
        "InstanceNormalization", "LayerNormalization", "LeakyRelu", "Log", "LogSoftmax", "LpNormalization", "MatMul",
        "Max", "MaxPool", "Mean", "Min", "Mul", "Neg", "PRelu", "Pad", "Pow", "ReduceMax", "ReduceMean", "ReduceMin",
        "ReduceProd", "ReduceSum", "Relu", "Reshape", "Resize", "Round", "Sigmoid", "Sign", "Sin", "Slice", "Softmax",
        "SpaceToDepth", "Split", "Sqrt", "Squeeze", "Sub", "Tanh", "Tile", "TopK", "Transpose", "Unsqueeze", "Where",
    }
)  # fmt: skip
"""Operators of the QNN provider's table, HTP backend."""


def forecast_tensorrt(scene: Scene) -> tuple[Verdict, ...]:
    """What TensorRT with explicit quantization makes of a file."""
    verdicts: list[Verdict] = []
    before: dict[str, Verdict] = {}
    for site in scene.sites():
        verdicts.append(_tensorrt(site, before))
        before.update(dict.fromkeys(site.node.output, verdicts[-1]))
    return tuple(verdicts)


def forecast_qnn(scene: Scene) -> tuple[Verdict, ...]:
    """What ONNX Runtime's QNN provider, HTP backend, makes of a file."""
    free = f"input {scene.free_axes[0]} has a free size; QNN takes static shapes only" if scene.free_axes else ""
    return tuple(_qnn(site, free) for site in scene.sites())


def _tensorrt(site: Site, before: Mapping[str, Verdict]) -> Verdict:
    """One node; `before` holds the verdict on what wrote each of its inputs."""

    def tell(runs: RunsAs, reason: str = "") -> Verdict:
        return Verdict(site.op, site.label, runs, reason)

    if site.kind == "index":
        return tell("index")
    if site.kind == "int8" and _is_qoperator(site):
        return tell("refused", "TensorRT reads QuantizeLinear and DequantizeLinear, no operators on integers")
    wrong = _asymmetric(site)
    if wrong:
        return tell("refused", wrong)
    if site.op in WEIGHTED:
        reason = _tensorrt_layer(site)
        refused = reason.startswith("its bias")
        return tell("refused" if refused else "float" if reason else "int8", reason)
    follows = [before[feed.name] for feed in site.feeds if feed.name in before]
    fused = any(verdict.op in (*WEIGHTED, "Add") and verdict.runs == "int8" for verdict in follows)
    if site.op in ACTIVATIONS and fused:
        return tell("int8")
    if site.op in INT8_TENSORRT and (site.dequantized or fused):
        return tell("int8")
    if not site.dequantized and all(sink.params is None for sink in site.sinks):
        return tell("float", "nothing around it is quantized")
    return tell("float", f"TensorRT computes {site.op} in float")


def _is_qoperator(site: Site) -> bool:
    return site.op.startswith(("QLinear", "QGemm", "QAttention")) or site.op.endswith("Integer")


def _tensorrt_layer(site: Site) -> str:
    """Why a weighted layer does not run on integers; "" when it does."""
    if site.feeds[0].params is None:
        return "only its weights are integers" if site.dequantized else "its input is not quantized"
    if len(site.feeds) > 1 and site.feeds[1].params is None:
        return "its second input is not quantized" if site.op == "MatMul" else "its weights are float"
    if len(site.feeds) > 2 and site.feeds[2].params is not None:
        return "its bias is dequantized from int32; TensorRT wants it in float"
    return ""


def _asymmetric(site: Site) -> str:
    for params in _all_params(site):
        if params.dtype == "uint8":
            return "its integers are uint8; TensorRT takes int8 only"
        if params.dtype == "int8" and params.zero_point is not None and not params.is_symmetric:
            return "its zero point is not 0; TensorRT takes symmetric int8 only"
    return ""


def _all_params(site: Site) -> list[Params]:
    found = [*(feed.params for feed in site.feeds), *(sink.params for sink in site.sinks)]
    return [params for params in found if params is not None]


def _qnn(site: Site, free: str) -> Verdict:
    def tell(runs: RunsAs, reason: str = "") -> Verdict:
        return Verdict(site.op, site.label, runs, reason)

    if site.kind == "index":
        return tell("index")
    if free:
        return tell("refused", free)
    if site.kind == "int8":
        return tell("refused", "QNN's provider reads groups of Q and DQ, no operators on integers")
    if site.op not in QNN_OPERATORS:
        return tell("float", f"QNN has no {site.op}; it runs on the CPU")
    reason = _qnn_group(site)
    return tell("float" if reason else "int8", reason)


def _qnn_group(site: Site) -> str:
    """Why a node does not run on the NPU's integers; "" when it does."""
    if not site.dequantized:
        return "its input is not quantized; it runs on the CPU"
    if site.feeds[0].params is None:
        return "only its weights are integers; it runs on the CPU"
    if site.feeds[0].params.dtype not in ("uint8", "uint16"):
        return f"its activations are {site.feeds[0].params.dtype}, QNN's operators take uint8 or uint16"
    if any(sink.clip for sink in site.sinks):
        return ""
    if any(sink.params is None and not sink.unread for sink in site.sinks) and site.op not in ("ArgMax", "ArgMin"):
        return f"no QuantizeLinear follows it, so it forms no group with its {DEQUANTIZE}; it runs on the CPU"
    return ""
