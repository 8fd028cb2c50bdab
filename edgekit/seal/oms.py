"""Model signature: who vouches for which files, after the OpenSSF Model Signing specification v1.0.

`model_signing verify key DIR --signature FILE --public_key PEM` accepts what `sign_files` writes, and `verify_files`
accepts what `model_signing sign key` writes, as long as the file names are such as a bundle may have.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgekit.errors import MalformedError
from edgekit.seal.keys import PrivateKey, PublicKey
from edgekit.seal.sigstore_bundle import open_sealed, seal_statement
from edgekit.seal.statement import MOST_SUBJECTS, Statement, Subject
from edgekit.types.blob import check_sha256
from edgekit.types.manifest import FILE_PATH
from edgekit.types.strict_json import object_with

PREDICATE_TYPE = "https://model_signing/signature/v1.0"
MOST_FILES = MOST_SUBJECTS
_WHERE = "model signature"
_ALGORITHM = "sha256"
_SERIALIZATION = {"method": "files", "hash_type": _ALGORITHM, "allow_symlinks": False}


@dataclass(frozen=True)
class SignedFiles:
    """What a model signature says.

    Attributes:
        name: Of the model; the specification gives it no meaning.
        files: Path -> sha256, lower-case hex: all files there may be, sorted.
        key: The trusted key that says so.
    """

    name: str
    files: Mapping[str, str]
    key: PublicKey


def sign_files(files: Mapping[str, str], *, name: str, key: PrivateKey) -> bytes:
    """Sign files by their digests.

    Args:
        files: Path -> sha256, lower-case hex.
        name: Of the model.
        key: P-256.

    Returns:
        A sigstore bundle, canonical JSON.

    Raises:
        KeyFileError: The key is of another kind.
        MalformedError: A path or a digest is none, or two paths differ only in case.

    Law: verify_files(sign_files(files, name=n, key=k), [k.public]).files == files.
    """
    paths = sorted(files, key=_order)
    _check_paths(paths)
    digests = [check_sha256(files[path], where=path) for path in paths]
    predicate = {
        "serialization": _SERIALIZATION,
        "resources": [
            {"name": path, "algorithm": _ALGORITHM, "digest": sha256}
            for path, sha256 in zip(paths, digests, strict=True)
        ],
    }
    return seal_statement(Statement((Subject(name, _root(digests)),), PREDICATE_TYPE, predicate), key)


def verify_files(signature: bytes, keys: Sequence[PublicKey]) -> SignedFiles:
    """What a model signature says, and which of the trusted keys says it.

    Args:
        signature: A sigstore bundle with exactly one signature.
        keys: Those that are trusted; P-256.

    Raises:
        SignatureError: It is by none of them.
        MalformedError: It is no model signature v1.0, contradicts itself, or names files as no bundle may.
    """
    statement, key = open_sealed(signature, keys, where=_WHERE)
    if statement.predicate_type != PREDICATE_TYPE:
        raise MalformedError(f"{_WHERE}: predicateType is {statement.predicate_type[:80]!r}, not {PREDICATE_TYPE!r}")
    if len(statement.subjects) != 1:
        raise MalformedError(f"{_WHERE}: there are {len(statement.subjects)} subjects; exactly one is allowed")
    _check_serialization(statement.predicate.get("serialization"))
    files = _resources(statement.predicate.get("resources"))
    if _root(files.values()) != statement.subjects[0].sha256:
        raise MalformedError(f"{_WHERE}: the digest of its subject is not that of its files")
    return SignedFiles(statement.subjects[0].name, files, key)


def _check_serialization(value: Any) -> None:
    """How the digests were made; other fields tell only what the signer did not look at."""
    if not isinstance(value, dict):
        raise MalformedError(f"{_WHERE}: it does not say how files became digests")
    for field in ("method", "hash_type"):
        if value.get(field) != _SERIALIZATION[field]:
            raise MalformedError(
                f"{_WHERE}: {field} is {str(value.get(field))[:40]!r}; only {_SERIALIZATION[field]!r} is read here",
                hint="sign it with stock model_signing's defaults",
            )


def _resources(value: Any) -> dict[str, str]:
    """Path -> sha256 of the list of files."""
    if not isinstance(value, list):
        raise MalformedError(f"{_WHERE}: its files are no list")
    found = []
    for index, item in enumerate(value):
        where = f"{_WHERE}: file {index}"
        fields = object_with(item, required=("name", "algorithm", "digest"), where=where)
        name, sha256 = fields["name"], fields["digest"]
        if not isinstance(name, str) or not isinstance(sha256, str) or fields["algorithm"] != _ALGORITHM:
            raise MalformedError(f"{where} has no name, or no sha256")
        found.append((name, check_sha256(sha256, where=where)))
    _check_paths([name for name, _ in found])
    return dict(found)


def _check_paths(paths: Sequence[str]) -> None:
    """At least one, each such as a bundle may have; sorted, none twice whatever the letters' case."""
    if not 1 <= len(paths) <= MOST_FILES:
        raise MalformedError(f"{_WHERE}: there have to be 1 to {MOST_FILES} files, not {len(paths)}")
    for path in paths:
        if not FILE_PATH.fullmatch(path):
            raise MalformedError(
                f"{_WHERE}: {path[:120]!r} is no name that a bundle's file may have",
                hint="letters, digits, '.', '_' and '-', at most three folders deep, no dot at the front",
            )
    if list(paths) != sorted(paths, key=_order):
        raise MalformedError(f"{_WHERE}: its files are not sorted")
    if len({path.lower() for path in paths}) != len(paths):
        raise MalformedError(f"{_WHERE}: two of its files have the same name, or names that differ only in case")


def _order(path: str) -> list[str]:
    """Stock model_signing sorts by folder, then by name: "a/b" before "a.b"."""
    return path.split("/")


def _root(digests: Iterable[str]) -> str:
    """Digest of all files: sha256 of their raw digests, one after the other."""
    return hashlib.sha256(b"".join(map(bytes.fromhex, digests))).hexdigest()
