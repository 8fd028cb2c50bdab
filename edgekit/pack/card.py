"""The model card: what somebody who meets a bundle wants to know, as Markdown, from the manifest and the report."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from edgekit.pack.compressed import Compressed
from edgekit.pack.refusals import without_folders
from edgekit.types.finding import Finding, Severity
from edgekit.types.manifest import BundleFile, Manifest, Mode, Role, Variant
from edgekit.types.spec import TensorSpec
from edgekit.units import count, share, size

FILE_NAME = "model-card.md"


def render_card(manifest: Manifest, compressed: Compressed, packages: Mapping[str, str]) -> str:
    """The card.

    Args:
        manifest: What the bundle holds, but for the card itself.
        compressed: Where the files come from.
        packages: Package -> version of the runtimes that gave the golden answers.
    """
    parts = (
        _head(manifest, compressed),
        _forced(manifest.forced),
        _variants(manifest),
        _border(manifest),
        _golden(manifest, packages),
        _origin(manifest, compressed),
        _findings(compressed.told.all_findings),
        _use(manifest),
    )
    return "\n".join(line for part in parts for line in part)


def _head(manifest: Manifest, compressed: Compressed) -> Iterator[str]:
    model = compressed.told.model
    yield f"# {manifest.name} {_plain(manifest.semver)}"
    yield ""
    yield (
        f"Version {manifest.version}, licence {_plain(manifest.license)}. {count(model.parameters)} parameters; "
        f"{model.int8_nodes} of {model.nodes} nodes compute on 8-bit integers."
    )
    yield ""


def _forced(forced: Sequence[str]) -> Iterator[str]:
    if forced:
        yield "**Packed although checks had failed:**"
        yield ""
        yield from (f"- {_plain(text)}" for text in forced)
        yield ""


def _variants(manifest: Manifest) -> Iterator[str]:
    yield "## Variants"
    yield ""
    yield "In order of preference: a node takes the first that fits."
    yield ""
    yield from _table(
        ("variant", "for", "runtime", "file", "size", "memory", "score", "SQNR", "same top-1", "time"),
        (_row(variant, manifest) for variant in manifest.variants),
    )
    yield ""
    machines = sorted({each.measured.machine for each in manifest.variants if each.measured.machine})
    first = manifest.variants[0].measured
    if first.accuracy is not None and first.accuracy_baseline is not None:
        yield (
            f"Score: {_plain(first.metric)} on {first.accuracy_samples} labelled samples; the float model has "
            f"{share(first.accuracy_baseline)}."
        )
    yield "SQNR and top-1 are against the float model, on samples that did not calibrate."
    if machines:
        yield f"Time is a share of the float ONNX file's on {', '.join(map(_plain, machines))}."
    yield ""


def _row(variant: Variant, manifest: Manifest) -> tuple[str, ...]:
    needs, found = variant.requires, variant.measured
    extensions = [*needs.isa, *(["one of " + ", ".join(needs.isa_any)] if needs.isa_any else [])]
    kind = f"{needs.os}/{needs.arch}" + (f" with {', '.join(extensions)}" if extensions else "")
    provider = "" if needs.runtime.provider == "cpu" else f", {needs.runtime.provider}"
    return (
        variant.name,
        kind,
        f"{needs.runtime.name} >= {needs.runtime.minimum}{provider}",
        variant.model,
        size(_model_bytes(variant, manifest)),
        size(needs.ram_bytes),
        "-" if found.accuracy is None else share(found.accuracy),
        "-" if found.sqnr_db is None else f"{found.sqnr_db:.1f} dB",
        "-" if found.agreement is None else share(found.agreement),
        "-" if found.latency_ratio is None else f"{found.latency_ratio:.2f}",
    )


def _model_bytes(variant: Variant, manifest: Manifest) -> int:
    files: Iterable[BundleFile] = map(manifest.file, variant.files)
    return sum(file.size_bytes for file in files if file.role is Role.MODEL)


def _border(manifest: Manifest) -> Iterator[str]:
    first = manifest.variants[0]
    yield "## Inputs and outputs"
    yield ""
    for side, specs in (("input", first.inputs), ("output", first.outputs)):
        yield from (f"- {side} {_tensor(spec)}" for spec in specs)
    if manifest.preprocessing:
        said = ", ".join(f"{key} {value}" for key, value in manifest.preprocessing.items())
        yield f"- an image becomes the input by: {_plain(said)}"
    yield ""


def _tensor(spec: TensorSpec) -> str:
    grid = "" if spec.scale is None else f", one step is {spec.scale:.9g}, 0.0 is the integer {spec.zero_point}"
    name = str(spec).replace("`", "'")
    return f"`{' '.join(name.split())}`{grid}"


def _golden(manifest: Manifest, packages: Mapping[str, str]) -> Iterator[str]:
    yield "## Golden answers"
    yield ""
    tested = ", ".join(f"{name} {version}" for name, version in sorted(packages.items()))
    samples = manifest.variants[0].golden.samples
    yield f"Each variant carries its answers to {samples} golden inputs, by {_plain(tested)}. A node repeats them:"
    yield ""
    for variant in manifest.variants:
        rule = variant.golden.rules[0]
        said = {
            Mode.EXACT: "bit for bit",
            Mode.LSB: f"within {rule.bound:g} step(s) of the output",
            Mode.ATOL: f"within {rule.bound:g}",
        }[rule.mode]
        yield f"- {variant.name}: {said}"
    yield ""


def _origin(manifest: Manifest, compressed: Compressed) -> Iterator[str]:
    calibration, lineage = compressed.told.calibration, manifest.lineage
    yield "## Where it comes from"
    yield ""
    source = calibration.source.rstrip("/").rpartition("/")[2]
    yield (
        f"Calibrated on {calibration.samples} samples ({_plain(source) or 'no data'}), checked on "
        f"{compressed.told.check.samples} others. Packed by {manifest.created_with}."
    )
    yield ""
    for name, sha256 in (
        ("checkpoint", lineage.checkpoint_sha256),
        ("calibration samples", lineage.calibration_sha256),
        ("recipe.toml", lineage.recipe_sha256),
    ):
        yield f"- {name}: " + (f"sha256 `{sha256}`" if sha256 else "not known")
    yield ""


def _findings(findings: Sequence[Finding]) -> Iterator[str]:
    yield "## Findings"
    yield ""
    rank = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.NOTE: 2}
    for finding in sorted(findings, key=lambda found: rank[found.severity]):
        yield f"- {finding.severity.value}, `{_plain(finding.code)}`: {_plain(without_folders(finding.message))}"
    if not findings:
        yield "None."
    yield ""


def _use(manifest: Manifest) -> Iterator[str]:
    yield "## Use"
    yield ""
    yield "`edgekit verify BUNDLE --trust KEY.pub --extract FOLDER` writes the files of a variant; on a node,"
    yield "`edgekit node update` fetches the one that fits. `manifest.json` says all of this to programs."
    yield ""


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield "| " + " | ".join(columns) + " |"
    yield "|" + " --- |" * len(columns)
    for row in rows:
        yield "| " + " | ".join(map(_plain, row)) + " |"


def _plain(text: str) -> str:
    """Text that came from elsewhere, with what Markdown and HTML would act on made plain."""
    flat = " ".join(text.split())
    for mark in "\\`*_[]|":
        flat = flat.replace(mark, f"\\{mark}")
    return flat.replace("<", "&lt;")
