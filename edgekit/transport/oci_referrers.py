"""What refers to a manifest, its signatures and its provenance: by the referrers API, or by the tag in its stead.

Source: OCI distribution specification 1.1, "Listing Referrers" and "Pushing Manifests with Subject". A registry that
knows the API says so with the header OCI-Subject when such a manifest is pushed; for any other one, whoever pushes
keeps an index of the referrers under the tag `sha256-HEX`. A list is what a stranger says: each entry leads to a
manifest by digest, and that manifest has to name its subject itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from edgekit.errors import AbsentError, MalformedError, TransferError
from edgekit.oci import media_types
from edgekit.oci.documents import plain_descriptor
from edgekit.transport.oci_place import fallback_tag
from edgekit.transport.oci_registry import LARGEST_DOCUMENT_BYTES, Registry
from edgekit.transport.oci_session import read_capped
from edgekit.types.blob import Descriptor, check_sha256, check_size
from edgekit.types.strict_json import canonical, read_strict

MOST_PAGES = 16
MOST_REFERRERS = 512
_UNKNOWN = (400, 404, 405, 501)
"""How registries answer to a path that they do not know."""
_NEXT = re.compile(r'<([^<>]{1,4096})>\s*;\s*rel="?next"?')


@dataclass(frozen=True)
class Referrer:
    """A manifest that refers to another.

    Attributes:
        descriptor: Its media type, digest, size and annotations.
        artifact_type: What it is, for example media_types.SIGSTORE_BUNDLE.
    """

    descriptor: Descriptor
    artifact_type: str

    def to_plain(self) -> dict[str, Any]:
        """As an entry of a list of referrers: the one place where a descriptor carries an artifactType."""
        return {**plain_descriptor(self.descriptor), "artifactType": self.artifact_type}


def list_referrers(registry: Registry, sha256: str, *, artifact_type: str = "") -> tuple[Referrer, ...]:
    """What refers to a manifest, as far as the registry says.

    Args:
        registry: Where.
        sha256: Digest of the manifest, hex; it need not be there.
        artifact_type: Leave out others.

    Raises:
        MalformedError: The list breaks its format.
        LengthError: It is too long.
        TransferError: The registry refuses, or the connection breaks.
    """
    found = _by_api(registry, sha256)
    if found is None:
        found = _by_tag(registry, sha256)
    return tuple(one for one in found if artifact_type in ("", one.artifact_type))


def push_referrer(registry: Registry, data: bytes, subject: Descriptor, referrer: Referrer) -> None:
    """Put a manifest with a subject there, so that whoever finds the subject finds it too.

    Where the registry lacks the API, the index under the fallback tag is read, added to, and written again: of two
    who do that at the same moment, one may be forgotten, and pushes again.

    Args:
        registry: Where.
        data: The manifest.
        subject: What its `subject` says.
        referrer: What the list is to say of it.

    Raises:
        TransferError: The registry refuses, or the connection breaks.
    """
    headers = registry.write_document(data, referrer.descriptor.media_type)
    if "oci-subject" in headers:
        return
    known = _by_tag(registry, subject.sha256)
    if any(one.descriptor.sha256 == referrer.descriptor.sha256 for one in known):
        return
    index = {
        "schemaVersion": 2,
        "mediaType": media_types.IMAGE_INDEX,
        "manifests": [one.to_plain() for one in (*known, referrer)],
    }
    registry.write_document(canonical(index), media_types.IMAGE_INDEX, fallback_tag(subject.sha256))


def _by_api(registry: Registry, sha256: str) -> tuple[Referrer, ...] | None:
    """None where the registry does not know the API."""
    session = registry.session
    found: list[Referrer] = []
    url, headers = session.url(f"referrers/sha256:{sha256}"), {"Accept": media_types.IMAGE_INDEX}
    for _ in range(MOST_PAGES):
        with session.request("GET", url, headers=headers, actions=registry.actions) as answer:
            kind = answer.headers.get("content-type", "").partition(";")[0].strip()
            if answer.status in _UNKNOWN or (answer.status == 200 and kind != media_types.IMAGE_INDEX):
                return None
            if answer.status != 200:
                raise session.refused(answer, f"referrers of sha256:{sha256}")
            found += read_referrers(read_capped(answer, LARGEST_DOCUMENT_BYTES))
            following = _NEXT.search(answer.headers.get("link", "")[:8192])
        if following is None:
            return tuple(found)
        url = session.follow(url, following[1])
    raise TransferError(f"has more than {MOST_PAGES} pages of referrers", source=registry.source)


def _by_tag(registry: Registry, sha256: str) -> tuple[Referrer, ...]:
    try:
        return tuple(read_referrers(registry.read_document(fallback_tag(sha256)).data))
    except AbsentError:
        return ()


def read_referrers(data: bytes) -> Iterator[Referrer]:
    """The entries of an index that another program may have written; what is no manifest by sha256 is left out.

    Raises:
        MalformedError: It is no index, or an entry breaks its format.
    """
    where = "the list of referrers"
    value = read_strict(data, where=where, limit_bytes=LARGEST_DOCUMENT_BYTES)
    entries = value.get("manifests") if isinstance(value, dict) else None
    if not isinstance(entries, list) or len(entries) > MOST_REFERRERS:
        raise MalformedError(f"{where} is no index of at most {MOST_REFERRERS} manifests")
    for entry in entries:
        if not isinstance(entry, dict):
            raise MalformedError(f"{where} holds something that is no descriptor")
        digest, size = entry.get("digest"), entry.get("size")
        if entry.get("mediaType") != media_types.IMAGE_MANIFEST or not str(digest).startswith("sha256:"):
            continue
        if type(size) is not int:
            raise MalformedError(f"{where} holds a descriptor without a size")
        sha256 = check_sha256(str(digest).removeprefix("sha256:"), where=where)
        descriptor = Descriptor(
            media_types.IMAGE_MANIFEST, sha256, check_size(size, where=where), _texts(entry.get("annotations"))
        )
        kind = entry.get("artifactType")
        yield Referrer(descriptor, kind if isinstance(kind, str) else "")


def _texts(value: object) -> Mapping[str, str]:
    found = value if isinstance(value, dict) else {}
    return {key: text for key, text in found.items() if isinstance(text, str)}
