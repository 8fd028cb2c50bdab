"""From what a request names to what is on the shelf: files of a channel, blobs, and blocks of IPFS.

Names are looked up as they stand, never decoded or joined to a path: "..", "%2e" and their like name nothing.
Blocks and CARs are given as the Trustless Gateway specification says (specs.ipfs.tech/http-gateways).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from edgekit.addressing.car import MEDIA_TYPE
from edgekit.addressing.cid import parse_cid
from edgekit.errors import MalformedError
from edgekit.gateway.car import car_of
from edgekit.gateway.shelf import BLOBS, Shelf
from edgekit.gateway.stored import Content, Held

LONGEST_TARGET = 1024
MOST_PARAMETERS = 16
_TARGET = re.compile(r"/([A-Za-z0-9_.+@=,~/-]{1,512})(?:\?([!-~]*))?")
_FOREVER = "public, max-age=29030400, immutable"
_RAW, _CAR = "application/vnd.ipld.raw", MEDIA_TYPE
_KINDS = {"raw": _RAW, "car": _CAR}
PROBE = "bafkqaaa"
"""The CID of no bytes, by which a client finds out whether this is a gateway at all."""
_PROBE_CAR = b"\x19\xa2\x65roots\x81\xd8\x2a\x45\x00\x01\x55\x00\x00\x67version\x01"


class RefusedError(Exception):
    """A request that is answered with an error.

    Attributes:
        status: HTTP status.
    """

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


@dataclass(frozen=True)
class Found:
    """What a request names.

    Attributes:
        content: Its bytes.
        etag: What changes when they do, with its quotes.
        headers: Others that belong to it.
        ranges: Whether parts of it are given.
    """

    content: Content
    etag: str
    headers: Mapping[str, str] = field(default_factory=dict)
    ranges: bool = True


def find(shelf: Shelf, target: str, headers: Mapping[str, str]) -> Found:
    """What is on a shelf under the target of a request.

    Args:
        shelf: Where.
        target: As it stands in the request's first line.
        headers: Lower-case name -> value.

    Raises:
        RefusedError: Nothing is, or nothing can be.
    """
    named = _TARGET.fullmatch(target) if len(target) <= LONGEST_TARGET else None
    if not named:
        raise RefusedError(404, "there is no such file")
    name, query = named[1], named[2] or ""
    if name.startswith("ipfs/"):
        return _block(shelf, name.removeprefix("ipfs/"), query, headers)
    if name.startswith(BLOBS):
        sha256 = name.removeprefix(BLOBS)
        if (blob := shelf.blob(sha256)) is not None:
            kind = {"Content-Type": "application/octet-stream", "Cache-Control": _FOREVER}
            return Found(blob, f'"{sha256}"', kind)
    elif (held := shelf.named(name)) is not None:
        kind = {"Content-Type": _media_type(name), "Cache-Control": "no-cache"}
        return Found(held, f'"{held.sha256}"', kind)
    raise RefusedError(404, "there is no such file")


def _media_type(name: str) -> str:
    return "application/json" if name.endswith(".json") else "application/octet-stream"


def _block(shelf: Shelf, text: str, query: str, headers: Mapping[str, str]) -> Found:
    """A block, or a whole tree of them."""
    if query.count("&") >= MOST_PARAMETERS:
        raise RefusedError(400, f"at most {MOST_PARAMETERS} parameters are read")
    asked = dict(parse_qsl(query, keep_blank_values=True))
    kind = _KINDS.get(asked["format"], "") if "format" in asked else _accepted(headers.get("accept", ""))
    if not kind:
        raise RefusedError(
            400, "ask for ?format=raw or ?format=car; nothing else is given out, and nothing is rendered"
        )
    if text == PROBE:
        return _tree(text, Held(_PROBE_CAR)) if kind == _CAR else _one(text, Held(b""))
    try:
        cid = parse_cid(text)
    except MalformedError as error:
        raise RefusedError(400, "this is no CIDv1 with a sha2-256, raw or dag-pb, in base32") from error
    if (block := shelf.block(cid)) is None:
        only_cached = "only-if-cached" in headers.get("cache-control", "")
        raise RefusedError(412 if only_cached else 404, "there is no such block")
    if kind == _RAW:
        return _one(text, block)
    if "entity-bytes" in asked or asked.get("car-version", "1") != "1" or asked.get("car-dups", "n") != "n":
        raise RefusedError(400, "CARs of version 1 are given out, of whole trees, each block once, depth first")
    car = car_of(shelf, cid, deep=asked.get("dag-scope", "all") != "block")
    if car is None:
        raise RefusedError(404, "a block of this tree is not here")
    return _tree(text, car)


def _one(cid: str, block: Content) -> Found:
    return Found(block, f'"{cid}.raw"', _ipfs_headers(cid, _RAW, "bin"))


def _tree(cid: str, car: Content) -> Found:
    headers = _ipfs_headers(cid, f"{_CAR}; version=1; order=dfs; dups=n", "car")
    return Found(car, f'"{cid}.car.{car.size_bytes}"', headers, ranges=False)


def _accepted(header: str) -> str:
    """The first kind in an Accept header that is given out; "" where none is."""
    for part in header.split(","):
        kind = part.partition(";")[0].strip().lower()
        if kind in (_RAW, _CAR):
            return kind
    return ""


def _ipfs_headers(cid: str, kind: str, suffix: str) -> dict[str, str]:
    return {
        "Content-Type": kind,
        "Content-Disposition": f'attachment; filename="{cid}.{suffix}"',
        "Cache-Control": _FOREVER,
        "X-Ipfs-Path": f"/ipfs/{cid}",
        "Vary": "Accept",
    }
