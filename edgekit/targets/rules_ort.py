"""Which nodes ONNX Runtime's CPU provider computes on integers: its QDQ selectors, as rules over a Site.

Source: ONNX Runtime, core/optimizer/qdq_transformer: selectors_actions/qdq_selectors.cc (which groups fuse),
qdq_selector_action_transformer.cc (which operators), qdq_s8_to_u8.cc (what x86 does with int8 activations).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from edgekit.targets.scene import Scene
from edgekit.targets.site import Feed, Params, Sink, Site
from edgekit.types.forecast import RunsAs, Verdict

DROPPED = (
    "Expand", "Flatten", "Gather", "GatherElements", "Reshape", "Slice", "Squeeze", "Tile", "Transpose", "Unsqueeze",
    "Resize", "MaxPool", "ReduceMax", "ReduceMin", "DepthToSpace",
)  # fmt: skip
"""Run on the bare integers when both sides mean the same reals."""
UNARY = ("AveragePool", "LeakyRelu", "GlobalAveragePool", "Sigmoid", "Softmax")
BINARY = ("Add", "Mul")
WIDE = ("int16", "uint16")


@dataclass(frozen=True)
class OrtRules:
    """The CPU provider on one kind of processor.

    Attributes:
        signed: Whether int8 activations are taken as they stand (ARM); on x86 they are made uint8 where that is free.
    """

    signed: bool

    def verdict(self, site: Site) -> Verdict:
        """What becomes of one node."""
        if site.kind != "float" and not (site.op == "ArgMax" and site.dequantized):
            return Verdict(site.op, site.label, _settled(site), "")
        reason = self.reason(site)
        return Verdict(site.op, site.label, "float" if reason else "int8", reason)

    def reason(self, site: Site) -> str:
        """Why a node between Q and DQ stays float; "" when it becomes an integer kernel."""
        if site.vanishes:
            return ""
        if site.op == "MatMulNBits":
            return "only its weights are integers"
        if not site.dequantized and all(sink.params is None for sink in site.sinks):
            return "nothing around it is quantized"
        seen = _completed(site if self.signed else _as_unsigned(site))
        if any(feed.params is not None and feed.params.dtype in WIDE for feed in seen.feeds) and site.op not in (
            "Reshape", "Transpose", "Gather", "Slice", "Squeeze", "Unsqueeze", "Flatten", "Expand",
        ):  # fmt: skip
            return "16-bit activations have no integer kernel on CPUs"
        rule = _RULES.get(site.op)
        if rule is None:
            return f"ONNX Runtime has no integer kernel for {site.op}"
        return rule(self, seen)


def forecast_ort(scene: Scene, *, signed: bool) -> tuple[Verdict, ...]:
    """What ONNX Runtime's CPU provider makes of a file.

    Args:
        scene: The file.
        signed: True for ARM, False for x86.
    """
    rules = OrtRules(signed)
    return tuple(rules.verdict(site) for site in scene.sites())


def _settled(site: Site) -> RunsAs:
    return "int8" if site.kind == "int8" else "conversion" if site.kind == "conversion" else "index"


def _as_unsigned(site: Site) -> Site:
    """int8 values that x86 reads as uint8: those that one Q writes and one node reads."""

    def feed(found: Feed) -> Feed:
        if found.params is None or not found.quantized_here or found.readers != 1:
            return found
        return replace(found, params=_unsigned(found.params))

    def sink(found: Sink) -> Sink:
        if found.params is None or found.readers != 1 or found.stays_integer:
            return found
        return replace(found, params=_unsigned(found.params))

    return replace(site, feeds=tuple(map(feed, site.feeds)), sinks=tuple(map(sink, site.sinks)))


def _completed(site: Site) -> Site:
    """Float weights and biases that ONNX Runtime quantizes itself: of layers between per-tensor DQ and Q.

    Source: ONNX Runtime, weight_bias_quantization.cc.
    """
    if site.op not in ("Conv", "Gemm", "ConvTranspose") or (site.op == "Gemm" and site.sinks[0].params is None):
        return site  # a Conv without a quantized result stays float anyway, and for that reason
    first, *rest = site.feeds
    if first.params is None or not first.params.per_tensor or not all(feed.constant for feed in rest):
        return site
    types = ("int8", "int32")
    filled = [
        feed if feed.params else replace(feed, params=Params(dtype, None, None))
        for feed, dtype in zip(rest, types, strict=False)
    ]
    return replace(site, feeds=(first, *filled))


def _unsigned(params: Params) -> Params:
    if params.dtype != "int8" or not params.per_tensor or params.zero_point is None:
        return params
    return replace(params, dtype="uint8", zero_point=params.zero_point.astype("int32") + 128)


def _group(site: Site, *, inputs: int | None = None, needs_result: bool = True) -> str:
    """What every selector asks: all inputs dequantized, each result read by one Q and nothing else."""
    wanted = len(site.feeds) if inputs is None else inputs
    if len(site.dequantized) != wanted:
        return _name_float_inputs(site)
    live = [sink for sink in site.sinks if not sink.unread]
    for sink in live:
        if sink.clip:
            return f"a {sink.clip} that the quantizer's saturation does not replace stands behind it"
        if sink.params is None:
            if needs_result or len(live) > 1:
                return "its result is not quantized"
        elif not sink.alone:
            return "its result is read as floats, too"
    return ""


def _name_float_inputs(site: Site) -> str:
    if not site.dequantized:
        return "its input is not quantized"
    if site.op in ("Conv", "Gemm", "ConvTranspose") and len(site.feeds) > 1:
        if site.feeds[0].params is None:
            return "only its weights are integers" if site.feeds[1].params else "its input is not quantized"
        if site.feeds[1].params is None:
            return "its weights are float"
        return "its bias is float instead of int32"
    return "only some of its inputs are quantized"


def _types(site: Site) -> str:
    """Whether activations and result are of one type."""
    found = {params.dtype for params in _activations(site)}
    if len(found) > 1:
        return f"its activations are of different types ({', '.join(sorted(found))})" + _told_readers(site)
    return ""


def _activations(site: Site) -> list[Params]:
    feeds = site.feeds[:1] if site.op in ("Conv", "Gemm") else site.feeds
    found = [feed.params for feed in feeds if feed.params is not None]
    return found + [sink.params for sink in site.sinks if sink.params is not None]


def _told_readers(site: Site) -> str:
    """Where a shared int8 value is behind it."""
    shared = [feed.readers for feed in site.feeds if _is_int8(feed.params) and not feed.constant]
    shared += [sink.readers for sink in site.sinks if _is_int8(sink.params)]
    many = [count for count in shared if count > 1]
    return f": an int8 value with {max(many)} readers cannot become uint8 on x86" if many else ""


def _is_int8(params: Params | None) -> bool:
    return params is not None and params.dtype == "int8"


def _int8_refused(rules: OrtRules, site: Site) -> str:
    """Signed activations: only where the processor takes them, and then with signed weights."""
    if not _is_int8(site.feeds[0].params):
        return ""
    if not rules.signed:
        return "its activations are int8 with several readers, which ONNX Runtime leaves in float on x86"
    return "" if _is_int8(site.feeds[1].params) else "int8 activations need int8 weights"


def _conv(rules: OrtRules, site: Site) -> str:
    wrong = _group(site) or _types(site) or _int8_refused(rules, site)
    if not wrong and len(site.feeds) > 2 and (bias := site.feeds[2].params) is not None and bias.dtype != "int32":
        return f"its bias is {bias.dtype} instead of int32"
    return wrong


def _gemm(rules: OrtRules, site: Site) -> str:
    wrong = _group(site, needs_result=False) or _types(site)
    if wrong:
        return wrong
    if _is_int8(site.feeds[0].params) and not _is_int8(site.feeds[1].params):
        return "int8 activations need int8 weights"
    if len(site.feeds) > 2 and site.attribute("beta", 1.0) != 1.0:
        return "its beta is not 1"
    return ""


def _matmul(rules: OrtRules, site: Site) -> str:
    if len(site.dequantized) != 2:
        return "only its weights are integers" if site.dequantized else "its inputs are not quantized"
    refused = _int8_refused(rules, site)
    if refused or all(sink.params is None and not sink.clip for sink in site.sinks):
        return refused
    result = site.sinks[0].params
    wrong = _group(site)
    if not wrong and result is not None and result.dtype != site.feeds[0].params.dtype:  # type: ignore[union-attr]
        return "its activations are of different types" + _told_readers(site)
    return wrong


def _same_type(rules: OrtRules, site: Site) -> str:
    return _group(site) or _types(site)


def _unary(rules: OrtRules, site: Site) -> str:
    return _group(site, inputs=1) or _types(site)


def _dropped(rules: OrtRules, site: Site) -> str:
    if site.op == "MaxPool" and site.opset < 12:
        return "MaxPool takes integers from opset 12 on"
    if site.op == "Resize" and site.attribute("mode", b"nearest") != b"nearest":
        return "ONNX Runtime resizes integers by nearest neighbour only"
    wrong = _group(site, inputs=1) or _types(site)
    if wrong:
        return wrong
    before = site.dequantized[0].params
    if any(sink.params is not None and before is not None and not before.same(sink.params) for sink in site.sinks):
        return "its input and output have different scales"
    return ""


def _argmax(rules: OrtRules, site: Site) -> str:
    return "" if len(site.dequantized) == 1 else "its input is not quantized"


def _where(rules: OrtRules, site: Site) -> str:
    return _group(site, inputs=2) or _types(site)


_RULES: Mapping[str, Callable[[OrtRules, Site], str]] = {
    "Conv": _conv,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "Concat": _same_type,
    "Split": _dropped,
    "ArgMax": _argmax,
    "Where": _where,
    **dict.fromkeys(BINARY, _same_type),
    **dict.fromkeys(UNARY, _unary),
    **dict.fromkeys(DROPPED, _dropped),
}
