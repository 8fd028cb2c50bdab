"""The entry that a release has in a log: which model, which version, and the digests that name it everywhere else."""

from __future__ import annotations

from dataclasses import dataclass

from edgekit.errors import InputError, MalformedError
from edgekit.types.blob import check_sha256
from edgekit.types.manifest import NAME, SEMVER
from edgekit.types.strict_json import canonical, object_with, read_canonical

SCHEMA = "edgekit.release/1"
LARGEST_LEAF_BYTES = 4096
LARGEST_VERSION = 2**31 - 1
LONGEST_NAME = 128
_KEYS = ("schema", "name", "version", "semver", "release", "bundle")


@dataclass(frozen=True)
class ReleaseLeaf:
    """A release, as a log lists it.

    Attributes:
        name: The model, FAMILY/NAME.
        version: Counts up with every publication.
        semver: The version for people.
        release: Release digest: sha256 of the bundle's `index.json`, lower-case hex.
        bundle: Bundle digest: sha256 of its image index, lower-case hex.
    """

    name: str
    version: int
    semver: str
    release: str
    bundle: str

    def to_bytes(self) -> bytes:
        """The entry: canonical JSON (RFC 8785).

        Raises:
            InputError: A value cannot be; says which.
        """
        value = {"schema": SCHEMA, **{key: getattr(self, key) for key in _KEYS[1:]}}
        try:
            data = canonical(value)
            read_leaf(data)
        except (MalformedError, ValueError) as error:
            raise InputError(f"this release cannot be an entry of a log: {error}") from error
        return data


def read_leaf(data: bytes) -> ReleaseLeaf:
    """Read an entry of a log as a release.

    Raises:
        MalformedError: It is something else: logs may hold entries of other kinds.

    Law: read_leaf(leaf.to_bytes()) == leaf, and read_leaf(data).to_bytes() == data.
    """
    where = "the entry of the log"
    table = object_with(read_canonical(data, where=where, limit_bytes=LARGEST_LEAF_BYTES), required=_KEYS, where=where)
    if table["schema"] != SCHEMA:
        raise MalformedError(f"{where} is of schema {str(table['schema'])[:80]!r}, not {SCHEMA!r}")
    name, version, semver = table["name"], table["version"], table["semver"]
    if not isinstance(name, str) or len(name) > LONGEST_NAME or not NAME.fullmatch(name):
        raise MalformedError(f"{where} is of no FAMILY/NAME: {str(name)[:130]!r}")
    if type(version) is not int or not 1 <= version <= LARGEST_VERSION:
        raise MalformedError(f"{where} has no version of 1 to {LARGEST_VERSION}: {str(version)[:80]}")
    if not isinstance(semver, str) or not semver.isascii() or not SEMVER.fullmatch(semver):
        raise MalformedError(f"{where} has no semantic version: {str(semver)[:80]!r}")
    for key in ("release", "bundle"):
        if not isinstance(table[key], str):
            raise MalformedError(f"the {key} digest in {where} is no text")
        check_sha256(table[key], where=f"the {key} digest in {where}")
    return ReleaseLeaf(name, version, semver, table["release"], table["bundle"])
