"""What the files of a channel are called, and what a channel says of a release beyond its digest.

A channel is a tree of static files (TUF 1.0 with consistent snapshots): `metadata/`, `targets/` and `blobs/`. One TUF
target, `FAMILY/NAME.json`, is the release index of the model FAMILY/NAME; the delegated role FAMILY may sign it.
Another one, which need not be there, `FAMILY/NAME+deltas.json`, says which files can be had as changes to older ones.
What else lies there is signed by what it is about: `torrents/` and `proofs/`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgekit.errors import InputError, KeyFileError, MalformedError
from edgekit.seal.keys import PublicKey
from edgekit.types.manifest import NAME, SEMVER

DELTAS = "+deltas"
"""Behind the name of a model: its delta index. No model has a "+" in its name."""
TOP_ROLES = ("root", "timestamp", "snapshot", "targets")
ROLE = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+){0,15}")
"""A role: one of the four above, or a family."""
FIELD = "edgekit"
"""Of a target's `custom`: whose data it is."""
LARGEST_VERSION = 2**31 - 1
MOST_SIGNERS = 16
LONGEST_PEM = 1000


def check_family(family: str) -> str:
    """A family, which is also the name of its role and of its metadata files.

    Raises:
        InputError: It cannot be one.
    """
    if not ROLE.fullmatch(family) or len(family) > 64:
        raise InputError(
            f"{family[:80]!r} cannot be a family", hint="lower-case letters, digits, and . _ - between them: 'vision'"
        )
    if family in TOP_ROLES:
        raise InputError(f"a family cannot be called '{family}', which is a role of TUF's own")
    return family


def check_model(name: str) -> str:
    """The name of a model, FAMILY/NAME.

    Raises:
        InputError: It is something else.
    """
    if not NAME.fullmatch(name) or len(name) > 128:
        raise InputError(f"{name[:130]!r} is no FAMILY/NAME", hint="for example vision/lite0")
    check_family(name.partition("/")[0])
    return name


def target_path(name: str) -> str:
    """TUF's path of a model's release index.

    >>> target_path("vision/lite0")
    'vision/lite0.json'
    """
    return f"{name}.json"


def target_file(name: str, sha256: str) -> str:
    """Where a channel keeps a release index, below its URL.

    >>> target_file("vision/lite0", "ab12")
    'targets/vision/ab12.lite0.json'
    """
    family, _, model = name.partition("/")
    return f"targets/{family}/{sha256}.{model}.json"


def deltas_path(name: str) -> str:
    """TUF's path of a model's delta index.

    >>> deltas_path("vision/lite0")
    'vision/lite0+deltas.json'
    """
    return target_path(name + DELTAS)


def deltas_file(name: str, sha256: str) -> str:
    """Where a channel keeps a delta index, below its URL.

    >>> deltas_file("vision/lite0", "ab12")
    'targets/vision/ab12.lite0+deltas.json'
    """
    return target_file(name + DELTAS, sha256)


def proof_file(release_sha256: str) -> str:
    """Where a channel keeps the proof that a log shows a release, below its URL.

    >>> proof_file("ab12")
    'proofs/ab12.tlog-proof'
    """
    return f"proofs/{release_sha256}.tlog-proof"


def metadata_file(role: str, version: int | None = None) -> str:
    """Where a channel keeps a role's metadata, below its URL; only the timestamp's has no version.

    >>> metadata_file("vision", 7), metadata_file("timestamp")
    ('metadata/7.vision.json', 'metadata/timestamp.json')
    """
    return f"metadata/{role}.json" if version is None else f"metadata/{version}.{role}.json"


@dataclass(frozen=True)
class ReleaseNotice:
    """What a channel says of the current release of a model; part of the family's signed metadata.

    Attributes:
        version: As in the release's manifest; counts up.
        semver: The version for people.
        oldest: Lowest version that may still run: what lies below it is revoked. At most `version`.
        signers: P-256 public keys, PEM, of which one must have signed the model.
    """

    version: int
    semver: str
    oldest: int
    signers: tuple[str, ...]

    @property
    def keys(self) -> tuple[PublicKey, ...]:
        """The signers as keys.

        Raises:
            MalformedError: One of them is no public key.
        """
        try:
            return tuple(PublicKey.from_pem(pem) for pem in self.signers)
        except KeyFileError as error:
            raise MalformedError(f"the channel names a signer that is no public key: {error}") from error

    def to_custom(self) -> dict[str, Any]:
        """As a target's `custom`."""
        return {
            FIELD: {
                "version": self.version, "semver": self.semver, "oldest": self.oldest, "signers": list(self.signers),
            }
        }  # fmt: skip

    @classmethod
    def from_custom(cls, custom: object, *, where: str) -> ReleaseNotice:
        """Read a target's `custom`; fields that are not known are left out.

        Raises:
            MalformedError: A field is missing or cannot be right; says which.

        Law: from_custom(notice.to_custom()) == notice
        """
        data = custom.get(FIELD) if isinstance(custom, Mapping) else None
        if not isinstance(data, Mapping):
            raise MalformedError(f"{where} does not say which version it is: custom.{FIELD} is missing")
        version = _version(data.get("version"), f"{where}: version")
        oldest = _version(data.get("oldest"), f"{where}: oldest")
        if oldest > version:
            raise MalformedError(f"{where} has version {version}, but {oldest} is the lowest that may run")
        semver = data.get("semver")
        if not isinstance(semver, str) or len(semver) > 128 or not SEMVER.fullmatch(semver):
            raise MalformedError(f"{where}: semver is no semantic version: {str(semver)[:80]!r}")
        return cls(version, semver, oldest, _signers(data.get("signers"), where))


def _version(found: object, where: str) -> int:
    if type(found) is not int or not 1 <= found <= LARGEST_VERSION:
        raise MalformedError(f"{where} is no number from 1 to {LARGEST_VERSION}: {str(found)[:80]!r}")
    return found


def _signers(found: object, where: str) -> tuple[str, ...]:
    if not isinstance(found, list) or not 1 <= len(found) <= MOST_SIGNERS:
        raise MalformedError(f"{where}: signers is no list of 1 to {MOST_SIGNERS} public keys")
    if not all(isinstance(pem, str) and len(pem) <= LONGEST_PEM for pem in found):
        raise MalformedError(f"{where}: a signer is no public key in PEM")
    return tuple(found)
