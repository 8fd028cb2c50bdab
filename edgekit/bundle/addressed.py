"""Addresses of everything that a bundle holds, and of its folder as a whole, from the bytes that are there."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

from edgekit import digest
from edgekit.addressing.addressing import Addressing, address_stream
from edgekit.addressing.cid import Cid
from edgekit.addressing.tree import Tree
from edgekit.addressing.unixfs import FileDag
from edgekit.bundle.blobs import unreadable
from edgekit.bundle.opening import OpenBundle
from edgekit.errors import DigestError
from edgekit.oci.layout import INDEX_NAME, LAYOUT_NAME
from edgekit.types.blob import Addresses, Blob
from edgekit.types.progress import Progress, Silent


@dataclass(frozen=True)
class AddressedBundle:
    """What IPFS and BitTorrent call the parts of a bundle.

    Attributes:
        blobs: Name of a blob, which should be its sha256 -> all of its addresses; without those of empty ones.
        addresses: The same, as a manifest lists them.
        tree: The bundle's folder in IPFS.
        altered: Name of a blob that holds other bytes -> the sha256 of these.
    """

    blobs: Mapping[str, Addressing]
    addresses: Mapping[str, Addresses]
    tree: Tree
    altered: Mapping[str, str]

    def check(self) -> None:
        """That every blob holds the bytes that its name says.

        Raises:
            DigestError: One does not.
        """
        for name, sha256 in self.altered.items():
            raise DigestError(f"blob sha256:{name} holds other bytes: their sha256 is {sha256}")

    def blocks(self, bundle: OpenBundle) -> Iterator[tuple[Cid, bytes]]:
        """Every block of the folder, as a CAR holds them.

        Args:
            bundle: The one that these are the addresses of.

        Raises:
            DigestError: It changed meanwhile.
            InputError: It cannot be read.
        """
        documents = _documents(bundle)

        def open_file(path: str) -> BinaryIO:
            if path in documents:
                return io.BytesIO(documents[path])
            sha256 = path.rpartition("/")[2]
            return bundle.blobs.open(Blob(sha256, bundle.stored[sha256]))

        try:
            yield from self.tree.blocks(open_file)
        except OSError as error:
            raise unreadable("the bundle", error) from error


def address_bundle(bundle: OpenBundle, *, progress: Progress | None = None) -> AddressedBundle:
    """Read every byte of a bundle once, for its addresses.

    Args:
        bundle: The bundle, whose documents need not have been looked at.
        progress: Who watches.

    Raises:
        InputError: It cannot be read, or changes meanwhile.
    """
    blobs: dict[str, Addressing] = {}
    addresses: dict[str, Addresses] = {}
    altered: dict[str, str] = {}
    dags = {path: _dag(data) for path, data in _documents(bundle).items()}
    with (progress or Silent()).stage("address", sum(bundle.stored.values())) as stage:
        for sha256, size in bundle.stored.items():
            blob = Blob(sha256, size)
            if not size:
                dags[blob.file_name] = FileDag()
                if sha256 != digest.of_bytes(b""):
                    altered[sha256] = digest.of_bytes(b"")
                continue
            try:
                with bundle.blobs.open(blob) as stream:
                    found = address_stream(stream, size, advance=stage.advance)
            except OSError as error:
                raise unreadable(f"blob sha256:{sha256}", error) from error
            addresses[sha256] = found.finish()
            if found.sha256 != sha256:
                altered[sha256] = found.sha256
            blobs[sha256], dags[blob.file_name] = found, found.dag
    return AddressedBundle(blobs, addresses, Tree(dags), altered)


def _documents(bundle: OpenBundle) -> dict[str, bytes]:
    return {LAYOUT_NAME: bundle.layout_bytes, INDEX_NAME: bundle.index_bytes}


def _dag(data: bytes) -> FileDag:
    dag = FileDag()
    dag.update(data)
    dag.finish()
    return dag
