"""Specimens: valid input of every kind, the same bytes on every machine, made once in a folder.

Keys come of fixed numbers and the clock stands still, so that a case is told whole by its kind and its number.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, derive_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edgekit.bundle.opening import open_bundle
from edgekit.bundle.release import read_image, read_provenance, read_release
from edgekit.oci.tarball import write_tar
from edgekit.seal.keys import MemoryKey
from edgekit.types.manifest import Manifest
from tests.bundle.building import draft, write_bundle
from tests.publish.lab import MODEL, Lab


def publisher_key(number: int) -> MemoryKey:
    """A P-256 key, always the same."""
    return MemoryKey(derive_private_key(0xED6E_0000 + number, SECP256R1()))


def role_key(number: int) -> MemoryKey:
    """An ed25519 key, always the same."""
    return MemoryKey(Ed25519PrivateKey.from_private_bytes(number.to_bytes(32)))


@dataclass(frozen=True)
class Specimen:
    """A valid bundle.

    Attributes:
        files: Path below its folder -> content.
        tar: The same as a tar file.
        manifest: What it holds.
        manifest_bytes: The same as it is written.
        contents: sha256 of each file of the model -> its bytes.
        signatures: Variant -> its model signature.
        provenance: Its provenance, sealed.
        digest: "sha256:<hex>", the bundle's.
    """

    files: Mapping[str, bytes]
    tar: bytes
    manifest: Manifest
    manifest_bytes: bytes
    contents: Mapping[str, bytes]
    signatures: Mapping[str, bytes]
    provenance: bytes
    digest: str

    @property
    def index(self) -> bytes:
        """`index.json`."""
        return self.files["index.json"]

    @property
    def blobs(self) -> dict[str, bytes]:
        """sha256 -> content."""
        return {name.rpartition("/")[2]: data for name, data in self.files.items() if name.startswith("blobs/")}


class Specimens:
    """All of them.

    Attributes:
        publisher: Signs bundles, and is trusted.
        stranger: A P-256 key that is not.
        node: A node's ed25519 key.
        folder: Where they are made.
    """

    def __init__(self, folder: Path) -> None:
        """Use `folder` to make them in; nothing is read from it later."""
        self.folder = folder
        self.publisher = publisher_key(1)
        self.stranger = publisher_key(2)
        self.node = role_key(99)

    @cached_property
    def bundle(self) -> Specimen:
        """Version 1, two variants."""
        return self._bundle(1, variants=2, sizes=(700, 900))

    @cached_property
    def successor(self) -> Specimen:
        """Version 2 of the same, with other files."""
        return self._bundle(2, variants=2, sizes=(800, 600))

    @cached_property
    def third(self) -> Specimen:
        """Version 3, two variants."""
        return self._bundle(3, variants=2, sizes=(500, 700))

    @cached_property
    def large(self) -> Specimen:
        """Version 4, three variants; a file of two pieces."""
        return self._bundle(4, variants=3, sizes=(2**20 + 500, 900))

    @cached_property
    def lab(self) -> Lab:
        """A channel with versions 1 and 2; every file that it ever wrote is in `lab.place.files`."""
        lab = Lab(
            self.folder / "lab",
            root=[role_key(1), role_key(2), role_key(3)],
            targets=[role_key(4)],
            vision=[role_key(5), role_key(6)],
            online=[role_key(7)],
            publisher=self.publisher,
        )
        lab.found()
        for version in (1, 2):
            lab.publish(version)
        return lab

    @cached_property
    def earlier(self) -> Mapping[str, bytes]:
        """The same channel when version 1 was current."""
        files = dict(self.lab.place.files)
        lab = Lab(
            self.folder / "earlier",
            root=self.lab.root,
            targets=self.lab.targets,
            vision=self.lab.vision,
            online=self.lab.online,
            publisher=self.publisher,
        )
        lab.found()
        lab.publish(1)
        return {name: data for name, data in lab.place.files.items() if name in files}

    def _bundle(self, version: int, *, variants: int, sizes: tuple[int, ...]) -> Specimen:
        folder = self.folder / f"bundle-{version}"
        content = draft(
            folder / "files",
            variants=variants,
            sizes=sizes,
            name=MODEL,
            version=version,
            semver=f"{version}.0.0",
            seed=version,
        )
        built = write_bundle(content, folder / "net.edgekit", self.publisher)
        write_tar(built.path, folder / "net.tar")
        return read_specimen(built.path, (folder / "net.tar").read_bytes())


def read_specimen(folder: Path, tar: bytes = b"") -> Specimen:
    """A valid bundle of one's own, read into memory."""
    files = {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }
    with open_bundle(folder) as bundle:
        release = read_release(bundle.blobs, bundle.index_bytes)
        signatures = {name: read_image(bundle.blobs, release, name).signature for name in release.images}
        provenance = read_provenance(bundle.blobs, release)
    named = {file.sha256 for file in release.manifest.files}
    contents = {hashlib.sha256(data).hexdigest(): data for data in files.values()}
    return Specimen(
        files,
        tar,
        release.manifest,
        release.manifest_bytes,
        {sha256: data for sha256, data in contents.items() if sha256 in named},
        signatures,
        provenance.data if provenance else b"",
        release.image_index.digest,
    )
