"""Reading a release: lazily, and only where every document says what the others say."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from edgekit import digest
from edgekit.bundle.blobs import FolderBlobs
from edgekit.bundle.release import check_config, read_image, read_provenance, read_release
from edgekit.errors import DigestError, EdgekitError, MalformedError, SignatureError
from edgekit.oci import media_types
from edgekit.seal.keys import PrivateKey
from edgekit.types.blob import Blob, Descriptor
from edgekit.types.strict_json import canonical
from tests.bundle.building import Built, build

Edit = Callable[[dict[str, Any]], object]


class Counting(FolderBlobs):
    """Remembers what was read."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.read_sha256: list[str] = []

    def read(self, descriptor: Descriptor, *, limit_bytes: int) -> bytes:
        self.read_sha256.append(descriptor.sha256)
        return super().read(descriptor, limit_bytes=limit_bytes)

    def open(self, blob: Blob) -> BinaryIO:
        return super().open(blob)


def index_bytes(built: Built) -> bytes:
    return (built.path / "index.json").read_bytes()


def read_all(built: Built) -> None:
    """Every document of a bundle."""
    blobs = FolderBlobs(built.path)
    release = read_release(blobs, index_bytes(built))
    for variant in release.images:
        check_config(blobs, release, read_image(blobs, release, variant))
    read_provenance(blobs, release)


def edited(edit: Edit) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        value = json.loads(data)
        edit(value)
        return canonical(value)

    return change


def test_a_release_says_what_was_built(valid: Built) -> None:
    blobs = FolderBlobs(valid.path)
    release = read_release(blobs, index_bytes(valid))
    assert release.manifest == valid.draft.manifest
    assert release.image_index.sha256 == valid.image_index.sha256
    assert release.index_digest == digest.of_file(valid.path / "index.json")
    assert list(release.images) == list(release.signatures) == ["v0", "v1", "v2"]
    image = read_image(blobs, release, "v1")
    assert image.variant is release.manifest.variants[1]
    assert {path: layer.sha256 for path, layer in image.layers.items()} == {
        "manifest.json": digest.of_bytes(release.manifest_bytes),
        **{path: release.manifest.file(path).sha256 for path in image.variant.files},
    }
    with pytest.raises(KeyError):
        read_image(blobs, release, "v9")


def test_only_what_is_needed_is_read(valid: Built) -> None:
    """A node reads four small blobs for its own variant, whatever else the bundle holds."""
    blobs = Counting(valid.path)
    release = read_release(blobs, index_bytes(valid))
    assert blobs.read_sha256 == [release.image_index.sha256, digest.of_bytes(release.manifest_bytes)]
    image = read_image(blobs, release, "v2")
    assert blobs.read_sha256[2:] == [
        release.images["v2"].sha256,
        release.signatures["v2"].sha256,
        image.signature_layer.sha256,
    ]


def entry(number: int, **fields: object) -> Edit:
    return lambda value: value["manifests"][number].update(fields)


def marks(number: int, **fields: str) -> Edit:
    return lambda value: value["manifests"][number]["annotations"].update(
        {key.replace("_", "."): text for key, text in fields.items()}
    )


ALTERED: list[tuple[str, Edit, type[EdgekitError], str]] = [
    ("index", lambda v: v["manifests"].pop(0), MalformedError, "0 image indexes"),
    ("index", lambda v: v["manifests"].append(v["manifests"][0]), MalformedError, "2 image indexes"),
    ("index", lambda v: v["manifests"].append(v["manifests"][1]), MalformedError, "has already, or has no place"),
    ("index", lambda v: v["manifests"].append(v["manifests"][-1]), MalformedError, "has already, or has no place"),
    ("index", lambda v: v["manifests"].pop(1), SignatureError, "variant v0 .* has no signature"),
    ("index", lambda v: v.update(manifests=[]), MalformedError, "0 image indexes"),
    ("index", lambda v: v.update(manifests=v["manifests"] * 40), MalformedError, "at most 130"),
    ("index", marks(1, dev_edgekit_variant="other"), MalformedError, "has no place"),
    ("index", marks(1, dev_edgekit_variant="v1"), MalformedError, "has already"),
    ("index", marks(1, dev_edgekit_role="friend"), MalformedError, "has no place"),
    ("index", marks(1, more="x"), MalformedError, "says more of"),
    ("index", marks(3, dev_edgekit_variant="v0"), MalformedError, "has no place"),
    ("index", entry(1, mediaType="text/plain"), MalformedError, "says more of"),
    ("index", entry(1, platform={"os": "linux", "architecture": "arm64"}), MalformedError, "says more of"),
    ("index", entry(0, annotations={}), MalformedError, "or an empty one"),
    ("index", lambda v: v["manifests"][0].pop("annotations"), MalformedError, "does not name the image index"),
    ("index", marks(0, org_opencontainers_image_ref_name="2.0.0"), MalformedError, "ref.name|does not name"),
    ("index", entry(0, size=3), DigestError, "bytes instead of 3"),
    ("index", entry(0, size=2**40), MalformedError, "at most 262144"),
    ("index", entry(0, digest="sha256:" + "00" * 32), MalformedError, "lacks blob"),
    ("index", lambda v: v["manifests"][0].update(digest=v["manifests"][1]["digest"], size=v["manifests"][1]["size"]),
     MalformedError, "the image index"),
    ("index", lambda v: v["manifests"][1].update(digest=v["manifests"][0]["digest"], size=v["manifests"][0]["size"]),
     MalformedError, "the signature of v0"),
    ("image_index", lambda v: v["manifests"].pop(), MalformedError, "lists 1 images; manifest.json has 2"),
    ("image_index", lambda v: v["manifests"].append(v["manifests"][0]), MalformedError, "lists 3 images"),
    ("image_index", lambda v: v["manifests"].reverse(), MalformedError, "does not list variant v0 where"),
    ("image_index", lambda v: v["manifests"][0].pop("platform"), MalformedError, "another platform"),
    ("image_index", entry(0, platform={"os": "linux", "architecture": "arm64"}), MalformedError, "another platform"),
    ("image_index", entry(0, mediaType=media_types.IMAGE_INDEX), MalformedError, "which is no image"),
    ("image_index", lambda v: v["annotations"].pop(media_types.MANIFEST), MalformedError, "lacks the annotation"),
    ("image_index", lambda v: v["annotations"].update({media_types.MANIFEST_SIZE: "-1"}), MalformedError, "no size"),
    ("image_index", lambda v: v["annotations"].update({media_types.MANIFEST_SIZE: "٣"}), MalformedError, "no size"),
    ("image_index", lambda v: v["annotations"].update({media_types.MANIFEST_SIZE: "9" * 50}), MalformedError, "no s"),
    ("image_index", lambda v: v["annotations"].update({media_types.MANIFEST: "../x"}), MalformedError, "no sha256"),
    ("image_index", lambda v: v["annotations"].update({media_types.TITLE: "lab/x"}), MalformedError, "image.title"),
    ("image_index", lambda v: v["annotations"].update({media_types.VERSION: "9.9.9"}), MalformedError, "image.version"),
    ("image_index", lambda v: v["annotations"].update({media_types.LICENSES: "MIT"}), MalformedError, "image.licenses"),
    ("image_index", lambda v: v["annotations"].update(more="x"), MalformedError, "no place there"),
    ("image:v0", lambda v: v["layers"].pop(), MalformedError, "does not hold the files"),
    ("image:v0", lambda v: v["layers"].append(v["layers"][0]), MalformedError, "does not hold the files"),
    ("image:v0", lambda v: v["layers"].reverse(), MalformedError, "does not hold the files"),
    ("image:v0", lambda v: v["layers"][0].update(size=1), MalformedError, "does not hold the files"),
    ("image:v0", lambda v: v["layers"][0].update(mediaType=media_types.WEIGHT), MalformedError, "does not hold"),
    ("image:v0", lambda v: v["layers"][0]["annotations"].update({media_types.TITLE: "../x"}), MalformedError, "does n"),
    ("image:v0", lambda v: v.update(artifactType="a/b"), MalformedError, "is no model of"),
    ("image:v0", lambda v: v.update(subject=v["config"]), MalformedError, "a subject or annotations"),
    ("image:v0", lambda v: v.update(annotations={"a": "b"}), MalformedError, "a subject or annotations"),
    ("image:v0", lambda v: v["config"].update(mediaType="a/b"), MalformedError, "is no model of"),
    ("image:v0", lambda v: v["config"].update(annotations={"a": "b"}), MalformedError, "a subject or annotations"),
    ("signature:v0", lambda v: v["subject"].update(digest="sha256:" + "00" * 32), DigestError, "something else"),
    ("signature:v0", lambda v: v.pop("subject"), DigestError, "something else"),
    ("signature:v0", lambda v: v["layers"].append(v["layers"][0]), MalformedError, "one sigstore bundle"),
    ("signature:v0", lambda v: v.update(layers=[]), MalformedError, "one sigstore bundle"),
    ("signature:v0", lambda v: v["layers"][0].update(size=2**30), MalformedError, "at most 262144"),
    ("signature:v0", lambda v: v["layers"][0].update(mediaType="a/b"), MalformedError, "no sigstore bundle"),
    ("signature:v0", lambda v: v["annotations"].update({media_types.PREDICATE_TYPE: "x"}), MalformedError, "annotated"),
    ("signature:v0", lambda v: v["config"].update(size=1), MalformedError, "one sigstore bundle"),
    ("signature:v0", lambda v: v.update(artifactType="a/b"), MalformedError, "one sigstore bundle"),
    ("provenance_manifest", lambda v: v["subject"].update(size=1), DigestError, "something else"),
    ("image:v0", lambda v: v.update(annotations={}), MalformedError, "annotations is no object, or an empty one"),
    ("image:v0", lambda v: v["config"].update(annotations={}), MalformedError, "or an empty one"),
    ("image:v0", lambda v: v.update(subject=None), MalformedError, "subject is no JSON object"),
    ("signature:v0", lambda v: v["subject"].update(annotations={}), MalformedError, "or an empty one"),
    ("signature:v0", lambda v: v["layers"][0].update(annotations={}), MalformedError, "or an empty one"),
    ("index", lambda v: v.update(annotations={}), MalformedError, "or an empty one"),
    ("config:v0", lambda v: v["modelfs"]["diffIds"].reverse(), MalformedError, "says something else"),
    ("config:v0", lambda v: v["modelfs"].update(type="tar"), MalformedError, "says something else"),
    ("config:v0", lambda v: v["descriptor"].update(name="lab/x"), MalformedError, "says something else"),
    ("config:v0", lambda v: v["descriptor"].update(family="x"), MalformedError, "says something else"),
    ("config:v0", lambda v: v["descriptor"].update(licenses=["a", "b"]), MalformedError, "says something else"),
    ("config:v0", lambda v: v["config"].update(precision="int4"), MalformedError, "says something else"),
    ("config:v0", lambda v: v["config"].update(more="x"), MalformedError, "says something else"),
    ("config:v0", lambda v: v.update(more=1), MalformedError, "says something else"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "edit", "kind", "said"), ALTERED)
def test_documents_that_contradict_one_another(
    name: str, edit: Edit, kind: type[EdgekitError], said: str, tmp_path: Path, key: PrivateKey
) -> None:
    built = build(tmp_path, key, alter={name: edited(edit)})
    with pytest.raises(kind, match=said) as caught:
        read_all(built)
    assert type(caught.value) is kind
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("name", ["index", "image_index", "image:v0", "signature:v0", "config:v0", "manifest"])
def test_documents_that_are_not_canonical(name: str, tmp_path: Path, key: PrivateKey) -> None:
    built = build(tmp_path, key, alter={name: lambda data: json.dumps(json.loads(data), indent=1).encode()})
    with pytest.raises(MalformedError, match=r"canonical form|the config of v0 says something else"):
        read_all(built)


def test_an_index_that_leads_to_itself(tmp_path: Path, key: PrivateKey, valid: Built) -> None:
    """A circle cannot be made of digests; one of names (an index as an image) ends at its media type."""
    built = build(tmp_path, key)
    value = json.loads(index_bytes(built))
    inner = built.blob(built.image_index.sha256).read_bytes()
    value["manifests"][1].update(digest=built.image_index.digest, size=len(inner))
    with pytest.raises(MalformedError, match=r"says more of|the signature of v0"):
        _read_v0(built, canonical(value))


def _read_v0(built: Built, index: bytes) -> None:
    blobs = FolderBlobs(built.path)
    read_image(blobs, read_release(blobs, index), "v0")


def test_a_bundle_without_provenance(tmp_path: Path, key: PrivateKey) -> None:
    from tests.bundle.building import draft, write_bundle

    built = write_bundle(draft(tmp_path / "files"), tmp_path / "net", key, provenance=False)
    release = read_release(FolderBlobs(built.path), index_bytes(built))
    assert release.provenance is None
    assert read_provenance(FolderBlobs(built.path), release) is None
