"""Where things are in a registry: oci:// URLs, and the tags under which the files of a channel lie.

Names as the OCI distribution specification 1.1 ("Pulling manifests") allows them. A file `blobs/sha256/HEX` of a
channel is the repository's blob or manifest of that digest. Any other file is a tag made of its name.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from edgekit.errors import InputError
from edgekit.transport.addresses import is_loopback

SCHEME = "oci://"
_HOST = re.compile(r"(\[[0-9a-fA-F:]{2,45}\]|[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?)(?::([0-9]{1,5}))?")
_PART = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_PART}(?:/{_PART})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_BLOB = re.compile(r"blobs/sha256/([0-9a-f]{64})")
_PREFIX = "edgekit-"
_HASHED = "sha256-"


@dataclass(frozen=True)
class OciPlace:
    """A repository of a registry, or one thing in it.

    Attributes:
        host: Host of the registry, with ":PORT" where one was given.
        repository: Name in the registry: "models/resnet8".
        reference: A tag, or "sha256:HEX"; "" where none was given.
    """

    host: str
    repository: str
    reference: str = ""

    @property
    def origin(self) -> str:
        """Scheme and host: plain HTTP is for registries on this machine alone."""
        name = self.host if self.host.endswith("]") else self.host.rpartition(":")[0] or self.host
        return f"http{'' if is_loopback(name) else 's'}://{self.host}"

    def __str__(self) -> str:
        separator = "@" if _DIGEST.fullmatch(self.reference) else ":"
        return f"{SCHEME}{self.host}/{self.repository}{separator + self.reference if self.reference else ''}"


def parse_place(url: str) -> OciPlace:
    """What an oci:// URL names.

    Args:
        url: oci://HOST[:PORT]/REPOSITORY[:TAG] or oci://HOST[:PORT]/REPOSITORY@sha256:HEX.

    Raises:
        InputError: It is something else; a password in it is not repeated.

    >>> parse_place("oci://localhost:5000/models/resnet8:1.2.0").reference
    '1.2.0'
    """
    host, _, rest = url.removeprefix(SCHEME).partition("/")
    found = _HOST.fullmatch(host)
    if not url.startswith(SCHEME) or not found or int(found[2] or 1) not in range(1, 65536):
        raise InputError(
            "an oci:// URL without the host of a registry, or with a user",
            hint="oci://HOST[:PORT]/REPOSITORY[:TAG]; `docker login HOST` takes the password",
        )
    repository, at, reference = rest.partition("@")
    if not at:
        repository, _, reference = rest.partition(":")
    if len(repository) > 255 or not _REPOSITORY.fullmatch(repository):
        raise InputError(
            f"{repository[:80]!r} is no repository", hint="lower-case letters and digits, parts separated by / . _ or -"
        )
    wanted = _DIGEST if at else _TAG
    if (reference or at or rest.endswith(":")) and not wanted.fullmatch(reference):
        raise InputError(
            f"{reference[:80]!r} is no {'digest' if at else 'tag'}",
            hint="a tag is 1 to 128 of A-Z a-z 0-9 . _ -, a digest is sha256: and 64 hex digits",
        )
    return OciPlace(host, repository, reference)


def blob_of(name: str) -> str | None:
    """The digest, hex, of which a file of a channel is the blob; None where its name says no digest."""
    found = _BLOB.fullmatch(name)
    return found[1] if found else None


def tag_of(name: str) -> str:
    """The tag under which a file of a channel lies, when its name says no digest.

    "/" becomes "__". What then is no tag, or could be that of another file, goes by the sha256 of its name.

    Law: two names never have the same tag.

    >>> tag_of("metadata/timestamp.json")
    'edgekit-metadata__timestamp.json'
    """
    tag = _PREFIX + name.replace("/", "__")
    if _TAG.fullmatch(tag) and "__" not in name and "/_" not in name and not name.startswith(_HASHED):
        return tag
    return f"{_PREFIX}{_HASHED}{hashlib.sha256(name.encode()).hexdigest()}"


def fallback_tag(sha256: str) -> str:
    """The tag that lists what refers to a manifest, in a registry without the referrers API (specification, same)."""
    return f"sha256-{sha256}"
