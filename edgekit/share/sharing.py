"""Sharing a bundle with people who use BitTorrent and IPFS through programs of their own.

It writes `torrents/<sha256>.torrent` for every model file, one file each and named by its digest; `NAME.car`, the
bundle's folder as IPFS has it; and a torrent of the bundle where it is a `.tar`. A folder that holds these beside
`blobs/` is what nodes and other programs look for. No key is asked: whoever fetches verifies.
"""

from __future__ import annotations

import dataclasses
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar
from urllib.parse import quote, urlsplit

from edgekit.addressing.addressing import Addressing, address_stream
from edgekit.addressing.car import write_car
from edgekit.addressing.cid import Cid
from edgekit.addressing.torrent import Torrent, torrent_file, write_torrent
from edgekit.bundle.addressed import AddressedBundle, address_bundle
from edgekit.bundle.opening import OpenBundle, open_bundle
from edgekit.bundle.verify import check_structure
from edgekit.errors import DigestError, InputError, StorageError
from edgekit.types.manifest import BundleFile, Manifest, Role
from edgekit.types.progress import Progress, Silent

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,150}")
_URL_LENGTH = 1000
WEB_SEED = "web seed"
T = TypeVar("T")


@dataclass(frozen=True)
class SharedFile:
    """A file with its torrent.

    Attributes:
        name: Its path in the bundle, or the name of the .tar.
        torrent: The `.torrent`.
        size_bytes: Of the file.
        infohash: BitTorrent v2, lower-case hex.
        infohash_v1: BitTorrent v1, lower-case hex.
        magnet: A link for clients, without trackers.
    """

    name: str
    torrent: Path
    size_bytes: int
    infohash: str
    infohash_v1: str
    magnet: str


@dataclass(frozen=True)
class Shared:
    """What was written.

    Attributes:
        name: FAMILY/NAME of the bundle.
        semver: Its version for people.
        files: The model files with their torrents, by path.
        car: The CAR.
        cid: CID of the bundle's folder, the CAR's root.
        car_bytes: Size of the CAR.
        tar: The `.tar` with its torrent; None where the bundle is a folder.
    """

    name: str
    semver: str
    files: tuple[SharedFile, ...]
    car: Path
    cid: str
    car_bytes: int
    tar: SharedFile | None


def share_bundle(
    path: Path,
    out_dir: Path,
    *,
    trackers: Sequence[str] = (),
    webseed: str | None = None,
    progress: Progress | None = None,
) -> Shared:
    """Write a bundle's torrents and its CAR.

    Its documents are held against one another and its bytes against their digests, but no signature is looked at.

    Args:
        path: Its folder, or its `.tar`.
        out_dir: Where the files go; made where it is missing, and files of the same names are replaced.
        trackers: URLs of trackers, for http, https or udp.
        webseed: URL, for http or https, below which `blobs/sha256/<hex>` and, for a `.tar`, its name are served: a
            channel, or the bundle's own folder.
        progress: Who watches.

    Raises:
        InputError: There is no such bundle, its name cannot be a torrent's, a URL is none, or `out_dir` lies in it.
        MalformedError: It breaks its format.
        DigestError: Bytes are not those that were named, or have other addresses.
        StorageError: `out_dir` cannot be written to.
    """
    _check_urls(trackers, ("http", "https", "udp"), "tracker")
    _check_urls([webseed] if webseed else [], ("http", "https"), WEB_SEED)
    if Path(os.path.realpath(out_dir)).is_relative_to(os.path.realpath(path)):
        raise InputError(f"{out_dir} lies in the bundle, which holds nothing else", hint="choose another --out")
    name, watcher, seed = _name_of(path), progress or Silent(), (webseed or "").rstrip("/")

    def put(torrent: Torrent, file: str, *, into: str, place: str) -> SharedFile:
        data = write_torrent(torrent, trackers=trackers, webseeds=[f"{seed}/{place}"] if seed else [])
        _write(out_dir / into, lambda out: out.write(data))
        return _shared_file(file, torrent, out_dir / into)

    with open_bundle(path) as bundle:
        manifest = check_structure(bundle).manifest
        found = address_bundle(bundle, progress=watcher)
        found.check()
        _check_addresses(manifest, found)
        files = []
        for file in manifest.files:
            if file.role is Role.MODEL and file.size_bytes:
                torrent = _torrent_of(found.blobs[file.sha256])
                into = torrent_file(file.sha256)
                files.append(put(torrent, file.path, into=into, place=file.blob.file_name))
        car = out_dir / f"{name.removesuffix('.tar').removesuffix('.edgekit')}.car"
        car_bytes = _write_car(car, bundle, found, watcher)
    tar = None
    if path.is_file():
        tar = put(_tar_torrent(path, name, watcher), name, into=f"{name}.torrent", place=quote(name))
    return Shared(manifest.name, manifest.semver, tuple(files), car, found.tree.cid, car_bytes, tar)


def _check_addresses(manifest: Manifest, found: AddressedBundle) -> None:
    for file in manifest.files:
        if file.addresses and file.addresses != found.addresses[file.sha256]:
            raise DigestError(f"{file.path} has other addresses than manifest.json says", hint=_told_apart(file, found))


def _told_apart(file: BundleFile, found: AddressedBundle) -> str:
    said, has = file.addresses, found.addresses[file.sha256]
    wrong = [key for key, value in vars(has).items() if getattr(said, key) != value]
    return f"its publisher signed another {' and '.join(wrong)}: no client would find the file by it"


def _torrent_of(addressing: Addressing) -> Torrent:
    assert addressing.torrent  # `finish` was called
    return addressing.torrent


def _tar_torrent(path: Path, name: str, progress: Progress) -> Torrent:
    try:
        with path.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            with progress.stage("address", size) as stage:
                addressing = address_stream(stream, size, advance=stage.advance)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    addressing.finish()
    return dataclasses.replace(_torrent_of(addressing), name=name)


def _write_car(target: Path, bundle: OpenBundle, found: AddressedBundle, progress: Progress) -> int:
    with progress.stage("write the CAR", sum(bundle.stored.values())) as stage:

        def write(out: BinaryIO) -> int:
            def told() -> Iterator[tuple[Cid, bytes]]:
                for cid, data in found.blocks(bundle):
                    stage.advance(len(data) if cid not in found.tree.nodes else 0)
                    yield cid, data

            return write_car(out, found.tree.root.cid, told())

        return _write(target, write)


def _shared_file(name: str, torrent: Torrent, place: Path) -> SharedFile:
    # BEP 9 for the v1 hash, BEP 52 for that of v2, a multihash of sha2-256.
    topics = f"xt=urn:btih:{torrent.infohash_v1}&xt=urn:btmh:1220{torrent.infohash}"
    magnet = f"magnet:?{topics}&dn={quote(torrent.name)}&xl={torrent.size_bytes}"
    return SharedFile(name, place, torrent.size_bytes, torrent.infohash, torrent.infohash_v1, magnet)


def _name_of(path: Path) -> str:
    """Name of the bundle's folder or file, as a torrent may have it."""
    name = Path(os.path.abspath(path)).name
    if not _NAME.fullmatch(name):
        raise InputError(
            f"{name[:120]!r} cannot be the name of a torrent", hint="rename it: letters, digits and . _ + - are allowed"
        )
    return name


def _check_urls(urls: Sequence[str], schemes: tuple[str, ...], what: str) -> None:
    for url in urls:
        try:
            parts = urlsplit(url)
            port_is_right = parts.port is None or parts.port > 0
        except ValueError:
            parts, port_is_right = urlsplit(""), False
        plain = url.isascii() and url.isprintable() and " " not in url and len(url) <= _URL_LENGTH
        extra = "@" in parts.netloc or (what == WEB_SEED and ("?" in url or "#" in url))
        if not (plain and port_is_right and parts.scheme in schemes and parts.hostname) or extra:
            known = ", ".join(f"{scheme}://" for scheme in schemes)
            raise InputError(
                f"{re.sub('//[^/]*@', '//...@', url)[:200]!r} is no URL of a {what}",
                hint=f"it begins with {known}, and has no password; names are put behind that of a web seed",
            )


def _write(target: Path, write: Callable[[BinaryIO], T]) -> T:
    """Write a file whole or not at all."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name[:40]}.", delete=False) as unfinished:
            try:
                result = write(unfinished)  # type: ignore[arg-type]  # typeshed's wrapper is a BinaryIO all the same
                unfinished.flush()
                os.fchmod(unfinished.fileno(), 0o644)
                os.replace(unfinished.name, target)
            except BaseException:
                Path(unfinished.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        if isinstance(error, StorageError):
            raise
        raise StorageError(f"cannot write {target}: {error.strerror or error}", hint="choose another --out") from error
    return result
