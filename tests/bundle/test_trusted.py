"""A signature counts only by a trusted key, and only over exactly what it came with."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from edgekit.bundle.blobs import FolderBlobs
from edgekit.bundle.release import Image, Release, read_image, read_provenance, read_release
from edgekit.bundle.trusted import check_image, check_provenance
from edgekit.errors import MalformedError, SignatureError
from edgekit.oci import media_types
from edgekit.seal.keys import PrivateKey, generate
from edgekit.seal.oms import sign_files
from edgekit.seal.sigstore_bundle import seal_statement
from edgekit.seal.statement import Statement, Subject
from tests.bundle.building import Built, build, provenance_of

OTHER = generate("p256")


def opened(built: Built) -> tuple[Release, FolderBlobs]:
    blobs = FolderBlobs(built.path)
    return read_release(blobs, (built.path / "index.json").read_bytes()), blobs


@pytest.fixture
def release(valid: Built) -> Release:
    return opened(valid)[0]


@pytest.fixture
def image(valid: Built) -> Image:
    release, blobs = opened(valid)
    return read_image(blobs, release, "v0")


def digests(image: Image) -> dict[str, str]:
    return {path: layer.sha256 for path, layer in image.layers.items()}


def signed(image: Image, files: dict[str, str], key: PrivateKey) -> Image:
    return dataclasses.replace(image, signature=sign_files(files, name="lab/net", key=key))


def test_the_key_that_signed_is_told(release: Release, image: Image, key: PrivateKey) -> None:
    assert check_image(release, image, [OTHER.public, key.public]) == key.public


def test_other_keys_and_none(release: Release, image: Image, key: PrivateKey) -> None:
    for keys in ([], [OTHER.public], [generate("ed25519").public]):
        with pytest.raises(SignatureError):
            check_image(release, image, keys)
    with pytest.raises(SignatureError):
        check_image(release, signed(image, digests(image), OTHER), [key.public])


def test_other_files(release: Release, image: Image, key: PrivateKey) -> None:
    files = digests(image)
    fewer = {path: sha256 for path, sha256 in files.items() if path != "model.v0.onnx"}
    cases = {
        "'model.v0.onnx' is not covered": fewer,
        "'evil.onnx' is none of its files": {**files, "evil.onnx": "00" * 32},
        "'manifest.json' has another digest": {**files, "manifest.json": "00" * 32},
        "'card.md' has another digest, .*, and 2 more": dict.fromkeys(files, "00" * 32),
        "'other.onnx' is none": {**fewer, "other.onnx": files["model.v0.onnx"]},
    }
    for said, wrong in cases.items():
        with pytest.raises(SignatureError, match=said):
            check_image(release, signed(image, wrong, key), [key.public])


def test_the_signature_of_another_variant_or_bundle(valid: Built, tmp_path: Path, key: PrivateKey) -> None:
    release, blobs = opened(valid)
    v0, v1 = (read_image(blobs, release, name) for name in ("v0", "v1"))
    with pytest.raises(SignatureError, match="over other files"):
        check_image(release, dataclasses.replace(v0, signature=v1.signature), [key.public])
    other = build(tmp_path, key, seed=7)
    foreign = read_image(opened(other)[1], opened(other)[0], "v0")
    with pytest.raises(SignatureError, match="over other files"):
        check_image(release, dataclasses.replace(v0, signature=foreign.signature), [key.public])


def test_what_is_no_signature(release: Release, image: Image, key: PrivateKey) -> None:
    for data in (b"", b"{}", image.signature[:-1], b"[" * 5000):
        with pytest.raises(MalformedError):
            check_image(release, dataclasses.replace(image, signature=data), [key.public])


def test_provenance(valid: Built, key: PrivateKey) -> None:
    release, blobs = opened(valid)
    found = read_provenance(blobs, release)
    assert found
    assert check_provenance(release, found, [OTHER.public, key.public]) == key.public
    with pytest.raises(SignatureError):
        check_provenance(release, found, [OTHER.public])
    honest = provenance_of(release.manifest, release.image_index)
    for statement in (
        dataclasses.replace(honest, predicate_type=media_types.OMS_PREDICATE),
        dataclasses.replace(honest, subjects=honest.subjects[:-1]),
        dataclasses.replace(honest, subjects=(*honest.subjects, Subject("more", "00" * 32))),
        dataclasses.replace(honest, subjects=(*honest.subjects, honest.subjects[0])),
        dataclasses.replace(honest, subjects=(Subject("lab/net", "00" * 32), *honest.subjects[1:])),
        Statement((Subject("x", "00" * 32),), media_types.PROVENANCE_PREDICATE, {}),
    ):
        with pytest.raises(SignatureError):
            check_provenance(release, dataclasses.replace(found, data=seal_statement(statement, key)), [key.public])
