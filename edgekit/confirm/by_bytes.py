"""What follows from a bundle's bytes alone: digests of OCI, infohashes of BitTorrent, CIDs of IPFS.

Each is computed anew and held against what the bundle's documents say. Of documents that nobody signed `doubt` tells.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from edgekit.bundle.addressed import AddressedBundle
from edgekit.bundle.release import Image, Release
from edgekit.confirm.confirmation import BITTORRENT, IPFS, OCI, Row
from edgekit.types.manifest import BundleFile

_UNSIGNED = "manifest.json does not say it: edgekit 0.1 packed this bundle; pack and publish it anew"


def confirm_images(
    release: Release, images: Mapping[str, Image], found: AddressedBundle, *, doubt: str = ""
) -> Iterator[Row]:
    """The image index, and the image of each variant.

    Args:
        release: The bundle's documents.
        images: Variant -> its image.
        found: What its bytes are.
        doubt: Why the image index may be another one than its publisher's; "" where it is that.
    """
    manifest = release.manifest
    count = len(found.blobs)
    yield _image(
        f"{manifest.name}:{manifest.semver}", release.image_index.digest, tuple(found.altered), found, doubt,
        f"the image index; it and everything that it leads to, {count} blobs, hash to their digests",
    )  # fmt: skip
    for name, image in images.items():
        parts = (release.images[name], image.config, *image.layers.values())
        yield _image(
            name, release.images[name].digest, tuple(part.sha256 for part in parts), found, doubt,
            f"the image manifest; it, its config and its {len(image.layers)} layers hash to their digests",
        )  # fmt: skip


def confirm_torrents(release: Release, found: AddressedBundle) -> Iterator[Row]:
    """The infohash and the root of the pieces of every file."""
    if not _files(release):
        yield Row(BITTORRENT, release.manifest.name, "", False, "all of its files are empty, and no torrent can be")
    for file in _files(release):
        signed, has = file.addresses, found.addresses[file.sha256]
        details = {"pieces_root": has.pieces_root}
        if signed is None:
            yield Row(BITTORRENT, file.path, has.infohash, False, _UNSIGNED, details)
            continue
        wrong = [key for key in ("infohash", "pieces_root") if getattr(signed, key) != getattr(has, key)]
        how = f"pieces root {has.pieces_root}; both follow from the file"
        if wrong:
            how = f"manifest.json says {wrong[0]} {getattr(signed, wrong[0])}; the file has {getattr(has, wrong[0])}"
        yield Row(BITTORRENT, file.path, signed.infohash, not wrong, how, details)


def confirm_cids(release: Release, found: AddressedBundle, *, doubt: str = "") -> Iterator[Row]:
    """The CID of every file, and that of the bundle's folder.

    Args:
        release: The bundle's documents.
        found: What its bytes are.
        doubt: Why the folder may be another one than its publisher's; "" where it is that.
    """
    for file in _files(release):
        has = found.addresses[file.sha256].cid
        if file.addresses is None:
            yield Row(IPFS, file.path, has, False, _UNSIGNED)
            continue
        said = file.addresses.cid
        how = "follows from the file" if said == has else f"manifest.json says so; the file has {has}"
        yield Row(IPFS, file.path, said, said == has, how)
    how = "the bundle's folder, as in its CAR; follows from all of its files"
    if found.altered:
        how = f"the bundle's folder as it is; {len(found.altered)} of its blobs hold other bytes than they should"
    yield Row(IPFS, release.manifest.name, found.tree.cid, not found.altered and not doubt, doubt or how)


def _files(release: Release) -> list[BundleFile]:
    return [file for file in release.manifest.files if file.size_bytes]


def _image(what: str, digest: str, parts: tuple[str, ...], found: AddressedBundle, doubt: str, how: str) -> Row:
    for sha256 in parts:
        if sha256 in found.altered:
            how = f"blob sha256:{sha256} holds other bytes: their sha256 is {found.altered[sha256]}"
            return Row(OCI, what, digest, False, how)
    return Row(OCI, what, digest, not doubt, doubt or how)
