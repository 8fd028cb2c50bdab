"""A node's identity: an ed25519 key that it makes and keeps to itself; the public half, as did:key, is its name."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from edgekit.errors import KeyFileError, NodeStateError
from edgekit.seal.key_files import public_path, read_private, read_public, write_key
from edgekit.seal.keys import KeyKind, PrivateKey, PublicKey, generate

FILE_NAME = "identity.key"
KIND: KeyKind = "ed25519"


def create_identity(folder: Path, passphrase: bytes | None) -> PrivateKey:
    """Make the key of a new node and write it into its folder.

    Args:
        folder: Of the node; made if it is not there.
        passphrase: It is encrypted with this; None leaves it to the folder's permissions, as for a node that has to
            start by itself.

    Raises:
        NodeStateError: The folder has an identity already.
        KeyFileError: The passphrase is empty.
        StorageError: The folder cannot be written.
    """
    path = folder / FILE_NAME
    for place in (path, public_path(path)):
        if os.path.lexists(place):
            raise NodeStateError(
                f"{folder} has an identity already: {place.name}",
                hint="a node keeps its identity for life; choose another folder for another node",
            )
    key = generate(KIND)
    write_key(key, path, passphrase)
    return key


def load_identity(folder: Path, passphrase: Callable[[], bytes]) -> PrivateKey:
    """Read the key of a node.

    Args:
        folder: Of the node.
        passphrase: Asked once, and only when the key is encrypted.

    Raises:
        KeyFileError: There is none, others may read it, it is of another kind, or the passphrase is wrong.
    """
    path = folder / FILE_NAME
    key = read_private(path, passphrase)
    _check_kind(key.public, path)
    return key


def read_did(folder: Path) -> str:
    """The node's name, "did:key:z6Mk...", from the public half of its key.

    Raises:
        KeyFileError: There is none, or it is of another kind.
    """
    path = public_path(folder / FILE_NAME)
    public = read_public(path)
    _check_kind(public, path)
    return public.did


def _check_kind(public: PublicKey, path: Path) -> None:
    if public.kind != KIND:
        raise KeyFileError(f"{path} is a key of the kind {public.kind}; a node's is {KIND}")
