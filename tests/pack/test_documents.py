"""What is written about a model: ML-BOM, provenance and card, from the same facts, each by the rules of its format."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from edgekit.bundle.opening import open_bundle
from edgekit.bundle.release import read_provenance, read_release
from edgekit.pack.packing import Packed, pack
from edgekit.pack.settings import PackSettings
from edgekit.seal.keys import MemoryKey
from edgekit.seal.sigstore_bundle import open_sealed

SETTINGS = PackSettings("tests/net", 3, semver="1.2.0-rc.1", license="Apache-2.0 OR LicenseRef-mine")


@pytest.fixture(scope="module")
def packed(made: Path, key: MemoryKey, tmp_path_factory: pytest.TempPathFactory) -> Packed:
    return pack(made, tmp_path_factory.mktemp("packed") / "b", key=key, settings=SETTINGS)


def file_of(packed: Packed, path: str) -> bytes:
    return (packed.path / "blobs" / "sha256" / packed.manifest.file(path).sha256).read_bytes()


@pytest.fixture(scope="module")
def bom(packed: Packed) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file_of(packed, "bom.cdx.json"))
    return found


def test_the_bom_obeys_cyclonedx(packed: Packed) -> None:
    text = file_of(packed, "bom.cdx.json").decode()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text.replace("SHA-256", "SHA-257")) is not None


def test_the_bom_names_the_model_its_files_and_what_they_were_made_of(packed: Packed, bom: dict[str, Any]) -> None:
    root = bom["metadata"]["component"]
    assert (root["group"], root["name"], root["version"]) == ("tests", "net", "1.2.0-rc.1")
    assert root["type"] == "machine-learning-model"
    assert root["licenses"] == [{"expression": SETTINGS.license}]
    digests = {each["name"]: each["hashes"][0]["content"] for each in bom["components"] if "hashes" in each}
    assert digests["model.qop.int8.onnx"] == packed.manifest.file("model.qop.int8.onnx").sha256
    assert digests["calibration samples"] == packed.manifest.lineage.calibration_sha256
    assert digests["net (float)"] == packed.manifest.lineage.checkpoint_sha256
    assert {"onnxruntime", "ai-edge-litert"} <= {each["name"] for each in bom["components"]}
    assert "timestamp" not in bom["metadata"]


def test_the_bom_has_a_model_card_with_figures(bom: dict[str, Any]) -> None:
    card = bom["metadata"]["component"]["modelCard"]
    metrics = {(each["slice"], each["type"]) for each in card["quantitativeAnalysis"]["performanceMetrics"]}
    assert ("onnx-x86", "top-1, 24 samples") in metrics
    assert card["modelParameters"]["datasets"] == [{"ref": "calibration"}]
    assert card["modelParameters"]["inputs"][0]["format"].startswith("image:")


def test_a_licence_of_ones_own_is_a_name_in_the_bom(made: Path, key: MemoryKey, tmp_path: Path) -> None:
    packed = pack(made, tmp_path / "b", key=key, settings=PackSettings("tests/net", 1, license="LicenseRef-mine"))
    found = json.loads(file_of(packed, "bom.cdx.json"))
    assert found["metadata"]["component"]["licenses"] == [{"license": {"name": "LicenseRef-mine"}}]


def test_provenance_is_slsa_over_the_bundle_and_its_model_files(packed: Packed, key: MemoryKey) -> None:
    with open_bundle(packed.path) as bundle:
        release = read_release(bundle.blobs, bundle.index_bytes)
        attached = read_provenance(bundle.blobs, release)
    assert attached
    statement, _ = open_sealed(attached.data, [key.public], where="")
    assert statement.predicate_type == "https://slsa.dev/provenance/v1"
    subjects = {subject.name: subject.sha256 for subject in statement.subjects}
    assert f"sha256:{subjects.pop('tests/net')}" == packed.bundle_digest
    assert subjects == {file.path: file.sha256 for file in packed.manifest.files if file.path.startswith("model.")}
    build, run = statement.predicate["buildDefinition"], statement.predicate["runDetails"]
    assert build["externalParameters"]["recipe"]["calibration"]["data"] == "x.npz"
    assert {"name": "calibration samples", "digest": {"sha256": packed.manifest.lineage.calibration_sha256}} in build[
        "resolvedDependencies"
    ]
    assert run["builder"]["id"].startswith("https://")
    envelope = json.loads(attached.data)["dsseEnvelope"]
    said = json.loads(base64.b64decode(envelope["payload"]))
    assert said["_type"] == "https://in-toto.io/Statement/v1"


def test_the_card_says_what_people_ask(packed: Packed) -> None:
    card = file_of(packed, "model-card.md").decode()
    assert card.startswith("# tests/net 1.2.0-rc.1\n")
    for variant in packed.manifest.variants:
        assert f"| {variant.name} |" in card
    for said in (
        "top-1 on 24 labelled samples",
        "Calibrated on",
        packed.manifest.lineage.calibration_sha256,
        "onnx-qop: bit for bit",
        "## Findings",
    ):
        assert said in card, said


def test_the_card_says_what_was_forced(result: Path, key: MemoryKey, tmp_path: Path) -> None:
    (result / "model.x86.int8.onnx").unlink()
    packed = pack(result, tmp_path / "b", key=key, settings=PackSettings("tests/net", 3, force=True))
    card = file_of(packed, "model-card.md").decode()
    assert "**Packed although checks had failed:**\n\n- model.x86.int8.onnx is missing" in card


def test_what_others_wrote_is_plain_text_in_the_card(result: Path, key: MemoryKey, tmp_path: Path) -> None:
    report = json.loads((result / "report.json").read_text())
    report["findings"].append(
        {"code": "a`b", "message": "<script>|[x](y)\nnext", "severity": "note", "where": "", "hint": ""}
    )
    (result / "report.json").write_text(json.dumps(report))
    card = file_of(pack(result, tmp_path / "b", key=key, settings=SETTINGS), "model-card.md").decode()
    assert "&lt;script>\\|\\[x\\](y) next" in card
