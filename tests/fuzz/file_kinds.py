"""Small files of other formats: keys in PEM and as did:key, and arrays in .npz and .npy."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any

from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_der_private_key,
)

from edgekit.errors import EdgekitError
from edgekit.node.infer import read_inputs
from edgekit.pack.golden_inputs import read_given
from edgekit.seal.key_files import read_private, read_public
from edgekit.seal.keys import PublicKey
from edgekit.seal.pkcs8 import encrypted_pem, plain_pem
from edgekit.types.spec import TensorSpec
from tests.bundle.building import variant
from tests.fuzz import hostile
from tests.fuzz.archive_mutation import mutate_archive, mutate_array, specimens_of_arrays
from tests.fuzz.byte_mutation import mutate_bytes
from tests.fuzz.kinds import Kind, hold
from tests.fuzz.specimens import Specimens

PASSPHRASE = b"correct horse"
SPECS = (TensorSpec("image", (1, 3, 8, 8), batch_axis=0),)
LARGEST_ARRAYS_BYTES = 2**28


@dataclass(frozen=True)
class File:
    """A file, and what it is taken for."""

    data: bytes
    role: str


def file_kinds(specimens: Specimens) -> Iterator[Kind[Any]]:
    """All of them."""
    maker = _Files(specimens)
    yield Kind(
        "key", "the key is the same once it is written and read again, and signs", maker.draw_key, _judge_key, 600
    )
    yield Kind("arrays", "numbers, of no more bytes than are allowed", maker.draw_arrays, _judge_arrays, 700)


class _Files:
    def __init__(self, specimens: Specimens) -> None:
        self._specimens = specimens

    @cached_property
    def _keys(self) -> dict[str, list[bytes]]:
        pairs = [self._specimens.publisher, self._specimens.node]
        secrets = [key.to_pkcs8() for key in pairs]
        return {
            "public": [key.public.pem.encode() for key in pairs],
            "did": [key.public.did.encode() for key in pairs],
            "private": [*map(plain_pem, secrets), *map(_encrypted, secrets)],
            "scrypt": [encrypted_pem(secrets[1], PASSPHRASE)],
        }

    @cached_property
    def _arrays(self) -> tuple[bytes, bytes]:
        """An .npz and an .npy."""
        return specimens_of_arrays()

    def draw_key(self, random: Random) -> File:
        role = random.choices(("public", "private", "did", "scrypt"), (40, 40, 19, 1))[0]
        data = random.choice(self._keys[role])
        if role == "did":
            return File(
                random.choice((mutate_bytes(random, data), hostile.name(random).encode("utf-8", "replace"))), role
            )
        if random.random() < 0.4:
            return File(mutate_bytes(random, data, [one for found in self._keys.values() for one in found]), role)
        label = data.partition(b"-----BEGIN ")[2].partition(b"-----")[0]
        der = base64.b64decode(b"".join(data.splitlines()[1:-1]))
        text = base64.encodebytes(mutate_bytes(random, der)) if random.random() < 0.9 else hostile.ESCAPE.encode()
        return File(b"-----BEGIN %s-----\n%b-----END %s-----\n" % (label, text, label), role)

    def draw_arrays(self, random: Random) -> File:
        archive, array = self._arrays
        if random.random() < 0.6:
            return File(mutate_archive(random, archive, [array]), "npz")
        return File(mutate_array(random, array), "npy")


def _judge_key(file: File, place: Path) -> None:
    path = place / "name.key"
    path.write_bytes(file.data)
    path.chmod(0o600)
    if file.role == "did":
        _hold_key(PublicKey.from_did(file.data.decode("utf-8", "replace")))
    elif file.role == "public":
        _hold_key(read_public(path))
    else:
        key = read_private(path, lambda: PASSPHRASE)
        _hold_key(key.public)
        key.public.verify(key.sign(b"data"), b"data")


def _hold_key(key: PublicKey) -> None:
    hold(PublicKey.from_pem(key.pem) == key, "a key is another one once it is written")
    hold(PublicKey.from_did(key.did) == key, "a key is another one as did:key")
    hold(len(key.fingerprint) == len(key.hint) == 64, "a key has no fingerprint")


def _judge_arrays(file: File, place: Path) -> None:
    path = place / f"arrays.{file.role}"
    path.write_bytes(file.data)
    refusal: EdgekitError | None = None
    try:
        read_given(path, SPECS)
    except EdgekitError as error:
        refusal = error
    found = read_inputs(path, variant(0, ("model.v0.onnx",), ()))
    hold(all(array.dtype.kind in "fiub" for array in found.values()), "something that is no number was read")
    hold(sum(array.nbytes for array in found.values()) <= LARGEST_ARRAYS_BYTES, "more bytes were read than are allowed")
    if refusal:
        raise refusal


def _encrypted(secret: bytes) -> bytes:
    """As older tools encrypt keys, and a hundred times as fast to open as ours."""
    key = load_der_private_key(secret, None)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(PASSPHRASE))
