"""Signed bundles of random files, of any number of variants and any sizes; valid, or altered at one place.

`alter` changes one document as it is made, and everything after it is made of what came out: digests fit, as those of
an attacker's would. Whoever wants digests that do not fit changes the files afterwards.
"""

from __future__ import annotations

import dataclasses
import hashlib
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgekit.addressing.addressing import addresses_of_file
from edgekit.bundle.manifest_file import write_manifest
from edgekit.oci import documents, media_types
from edgekit.oci.layout import LayoutWriter
from edgekit.seal.keys import PrivateKey
from edgekit.seal.oms import sign_files
from edgekit.seal.sigstore_bundle import seal_statement
from edgekit.seal.statement import Statement, Subject
from edgekit.types.blob import SMALLEST_PIECE_BYTES, Descriptor, Pieces, piece_length
from edgekit.types.manifest import (
    BundleFile,
    Golden,
    Lineage,
    Manifest,
    Measured,
    Mode,
    Requires,
    Role,
    Rule,
    RuntimeNeed,
    Variant,
)
from edgekit.types.spec import TensorSpec

MACHINES = (("linux", "amd64"), ("linux", "arm64"), ("linux", "arm"), ("linux", "any"))
CHUNK_BYTES = 2**20

Alter = Mapping[str, Callable[[bytes], bytes]]
"""What is changed: "manifest", "image_index", "index", "provenance" (the sealed statement), "provenance_manifest"; and
"config", "image", "oms", "signature" of a variant as "image:v0"."""


@dataclass(frozen=True)
class Draft:
    """What a bundle is to hold: the manifest, and where each file's bytes are."""

    manifest: Manifest
    sources: Mapping[str, Path]


@dataclass(frozen=True)
class Built:
    """A bundle on disk, with the key that signed it."""

    path: Path
    draft: Draft
    key: PrivateKey
    images: Mapping[str, Descriptor]
    signatures: Mapping[str, Descriptor]
    image_index: Descriptor

    def blob(self, sha256: str) -> Path:
        return self.path / "blobs" / "sha256" / sha256

    def file(self, path: str) -> Path:
        """The blob of one of the model's files."""
        return self.blob(self.draft.manifest.file(path).sha256)


def draft(
    folder: Path,
    *,
    variants: int = 2,
    sizes: Sequence[int] = (3000,),
    name: str = "lab/net",
    version: int = 1,
    semver: str = "1.0.0",
    seed: int = 0,
) -> Draft:
    """Random files and their manifest.

    Args:
        folder: The files are written there; it is made.
        variants: How many; variant N is called "vN" and is for MACHINES in turns.
        sizes: Bytes of the model file of each variant, in turns.
        name: FAMILY/NAME.
        version: Of the bundle.
        semver: The same for people.
        seed: Of the files' content.
    """
    folder.mkdir(parents=True, exist_ok=True)
    source = random.Random(seed)
    files = {
        "card.md": (Role.CARD, "text/markdown", 200),
        "golden/inputs.npz": (Role.GOLDEN, "application/zip", 500),
        "golden/outputs.npz": (Role.GOLDEN, "application/zip", 100),
    }
    shared = tuple(files)
    for number in range(variants):
        files[f"model.v{number}.onnx"] = (Role.MODEL, "application/vnd.onnx", sizes[number % len(sizes)])
    sources = {path: folder / path.replace("/", "_") for path in files}
    for path, (_, _, size) in files.items():
        write_random(sources[path], size, source)
    listed = tuple(
        describe_file(sources[path], path, role, media_type) for path, (role, media_type, _) in sorted(files.items())
    )
    manifest = Manifest(
        name, version, semver, "Apache-2.0", "edgekit-ml 0", listed,
        tuple(variant(number, (*shared, f"model.v{number}.onnx"), listed) for number in range(variants)),
        Lineage("ab" * 32, "cd" * 32, ""),
    )  # fmt: skip
    return Draft(manifest, sources)


def variant(number: int, paths: Sequence[str], files: Sequence[BundleFile]) -> Variant:
    os, arch = MACHINES[number % len(MACHINES)]
    return Variant(
        name=f"v{number}",
        format="onnx-x86" if arch == "amd64" else "onnx-int8",
        model=f"model.v{number}.onnx",
        files=tuple(sorted(paths)),
        requires=Requires(
            os, arch, RuntimeNeed("onnxruntime", "1.22.0"), 50_000_000,
            sum(file.size_bytes for file in files if file.path in paths),
        ),
        inputs=(TensorSpec("image", (1, 3, 8, 8), batch_axis=0),),
        outputs=(TensorSpec("logits", (1, 10), "int8", scale=0.125, zero_point=3),),
        golden=Golden("golden/inputs.npz", "golden/outputs.npz", 4, (Rule("onnxruntime", Mode.LSB, 1.0),)),
        measured=Measured(accuracy=0.9, metric="top-1", accuracy_samples=100, sqnr_db=24.5),
    )  # fmt: skip


def write_random(path: Path, size_bytes: int, source: random.Random) -> None:
    with path.open("wb") as stream:
        for start in range(0, size_bytes, CHUNK_BYTES):
            stream.write(source.randbytes(min(CHUNK_BYTES, size_bytes - start)))


def describe_file(path: Path, name: str, role: Role, media_type: str) -> BundleFile:
    size = path.stat().st_size
    length = piece_length(size)
    whole, parts = hashlib.sha256(), []
    with path.open("rb") as stream:
        for _ in range(0, size, length):
            part = hashlib.sha256()
            for _ in range(0, length, CHUNK_BYTES):
                chunk = stream.read(CHUNK_BYTES)
                part.update(chunk)
                whole.update(chunk)
            parts.append(part.hexdigest())
    pieces = Pieces(length, tuple(parts)) if size > SMALLEST_PIECE_BYTES else None
    addresses = addresses_of_file(path) if size else None
    return BundleFile(name, role, media_type, size, whole.hexdigest(), pieces, addresses)


def write_bundle(
    content: Draft, folder: Path, key: PrivateKey, *, alter: Alter | None = None, provenance: bool = True
) -> Built:
    """Write a bundle as a folder; unaltered it is valid.

    Args:
        content: What it is to hold.
        folder: Where it will be.
        key: P-256; signs every variant, and the provenance.
        alter: What is changed on the way.
        provenance: Whether it has one.
    """
    changes = dict(alter or {})

    def made(name: str, data: bytes) -> bytes:
        return changes.pop(name, lambda same: same)(data)

    manifest = content.manifest
    manifest_bytes = made("manifest", write_manifest(manifest))
    images: dict[str, Descriptor] = {}
    signatures: dict[str, Descriptor] = {}
    with LayoutWriter(folder) as layout:
        layout.add_bytes(b"{}", media_types.EMPTY)
        layout.add_bytes(manifest_bytes, media_types.WEIGHT_CONFIG)
        for file in manifest.files:
            layout.add_file(content.sources[file.path], media_types.LAYER_OF_ROLE[file.role])

        def attach(subject: Descriptor, sealed: bytes, predicate_type: str, name: str) -> Descriptor:
            layer = layout.add_bytes(sealed, media_types.SIGSTORE_BUNDLE)
            data = documents.signature_manifest(subject, layer, predicate_type=predicate_type)
            return layout.add_bytes(made(name, data), media_types.IMAGE_MANIFEST)

        for each in manifest.variants:
            layers = documents.layers_of(manifest, manifest_bytes, each)
            config = made(f"config:{each.name}", documents.model_config(manifest, each, layers))
            described = layout.add_bytes(config, media_types.MODEL_CONFIG)
            image = made(f"image:{each.name}", documents.image_manifest(described, layers))
            images[each.name] = layout.add_bytes(image, media_types.IMAGE_MANIFEST)
            digests = {layer.annotations[media_types.TITLE]: layer.sha256 for layer in layers}
            sealed = made(f"oms:{each.name}", sign_files(digests, name=manifest.name, key=key))
            signatures[each.name] = attach(
                images[each.name], sealed, media_types.OMS_PREDICATE, f"signature:{each.name}"
            )
        index_bytes = made("image_index", documents.image_index(manifest, manifest_bytes, images))
        index = layout.add_bytes(index_bytes, media_types.IMAGE_INDEX)
        origin = None
        if provenance:
            sealed = made("provenance", seal_statement(provenance_of(manifest, index), key))
            origin = attach(index, sealed, media_types.PROVENANCE_PREDICATE, "provenance_manifest")
        layout.finish(made("index", documents.release_index(manifest, index, signatures, origin)))
    assert not changes, f"nothing is called {sorted(changes)}"
    return Built(folder, content, key, images, signatures, index)


def provenance_of(manifest: Manifest, index: Descriptor) -> Statement:
    models = [Subject(file.path, file.sha256) for file in manifest.files if file.role is Role.MODEL]
    return Statement(
        (Subject(manifest.name, index.sha256), *models),
        media_types.PROVENANCE_PREDICATE,
        {"buildDefinition": {"buildType": "https://edgekit.dev/pack/v1"}, "runDetails": {"builder": {"id": "test"}}},
    )


def build(folder: Path, key: PrivateKey, *, alter: Alter | None = None, **wanted: object) -> Built:
    """A bundle in `folder/net.edgekit`; `wanted` goes to `draft`."""
    content = draft(folder / "files", **wanted)  # type: ignore[arg-type]
    return write_bundle(content, folder / "net.edgekit", key, alter=alter)


def with_manifest(content: Draft, **fields: object) -> Draft:
    """The same files under a changed manifest."""
    return Draft(dataclasses.replace(content.manifest, **fields), content.sources)  # type: ignore[arg-type]
