"""The ML-BOM: what a bundle is made of, as CycloneDX 1.6, for whoever keeps an inventory of models.

Written by the CycloneDX project's own library, to which the model card is added (the library has none) and from which
the time and the random serial number are taken: the same model has the same BOM. The result is validated strictly.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import DisjunctiveLicense, LicenseExpression
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

from edgekit import digest
from edgekit.errors import EdgekitError
from edgekit.pack.compressed import Compressed
from edgekit.pack.refusals import without_folders
from edgekit.pack.settings import PackSettings, is_own_license
from edgekit.types.finding import Severity
from edgekit.types.manifest import BundleFile, Variant
from edgekit.types.strict_json import canonical
from edgekit.version import __version__

FILE_NAME = "bom.cdx.json"
MEDIA_TYPE = "application/vnd.cyclonedx+json"
TOOL = "edgekit-ml"
_ROOT, _CALIBRATION, _CHECKPOINT = "bundle", "calibration", "checkpoint"


@dataclass(frozen=True)
class Parts:
    """What a BOM is about.

    Attributes:
        settings: Name, version and licence.
        compressed: Where the files come from.
        files: The model files, as they are packed.
        variants: In order of preference.
        packages: Package -> version of the runtimes that gave the golden answers.
    """

    settings: PackSettings
    compressed: Compressed
    files: Sequence[BundleFile]
    variants: Sequence[Variant]
    packages: Mapping[str, str]


def render_bom(parts: Parts) -> bytes:
    """The BOM as canonical JSON.

    Raises:
        EdgekitError: It does not obey CycloneDX 1.6; that is a bug.
    """
    document = json.loads(JsonV1Dot6(_bom(parts)).output_as_string())
    document["metadata"].pop("timestamp", None)
    document["metadata"]["component"]["modelCard"] = _model_card(parts)
    document.pop("serialNumber", None)
    document["serialNumber"] = uuid.uuid5(uuid.NAMESPACE_OID, digest.of_bytes(canonical(document))).urn
    text = canonical(document)
    fault = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text.decode())
    if fault is not None:
        raise EdgekitError(f"the ML-BOM does not obey CycloneDX 1.6: {str(fault)[:500]}")
    return text


def _bom(parts: Parts) -> Bom:
    settings, told = parts.settings, parts.compressed.told
    family, _, name = settings.name.partition("/")
    licenses = [_license(settings.license)]
    root = Component(
        name=name,
        group=family,
        version=settings.semver,
        type=ComponentType.MACHINE_LEARNING_MODEL,
        bom_ref=_ROOT,
        licenses=licenses,
    )
    bom = Bom()
    bom.metadata.component = root
    bom.metadata.tools.components.add(Component(name=TOOL, version=__version__, type=ComponentType.APPLICATION))
    components = [
        Component(
            name=file.path,
            version=settings.semver,
            type=ComponentType.MACHINE_LEARNING_MODEL,
            bom_ref=f"file:{file.path}",
            hashes=[_hash(file.sha256)],
            licenses=licenses,
            properties=[Property(name="edgekit:size_bytes", value=str(file.size_bytes))],
        )
        for file in parts.files
    ]
    if told.model.digest:
        components.append(_source(f"{told.model.name} (float)", _CHECKPOINT, told.model.digest, is_model=True))
    if told.calibration.digest:
        components.append(_source("calibration samples", _CALIBRATION, told.calibration.digest, is_model=False))
    runtimes = [_runtime(package, version) for package, version in sorted(parts.packages.items())]
    for each in (*components, *runtimes):
        bom.components.add(each)
    bom.register_dependency(root, [*components, *runtimes])
    return bom


def _source(name: str, ref: str, sha256: str, *, is_model: bool) -> Component:
    """Something that the files were made from; it is not in the bundle."""
    kind = ComponentType.MACHINE_LEARNING_MODEL if is_model else ComponentType.DATA
    return Component(name=name, type=kind, bom_ref=ref, hashes=[_hash(sha256)])


def _runtime(package: str, version: str) -> Component:
    purl = PackageURL("pypi", name=package, version=version)
    return Component(name=package, version=version, type=ComponentType.LIBRARY, bom_ref=f"pypi:{package}", purl=purl)


def _hash(sha256: str) -> HashType:
    return HashType(alg=HashAlgorithm.SHA_256, content=sha256)


def _license(text: str) -> LicenseExpression | DisjunctiveLicense:
    return DisjunctiveLicense(name=text) if is_own_license(text) else LicenseExpression(value=text)


def _model_card(parts: Parts) -> dict[str, Any]:
    """CycloneDX's modelCard: borders, data, figures and known limits."""
    told, first = parts.compressed.told, parts.variants[0]
    parameters: dict[str, Any] = {
        "inputs": [{"format": str(spec)} for spec in first.inputs],
        "outputs": [{"format": str(spec)} for spec in first.outputs],
    }
    if told.calibration.digest:
        parameters["datasets"] = [{"ref": _CALIBRATION}]
    limits = [
        without_folders(finding.message)
        for finding in told.all_findings
        if finding.severity in (Severity.WARNING, Severity.ERROR)
    ]
    card: dict[str, Any] = {
        "modelParameters": parameters,
        "properties": [
            {"name": "edgekit:parameters", "value": str(told.model.parameters)},
            {"name": "edgekit:nodes", "value": str(told.model.nodes)},
            {"name": "edgekit:int8_nodes", "value": str(told.model.int8_nodes)},
        ],
    }
    if metrics := [metric for variant in parts.variants for metric in _metrics(variant)]:
        card["quantitativeAnalysis"] = {"performanceMetrics": metrics}
    if limits:
        card["considerations"] = {"technicalLimitations": limits}
    return card


def _metrics(variant: Variant) -> list[dict[str, str]]:
    found = variant.measured
    said = {
        f"{found.metric}, {found.accuracy_samples} samples": found.accuracy,
        f"{found.metric} of the float model": found.accuracy_baseline,
        "SQNR, dB": found.sqnr_db,
        "share with the float model's top-1": found.agreement,
        f"time over float, {found.machine}": found.latency_ratio,
    }
    return [
        {"type": name, "value": f"{value:.6g}", "slice": variant.name}
        for name, value in said.items()
        if value is not None
    ]
