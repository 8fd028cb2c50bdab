"""Who takes part, with which settings. Plain data: no tool is imported to read this list."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """One tool with one setting.

    Attributes:
        peer: Name of the driver module in `benchmarks.peers`, and of its environment.
        setting: What the driver's `compress` is told.
        title: What tables call it.
        remark: What a reader of its row has to know; "" for nothing.
        nets: Nets it takes part in; all when empty.
    """

    peer: str
    setting: str
    title: str
    remark: str = ""
    nets: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Folder of its files, and key of its scores."""
        return f"{self.peer}-{self.setting}"


ENTRIES = (
    Entry("edgekit", "fast", "edgekit `fast`"),
    Entry("edgekit", "balanced", "edgekit `balanced`"),
    Entry("edgekit", "thorough", "edgekit `thorough`"),
    Entry(
        "edgekit",
        "balanced+27",
        "edgekit `balanced --min-sqnr 27`",
        "first layers in float, as few as the limit needs",
        nets=("lite0",),
    ),
    Entry(
        "edgekit",
        "balanced+34.8",
        "edgekit `balanced --min-sqnr 34.8`",
        "first layers in float, then others, as few as the limit needs",
        nets=("resnet20",),
    ),
    Entry(
        "onnxruntime",
        "stock",
        "onnxruntime, its defaults",
        "S8S8 min-max, per tensor",
    ),
    Entry("onnxruntime", "minmax", "onnxruntime min-max", "U8S8, per channel, after `quant_pre_process`"),
    Entry("onnxruntime", "reduce_range", "onnxruntime min-max, `reduce_range`", "as above with 7-bit weights"),
    Entry("onnxruntime", "u8u8", "onnxruntime min-max, U8U8", "as above with unsigned weights"),
    Entry(
        "onnxruntime",
        "entropy",
        "onnxruntime entropy",
        "U8S8, per channel; 32 samples on EfficientNet-Lite0",
    ),
    Entry("onnxruntime", "percentile", "onnxruntime percentile", "99.999 %; 32 samples on EfficientNet-Lite0"),
    Entry("nncf", "default", "NNCF", "`nncf.quantize` with its defaults"),
    Entry("nncf", "mixed", "NNCF `mixed`", "the preset with asymmetric activations"),
    Entry("aimet", "min_max", "AIMET", "its defaults; int8 weights and int32 biases exported"),
    Entry("aimet", "tf_enhanced", "AIMET `tf_enhanced`", "as above with ranges by its SQNR search"),
    Entry("neural_compressor", "static", "Neural Compressor", "PT2E static, from the torch module, exported to ONNX"),
    Entry("olive", "static", "Olive", "`OnnxStaticQuantization` with its defaults"),
    Entry("quark", "a8w8", "Quark `A8W8`", "its preset of that name"),
)


def chosen(peers: list[str], net: str = "") -> list[Entry]:
    """The entries of some peers, or all when none is named, that take part in a net.

    Raises:
        ValueError: A name is no peer's.
    """
    known = sorted({entry.peer for entry in ENTRIES})
    unknown = [peer for peer in peers if peer not in known]
    if unknown:
        raise ValueError(f"unknown peers {', '.join(unknown)}; there are {', '.join(known)}")
    named = [entry for entry in ENTRIES if not peers or entry.peer in peers]
    return [entry for entry in named if not entry.nets or not net or net in entry.nets]
