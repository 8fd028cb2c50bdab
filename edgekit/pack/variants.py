"""Which machines each file is for: the table that turns the formats of a compression into the variants of a bundle.

The order of the variants is the order in which a node tries them. It is that of the table, but for files that were
measured to be clearly faster: noise in the times of a new release must not send a fleet to other files, of which it has
no predecessor to take a delta from. The file for audits comes near the end, the float file only where there is nothing
else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from edgekit.types.interval import Interval

ONNXRUNTIME, LITERT = "onnxruntime", "litert"
AUDIT = "onnx-qop"
"""The file whose kernels compute the same bits everywhere: equal on x86-64 and on emulated arm64 in our tests."""
FLOAT = "onnx-fp32"
X86, ARM, ANY = "amd64", "arm64", "any"
VNNI = ("avx512_vnni", "avx_vnni")
"""Either adds four products of bytes in 32 bits, where older CPUs add two in 16 and saturate."""
CLEARLY = 1.05
"""Over how many times the time of a file another one takes, at the nearest ends of their intervals, before it is clear
which is faster. An interval knows what scatters within one run; medians of two runs are some percent further apart."""

Need = Literal["", "vnni", "host"]


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Attributes:
        archs: What it is for, in the manifest's words.
        runtime: What runs it.
        relative: Format whose measured time stands in where this one was not measured: it was made to be no slower.
        provider: Execution provider, the agent's word.
        need: Extensions: "vnni", or "host" for all those of the machine it was made on.
    """

    archs: tuple[str, ...]
    runtime: str = ONNXRUNTIME
    relative: str = ""
    provider: str = "cpu"
    need: Need = ""


ROWS: Mapping[str, Row] = {
    "onnx-host": Row((), relative="onnx-x86", need="host"),
    "onnx-vnni": Row((X86,), relative="onnx-x86", need="vnni"),
    "onnx-x86": Row((X86,)),
    "tflite-int8": Row((X86, ARM), LITERT),
    "onnx-arm": Row((ARM,), relative="onnx-int8"),
    "onnx-int8": Row((ARM,)),
    "onnx-tensorrt": Row((X86, ARM), provider="tensorrt"),
    "onnx-qnn": Row((ARM,), provider="qnn"),
    "tflite-int4": Row((X86, ARM), LITERT),
    "onnx-int4": Row((X86, ARM)),
    AUDIT: Row((ANY,)),
    FLOAT: Row((ANY,)),
}
"""Format -> its line, in the order of preference where nothing was measured. On ARM with dot products LiteRT executes
fewer instructions than ONNX Runtime (benchmarks/README.md, "What int8 saves on ARM"), and takes less memory."""


@dataclass(frozen=True)
class Place:
    """One variant to be: a format for one kind of machine.

    Attributes:
        name: Of the variant.
        format: Of the file.
        arch: "amd64", "arm64", "any".
        runtime: What runs it.
        provider: Execution provider.
        isa: Extensions that must all be there.
        isa_any: Extensions of which one must be there.
    """

    name: str
    format: str
    arch: str
    runtime: str
    provider: str = "cpu"
    isa: tuple[str, ...] = ()
    isa_any: tuple[str, ...] = ()


def place(
    formats: Sequence[str], *, host_arch: str, host_isa: tuple[str, ...], is_pair_safe: bool
) -> tuple[Place, ...]:
    """The variants that some files make, in the order of the table.

    Args:
        formats: Of the files that are there.
        host_arch: Of the machine that they were measured on; "" where that is no architecture of bundles.
        host_isa: Its extensions.
        is_pair_safe: Whether the weights are right on CPUs that add int8 products in 16 bits.

    Returns:
        Empty where no file serves any machine.
    """
    found: list[tuple[str, str]] = []
    for name, row in ROWS.items():
        if name not in formats or name == FLOAT:
            continue
        archs = tuple(arch for arch in (host_arch,) if arch) if row.need == "host" else row.archs
        if name == "onnx-int8":
            archs = _where_nothing_better(formats)
        found += [(name, arch) for arch in archs]
    if not found and FLOAT in formats:
        found = [(FLOAT, arch) for arch in ROWS[FLOAT].archs]
    names = [name for name, _ in found]
    return tuple(
        Place(
            name if names.count(name) == 1 else f"{name}-{arch}",
            name,
            arch,
            ROWS[name].runtime,
            ROWS[name].provider,
            isa=host_isa if ROWS[name].need == "host" else (),
            isa_any=VNNI if ROWS[name].need == "vnni" or (name == "onnx-x86" and not is_pair_safe) else (),
        )
        for name, arch in found
    )


def _where_nothing_better(formats: Sequence[str]) -> tuple[str, ...]:
    """Architectures for the canonical file: it is right on every CPU, and fast on those of ARM."""
    archs = () if "onnx-arm" in formats else (ARM,)
    served = any(X86 in ROWS[name].archs for name in formats if name in ROWS and ROWS[name].provider == "cpu")
    return archs if served else (*archs, X86)


def in_order(
    places: Sequence[Place], times: Mapping[str, Interval | None], *, first: Sequence[str] = ()
) -> tuple[Place, ...]:
    """Variants in order of preference.

    Args:
        places: In the order of the table.
        times: Variant -> its time over the float file's on a machine of its architecture; None where not measured.
        first: Formats that come before all others, in this order, whatever was measured.

    Returns:
        In the order of the table, but a file that is clearly faster comes before those of its architecture. One that
        was not measured stands where its relative does; then follow those of which nothing is known, then the file for
        audits.
    """
    by_file = {(each.format, each.arch): times.get(each.name) for each in places}

    def time(each: Place) -> Interval | None:
        return times.get(each.name) or by_file.get((ROWS[each.format].relative, each.arch))

    def rank(each: Place) -> tuple[int, bool, bool]:
        named = first.index(each.format) if each.format in first else len(first)
        return named, each.format in (AUDIT, FLOAT), time(each) is None

    def is_behind(each: Place, other: Place) -> bool:
        mine, its = time(each), time(other)
        if mine is None or its is None or each.arch != other.arch or rank(each) != rank(other):
            return False
        return its.high * CLEARLY < mine.low

    left, found = sorted(places, key=rank), list[Place]()
    while left:  # "behind" is a partial order: there is always one that nothing left comes before
        found.append(next(each for each in left if not any(is_behind(each, other) for other in left)))
        left.remove(found[-1])
    return tuple(found)
