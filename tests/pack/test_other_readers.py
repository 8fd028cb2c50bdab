"""Programs that know nothing of edgekit read a bundle: ModelPack's schema, and OpenSSF's model_signing."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from edgekit.bundle.extraction import extract
from edgekit.bundle.verify import verify_bundle
from edgekit.oci import media_types
from edgekit.pack.packing import Packed, pack
from edgekit.seal.key_files import write_key
from edgekit.seal.keys import MemoryKey
from tests.interop.parts import lack, stock_program, stock_python
from tests.pack.conftest import SETTINGS

VALIDATE = """
import json, sys
from jsonschema import Draft202012Validator
from modelpack_client.constants import MODEL_LAYER_MEDIA_TYPES
from modelpack_client.schema import CONFIG_SCHEMA
for found in json.load(sys.stdin):
    Draft202012Validator(CONFIG_SCHEMA).validate(found["config"])
    unknown = set(found["layers"]) - MODEL_LAYER_MEDIA_TYPES
    assert not unknown, unknown
"""


@pytest.fixture(scope="module")
def packed(made: Path, key: MemoryKey, tmp_path_factory: pytest.TempPathFactory) -> Packed:
    return pack(made, tmp_path_factory.mktemp("packed") / "b", key=key, settings=SETTINGS)


def images(packed: Packed) -> list[dict[str, object]]:
    """Config and layer types of every image of a bundle, read as plain JSON."""
    blobs = packed.path / "blobs" / "sha256"

    def read(digest: str) -> dict[str, object]:
        found: dict[str, object] = json.loads((blobs / digest.removeprefix("sha256:")).read_text())
        return found

    index = read(packed.bundle_digest)
    manifests = [read(entry["digest"]) for entry in index["manifests"]]  # type: ignore[attr-defined]
    assert all(manifest["artifactType"] == media_types.MODEL_MANIFEST for manifest in manifests)
    return [
        {
            "config": read(manifest["config"]["digest"]),  # type: ignore[index]
            "layers": [layer["mediaType"] for layer in manifest["layers"]],  # type: ignore[attr-defined]
        }
        for manifest in manifests
    ]


def validate(found: list[dict[str, object]]) -> subprocess.CompletedProcess[str]:
    python = stock_python()
    known = subprocess.run([python, "-c", "import modelpack_client"], capture_output=True, check=False)
    if known.returncode:
        lack("modelpack-client in .venv-interop")
    words = [str(python), "-c", VALIDATE]
    return subprocess.run(words, input=json.dumps(found), capture_output=True, text=True, check=False)


def test_every_config_obeys_the_schema_of_modelpack(packed: Packed) -> None:
    found = images(packed)
    assert len(found) == len(packed.manifest.variants)
    done = validate(found)
    assert done.returncode == 0, done.stderr
    spoiled = [{**found[0], "config": {**found[0]["config"], "made_by": "edgekit"}}]  # type: ignore[dict-item]
    assert "made_by" in validate(spoiled).stderr


def test_stock_model_signing_accepts_each_variant_and_no_changed_one(
    packed: Packed, key: MemoryKey, tmp_path: Path
) -> None:
    write_key(key, tmp_path / "it.key", None)
    verdict = verify_bundle(packed.path, [key.public])
    for folder in extract(packed.path, verdict, tmp_path / "files"):
        words = [str(stock_program("model_signing")), "verify", "key", str(folder)]
        words += ["--signature", str(folder / "model.sig"), "--public_key", str(tmp_path / "it.pub")]
        done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    (folder / "model-card.md").write_text("another")
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert "mismatch" in (done.stdout + done.stderr).lower()
