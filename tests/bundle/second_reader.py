"""A second implementation of a bundle's verification, written from docs/formats.md: nothing of edgekit is imported.

Short rather than kind: anything wrong is a Refused, without telling errors of format, digests and signatures apart. It
lacks the bounds that a page of limits lists, and rules of `manifest.json` that only matter to whoever runs the model.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import tarfile
from collections.abc import Iterable, Mapping
from hashlib import sha1, sha256
from pathlib import Path
from typing import Any

import rfc8785
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

OCI = "application/vnd.oci.image"
SIGSTORE = "application/vnd.dev.sigstore.bundle.v0.3+json"
OMS = "https://model_signing/signature/v1.0"
SLSA = "https://slsa.dev/provenance/v1"
LAYERS = {
    "model": "weight.v1.raw", "golden": "dataset.v1.raw", "recipe": "weight.config.v1.raw", "card": "doc.v1.raw",
    "bom": "doc.v1.raw", "report": "doc.v1.raw", "license": "doc.v1.raw",
}  # fmt: skip
DESCRIPTOR = {"mediaType", "digest", "size"}
Document = dict[str, Any]


class Refused(Exception):
    """It is not to be trusted."""


def need(holds: object, what: str) -> None:
    if not holds:
        raise Refused(what)


def hexdigest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def strict(data: bytes, *, canonical: bool = True) -> Any:
    def unique(pairs: list[tuple[str, Any]]) -> Document:
        need(len(dict(pairs)) == len(pairs), "a key comes twice")
        return dict(pairs)

    try:
        value = json.loads(data, object_pairs_hook=unique)
        need(not canonical or rfc8785.dumps(value) == data, "not canonical")
    except (ValueError, RecursionError) as error:
        raise Refused(str(error)) from error
    return value


def closed(value: Any, must: Iterable[str], may: Iterable[str] = ()) -> Document:
    need(isinstance(value, dict) and set(must) <= set(value) <= {*must, *may}, f"keys {value!r:.80}")
    assert isinstance(value, dict)
    return value


def read_folder(path: Path) -> tuple[bytes, dict[str, bytes]]:
    files = {}
    for found in path.rglob("*"):
        need(not found.is_symlink(), "a link")
        if not found.is_dir():
            need(found.is_file(), "a special file")
            files[found.relative_to(path).as_posix()] = found.read_bytes()
    return split(files)


def read_tar(path: Path) -> tuple[bytes, dict[str, bytes]]:
    files: dict[str, bytes] = {}
    with tarfile.open(path, "r:") as archive:
        for member in archive:
            need(member.type == tarfile.REGTYPE and not member.pax_headers and member.name not in files, member.name)
            stream = archive.extractfile(member)
            assert stream
            files[member.name] = stream.read()
    return split(files)


def split(files: dict[str, bytes]) -> tuple[bytes, dict[str, bytes]]:
    need(strict(files.pop("oci-layout", b"{}"), canonical=False) == {"imageLayoutVersion": "1.0.0"}, "oci-layout")
    index = files.pop("index.json", b"")
    blobs = {}
    for name, data in files.items():
        found = re.fullmatch(r"blobs/sha256/([0-9a-f]{64})", name)
        need(found, name)
        assert found
        blobs[found[1]] = data
    return index, blobs


class Reader:
    """One bundle, and the PEM texts of the keys that are trusted."""

    def __init__(self, index: bytes, blobs: Mapping[str, bytes], trusted: Iterable[str]) -> None:
        self.index, self.blobs, self.trusted = index, blobs, list(trusted)
        self.used: set[str] = set()

    def blob(self, descriptor: Document) -> bytes:
        need(re.fullmatch(r"sha256:[0-9a-f]{64}", str(descriptor["digest"])), "a digest")
        sha256 = descriptor["digest"][7:]
        data = self.blobs.get(sha256)
        need(data is not None, f"{sha256} is absent")
        assert data is not None
        need((len(data), hexdigest(data)) == (descriptor["size"], sha256), f"{sha256} is other bytes")
        self.used.add(sha256)
        return data

    def list_index(self, data: bytes, may: Iterable[str] = ()) -> tuple[list[Document], Document]:
        value = closed(strict(data), {"schemaVersion", "mediaType", "manifests"}, may)
        need((value["schemaVersion"], value["mediaType"]) == (2, f"{OCI}.index.v1+json"), "no index")
        entries = [closed(entry, DESCRIPTOR, ("annotations", "platform")) for entry in value["manifests"]]
        return entries, value.get("annotations", {})

    def verify(self) -> tuple[str, Document]:
        """The bundle digest, and the manifest."""
        entries, annotations = self.list_index(self.index)
        need(not annotations, "annotations of index.json")
        signatures, provenance, indexes = {}, [], []
        for entry in entries:
            marks = entry.get("annotations", {})
            if entry["mediaType"] == f"{OCI}.index.v1+json":
                indexes.append(entry)
            elif marks == {"dev.edgekit.role": "provenance"}:
                provenance.append(entry)
            else:
                need(set(marks) == {"dev.edgekit.role", "dev.edgekit.variant"}, "an entry")
                need(marks["dev.edgekit.role"] == "signature", "a role")
                need(marks["dev.edgekit.variant"] not in signatures, "two signatures")
                signatures[marks["dev.edgekit.variant"]] = entry
        need(len(indexes) == 1 and len(provenance) <= 1, "entries")
        images, annotations = self.list_index(self.blob(indexes[0]), ("annotations",))
        size = annotations.get("dev.edgekit.manifest.size", "")
        need(re.fullmatch(r"[0-9]{1,7}", size), "a size")
        described = {"digest": annotations.get("dev.edgekit.manifest"), "size": int(size)}
        manifest = strict(self.blob(described))
        need(manifest["schema"] == "edgekit.manifest/1", "the schema")
        need(annotations == {
            "dev.edgekit.manifest": described["digest"], "dev.edgekit.manifest.size": size,
            "org.opencontainers.image.title": manifest["name"],
            "org.opencontainers.image.version": manifest["semver"],
            "org.opencontainers.image.licenses": manifest["license"],
        }, "annotations of the image index")  # fmt: skip
        need(indexes[0]["annotations"] == {"org.opencontainers.image.ref.name": manifest["semver"]}, "the ref name")
        need([variant["name"] for variant in manifest["variants"]] == [
            image["annotations"]["dev.edgekit.variant"] for image in images
        ], "variants")  # fmt: skip
        need(set(signatures) == {variant["name"] for variant in manifest["variants"]}, "signatures")
        for variant, image in zip(manifest["variants"], images, strict=True):
            self.variant(manifest, described, variant, image, signatures[variant["name"]])
        for entry in provenance:
            subjects = {file["path"]: file["sha256"] for file in manifest["files"] if file["role"] == "model"}
            subjects[manifest["name"]] = indexes[0]["digest"][7:]
            statement = self.attached(entry, indexes[0], SLSA)
            need(len(statement["subject"]) == len(subjects), "subjects of the provenance")
            need({item["name"]: item["digest"]["sha256"] for item in statement["subject"]} == subjects, "subjects")
        need(self.used == set(self.blobs), "a blob is left over")
        for file in manifest["files"]:
            self.file(file)
        return indexes[0]["digest"], manifest

    def variant(
        self, manifest: Document, described: Document, variant: Document, image: Document, signature: Document
    ) -> None:
        arch, os = variant["requires"]["arch"], variant["requires"]["os"]
        platform = {"architecture": arch, "os": os, **({"variant": "v7"} if arch == "arm" else {})}
        need(image.get("platform") == (None if arch == "any" else platform), "the platform")
        need(image["mediaType"] == f"{OCI}.manifest.v1+json", "an image")
        value = closed(strict(self.blob(image)), {"schemaVersion", "mediaType", "artifactType", "config", "layers"})
        need(value["artifactType"] == "application/vnd.cncf.model.manifest.v1+json", "no model")
        files = {file["path"]: file for file in manifest["files"]}
        expected = {"manifest.json": ("weight.config.v1.raw", described["digest"], described["size"])}
        for path in variant["files"]:
            expected[path] = (LAYERS[files[path]["role"]], f"sha256:{files[path]['sha256']}", files[path]["size_bytes"])
        need(value["layers"] == [
            {
                "mediaType": f"application/vnd.cncf.model.{kind}", "digest": digest, "size": size,
                "annotations": {"org.opencontainers.image.title": path, "org.cncf.model.filepath": path},
            }
            for path, (kind, digest, size) in sorted(expected.items())
        ], "layers")  # fmt: skip
        for layer in value["layers"]:
            self.blob(layer)
        need(closed(value["config"], DESCRIPTOR)["mediaType"] == "application/vnd.cncf.model.config.v1+json", "config")
        config = closed(strict(self.blob(value["config"])), {"descriptor", "config", "modelfs"})
        need(config["modelfs"] == {"type": "layers", "diffIds": [layer["digest"] for layer in value["layers"]]}, "ids")
        kind = variant["format"]
        precision = "int4" if "int4" in kind else "float32" if "fp32" in kind else "int8"
        need(config["config"] == {"format": kind.split("-")[0], "precision": precision}, "the config's config")
        need(config["descriptor"] == {
            "family": manifest["name"].split("/")[0], "name": manifest["name"], "version": manifest["semver"],
            "licenses": [manifest["license"]],
        }, "the config's descriptor")  # fmt: skip
        statement = self.attached(signature, image, OMS)
        resources = statement["predicate"]["resources"]
        names = [item["name"].split("/") for item in resources]
        need(names == sorted(names), "sorted resources")
        root = hexdigest(b"".join(bytes.fromhex(item["digest"]) for item in resources))
        need([item["digest"] for item in statement["subject"]] == [{"sha256": root}], "the root")
        need({item["name"]: f"sha256:{item['digest']}" for item in resources} == {
            path: digest for path, (_, digest, _) in expected.items()
        } and len(resources) == len(expected), "signed files")  # fmt: skip

    def attached(self, entry: Document, subject: Document, kind: str) -> Document:
        """The signed statement that a signature manifest holds."""
        need(entry["mediaType"] == f"{OCI}.manifest.v1+json" and "platform" not in entry, "an attachment")
        keys = {"schemaVersion", "mediaType", "artifactType", "config", "layers", "subject", "annotations"}
        value = closed(strict(self.blob(entry)), keys)
        need(value["artifactType"] == SIGSTORE and len(value["layers"]) == 1, "no sigstore bundle")
        empty = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": f"sha256:{hexdigest(b'{}')}", "size": 2}
        need(value["config"] == empty and self.blob(empty) == b"{}", "the empty config")
        need(value["subject"] == {key: subject[key] for key in DESCRIPTOR}, "the subject")
        marks = {"dev.sigstore.bundle.content": "dsse-envelope", "dev.sigstore.bundle.predicateType": kind}
        need(value["annotations"] == marks, "annotations")
        need(closed(value["layers"][0], DESCRIPTOR)["mediaType"] == SIGSTORE, "the layer")
        return self.sealed(self.blob(value["layers"][0]), kind)

    def sealed(self, data: bytes, kind: str) -> Document:
        bundle = closed(strict(data, canonical=False), {"mediaType", "verificationMaterial", "dsseEnvelope"})
        envelope = closed(bundle["dsseEnvelope"], {"payload", "payloadType", "signatures"})
        need(bundle["mediaType"] == SIGSTORE and len(envelope["signatures"]) == 1, "one signature")
        need(envelope["payloadType"] == "application/vnd.in-toto+json", "the payload's type")
        hint = bundle["verificationMaterial"]["publicKey"]["hint"]
        pem = next((text for text in self.trusted if hexdigest(text.encode()) == hint), None)
        need(pem, "a key that is not trusted")
        assert pem
        payload = base64.b64decode(envelope["payload"])
        signed = b"DSSEv1 28 application/vnd.in-toto+json %d " % len(payload) + payload
        try:
            key: Any = load_pem_public_key(pem.encode())
            key.verify(base64.b64decode(envelope["signatures"][0]["sig"]), signed, ECDSA(SHA256()))
        except InvalidSignature as error:
            raise Refused("the signature") from error
        statement = strict(payload, canonical=False)
        need(statement["_type"] == "https://in-toto.io/Statement/v1" and statement["predicateType"] == kind, "kind")
        assert isinstance(statement, dict)
        return statement

    def file(self, file: Document) -> None:
        data = self.blobs[file["sha256"]]
        pieces = file.get("pieces")
        if pieces:
            step = pieces["length_bytes"]
            need(pieces["sha256"] == [hexdigest(data[at : at + step]) for at in range(0, len(data), step)], "pieces")
        if file.get("addresses"):
            root = pieces_root(data)
            found = {"cid": cid(data), "pieces_root": root.hex(), "infohash": infohash(data, root)}
            need(file["addresses"] == found, "addresses")


def varint(value: int) -> bytes:
    return bytes([value & 127 | 128]) + varint(value >> 7) if value > 127 else bytes([value])


def cid(data: bytes) -> str:
    """By the section "Addresses": chunks, nodes above them, the root's name."""
    parts = [data[at : at + 2**20] for at in range(0, len(data), 2**20)]
    level = [(0x55, sha256(part).digest(), len(part), len(part)) for part in parts]
    while len(level) > 1:
        above = []
        for start in range(0, len(level), 1024):
            node, body, below = b"", b"\x08\x02", level[start : start + 1024]
            body += b"\x18" + varint(sum(size for _, _, size, _ in below))
            for codec, digest, size, total in below:
                link = b"\x0a\x24\x01" + bytes([codec]) + b"\x12\x20" + digest + b"\x12\x00\x18" + varint(total)
                node += b"\x12" + varint(len(link)) + link
                body += b"\x20" + varint(size)
            node += b"\x0a" + varint(len(body)) + body
            sizes = [sum(each[at] for each in below) for at in (2, 3)]
            above.append((0x70, sha256(node).digest(), sizes[0], len(node) + sizes[1]))
        level = above
    codec, digest, _, _ = level[0]
    return "b" + base64.b32encode(b"\x01" + bytes([codec]) + b"\x12\x20" + digest).decode().rstrip("=").lower()


def pieces_root(data: bytes) -> bytes:
    level = [sha256(data[at : at + 2**14]).digest() for at in range(0, len(data), 2**14)]
    while len(level) & (len(level) - 1):
        level.append(bytes(32))
    while len(level) > 1:
        level = [sha256(level[at] + level[at + 1]).digest() for at in range(0, len(level), 2)]
    return level[0]


def infohash(data: bytes, root: bytes) -> str:
    step = 2**15
    while step * 1024 < len(data) and step < 2**24:
        step *= 2
    name, size = hexdigest(data).encode(), b"i%de" % len(data)
    pieces = b"".join(sha1(data[at : at + step]).digest() for at in range(0, len(data), step))
    leaf = b"d0:d6:length" + size + b"11:pieces root32:" + root + b"ee"
    return hexdigest(
        b"d9:file treed64:" + name + leaf + b"e6:length" + size + b"12:meta versioni2e4:name64:" + name
        + b"12:piece lengthi%de6:pieces%d:" % (step, len(pieces)) + pieces + b"e"
    )  # fmt: skip


def verify(path: Path, trusted: Iterable[str]) -> tuple[str, Document]:
    """The bundle digest, and the manifest, of a folder or a tar.

    Raises:
        Refused: It is not to be trusted.
    """
    index, blobs = read_folder(path) if path.is_dir() else read_tar(path)
    try:
        return Reader(index, blobs, trusted).verify()
    except (KeyError, TypeError, IndexError, AttributeError, ValueError) as error:
        raise Refused(repr(error)) from error
