"""Documents are functions of the manifest: canonical, the same each time, and read back as what was written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgekit import digest
from edgekit.oci import documents, media_types, reading
from edgekit.oci.documents import Platform, platform_of
from edgekit.types.blob import Descriptor
from edgekit.types.strict_json import canonical
from tests.bundle.building import draft

IMAGE = Descriptor(media_types.IMAGE_MANIFEST, "ab" * 32, 500)


def test_an_image_is_read_back_as_written(tmp_path: Path) -> None:
    manifest = draft(tmp_path).manifest
    layers = documents.layers_of(manifest, b"{}", manifest.variants[0])
    config = documents.describe(b"config", media_types.MODEL_CONFIG)
    data = documents.image_manifest(config, layers)
    found = reading.read_image_manifest(data, where="image")
    assert (found.config, found.layers, found.artifact_type) == (config, layers, media_types.MODEL_MANIFEST)
    assert canonical(json.loads(data)) == data


def test_layers_are_the_variants_files_and_the_manifest_sorted(tmp_path: Path) -> None:
    manifest = draft(tmp_path).manifest
    layers = documents.layers_of(manifest, b"the manifest", manifest.variants[1])
    paths = [layer.annotations[media_types.FILE_PATH] for layer in layers]
    assert paths == ["card.md", "golden/inputs.npz", "golden/outputs.npz", "manifest.json", "model.v1.onnx"]
    assert paths == [layer.annotations[media_types.TITLE] for layer in layers]
    assert layers[3].sha256 == digest.of_bytes(b"the manifest")
    assert layers[4] == Descriptor(
        media_types.WEIGHT, manifest.file("model.v1.onnx").sha256, 3000, layers[4].annotations
    )
    assert layers[1].media_type == media_types.DATASET


def test_the_index_lists_variants_in_order_with_their_platforms(tmp_path: Path) -> None:
    manifest = draft(tmp_path, variants=4).manifest
    images = {variant.name: IMAGE for variant in manifest.variants}
    data = documents.image_index(manifest, b"{}", images)
    found = reading.read_index(data, where="index")
    assert [entry.descriptor.annotations[media_types.VARIANT] for entry in found.entries] == ["v0", "v1", "v2", "v3"]
    assert [entry.platform for entry in found.entries] == [
        Platform("linux", "amd64"), Platform("linux", "arm64"), Platform("linux", "arm", "v7"), None,
    ]  # fmt: skip
    assert found.annotations[media_types.MANIFEST] == f"sha256:{digest.of_bytes(b'{}')}"
    assert found.annotations[media_types.TITLE] == "lab/net"
    assert b"artifactType" not in data, "skopeo 1.9 rewrites an index whose descriptors have one"


def test_the_release_index_marks_each_entry(tmp_path: Path) -> None:
    manifest = draft(tmp_path).manifest
    index = Descriptor(media_types.IMAGE_INDEX, "cd" * 32, 700)
    data = documents.release_index(manifest, index, {"v0": IMAGE, "v1": IMAGE}, IMAGE)
    entries = reading.read_index(data, where="index").entries
    assert [dict(entry.descriptor.annotations) for entry in entries] == [
        {media_types.REF_NAME: "1.0.0"},
        {media_types.ROLE: "signature", media_types.VARIANT: "v0"},
        {media_types.ROLE: "signature", media_types.VARIANT: "v1"},
        {media_types.ROLE: "provenance"},
    ]
    assert b"artifactType" not in data
    assert len(reading.read_index(documents.release_index(manifest, index, {"v0": IMAGE, "v1": IMAGE}, None),
                              where="index").entries) == 3  # fmt: skip
    with pytest.raises(KeyError):
        documents.release_index(manifest, index, {"v0": IMAGE}, None)


def test_a_signature_names_its_subject_without_annotations() -> None:
    subject = Descriptor(media_types.IMAGE_MANIFEST, "ab" * 32, 500, {"dev.edgekit.variant": "v0"})
    layer = documents.describe(b"sealed", media_types.SIGSTORE_BUNDLE)
    found = reading.read_image_manifest(
        documents.signature_manifest(subject, layer, predicate_type=media_types.OMS_PREDICATE), where="signature"
    )
    assert found.subject == IMAGE
    assert found.config == documents.EMPTY
    assert found.annotations[media_types.PREDICATE_TYPE] == media_types.OMS_PREDICATE


@pytest.mark.parametrize(
    ("format", "container", "precision"),
    [("onnx-x86", "onnx", "int8"), ("tflite-int4", "tflite", "int4"), ("onnx-fp32", "onnx", "float32")],
)
def test_the_config_is_one_of_modelpack(tmp_path: Path, format: str, container: str, precision: str) -> None:
    """The fields and no others, as its JSON schema has them (modelpack/model-spec, schema/config-schema.json)."""
    import dataclasses

    manifest = draft(tmp_path).manifest
    variant = dataclasses.replace(manifest.variants[0], format=format)
    layers = documents.layers_of(manifest, b"{}", variant)
    data = documents.model_config(manifest, variant, layers)
    assert json.loads(data) == {
        "descriptor": {"family": "lab", "licenses": ["Apache-2.0"], "name": "lab/net", "version": "1.0.0"},
        "config": {"format": container, "precision": precision},
        "modelfs": {"type": "layers", "diffIds": [layer.digest for layer in layers]},
    }


def test_platforms() -> None:
    assert platform_of("linux", "arm64") == Platform("linux", "arm64")
    assert platform_of("linux", "any") is None
