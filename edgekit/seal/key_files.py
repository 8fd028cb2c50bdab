"""Key files: `NAME.key`, a private key in PKCS #8 that only its owner may read, and `NAME.pub`, its public half.

No message of this module holds key material or a passphrase, and none is chained to an error of the library that read
them.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from edgekit.durable import sync_folder
from edgekit.errors import KeyFileError, StorageError
from edgekit.seal.keys import MemoryKey, PublicKey, describe_kind
from edgekit.seal.pkcs8 import encrypted_pem, plain_pem

PRIVATE_SUFFIX, PUBLIC_SUFFIX = ".key", ".pub"
LARGEST_BYTES = 16384
"""Of a key file or a passphrase file; ours have less than 500."""
_LABEL = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,40})-----")
_OTHERS = {
    b"CERTIFICATE": ("a certificate", "give the private key that belongs to it"),
    b"OPENSSH PRIVATE KEY": (
        "a key in OpenSSH's own format",
        "make a copy, and convert that: ssh-keygen -p -m PKCS8 -f COPY",
    ),
}


def public_path(path: Path) -> Path:
    """Where the public half of a key file lies: `name.key` -> `name.pub`."""
    return path.with_name(path.name.removesuffix(PRIVATE_SUFFIX) + PUBLIC_SUFFIX)


def check_new(path: Path) -> None:
    """Do nothing where neither half of a key has its file yet.

    Raises:
        KeyFileError: One has.
    """
    for place in (path, public_path(path)):
        if os.path.lexists(place):
            raise KeyFileError(f"{place} is there already", hint="choose another name: a key is never written over")


def write_key(key: MemoryKey, path: Path, passphrase: bytes | None, *, replace: bool = False) -> Path:
    """Write a private key, mode 0600, and its public half beside it; each whole or not at all.

    Args:
        key: What to write.
        path: Of the private key.
        passphrase: It is encrypted with this; None leaves it open to whoever reads the file.
        replace: Files of those names are written over, otherwise they are an error.

    Returns:
        Path of the public key.

    Raises:
        KeyFileError: A file is there already, or the passphrase is empty.
        StorageError: The folder cannot be written.
    """
    if passphrase == b"":
        raise KeyFileError("the passphrase is empty", hint="choose one, or say --no-passphrase")
    if not replace:
        check_new(path)
    path = path.resolve() if replace else path  # what a link leads to is what somebody could still open
    public, secret = public_path(path), key.to_pkcs8()
    pem = plain_pem(secret) if passphrase is None else encrypted_pem(secret, passphrase)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, pem, mode=0o600, replace=replace)
        try:
            _write(public, key.public.pem.encode(), mode=0o644, replace=replace)
        except BaseException:
            if not replace:
                path.unlink(missing_ok=True)
            raise
    except FileExistsError as error:
        raise KeyFileError(f"{error.filename} is there already", hint="choose another name") from error
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror}", hint="choose another folder") from error
    return public


def read_private(path: Path, passphrase: Callable[[], bytes]) -> MemoryKey:
    """Read a private key in PEM: PKCS #8, or what OpenSSL wrote before it.

    Args:
        path: A regular file that nobody but its owner may read.
        passphrase: Asked once, and only when the key is encrypted.

    Raises:
        KeyFileError: There is none, others may read it, it is none of ours, or the passphrase is wrong.
    """
    data, status = _read(path, "private key")
    labels = _LABEL.findall(data)
    if not any(label.endswith(b"PRIVATE KEY") for label in labels) or b"OPENSSH PRIVATE KEY" in labels:
        raise _no_private_key(path, labels)
    _check_owner(path, status, "private key")
    secret: bytes | None = None
    if b"ENCRYPTED" in data:
        secret = passphrase()
    try:
        key = load_pem_private_key(data, secret)
    except (ValueError, TypeError, UnsupportedAlgorithm, InternalError):
        # Not chained: what the library says about bytes that it cannot parse may quote them.
        raise _unreadable(path, encrypted=secret is not None) from None
    if isinstance(key, Ed25519PrivateKey) or (
        isinstance(key, EllipticCurvePrivateKey) and isinstance(key.curve, SECP256R1)
    ):
        return MemoryKey(key)
    raise KeyFileError(
        f"{path} holds a key of the kind {describe_kind(key)}; edgekit uses P-256 and ed25519",
        hint="make one with: edgekit keys new NAME",
    )


def read_public(path: Path) -> PublicKey:
    """Read a public key in PEM.

    Raises:
        KeyFileError: There is none, or it is something else.
    """
    data, _ = _read(path, "public key")
    if any(label.endswith(b"PRIVATE KEY") for label in _LABEL.findall(data)):
        raise KeyFileError(
            f"{path} holds a private key where a public one is wanted",
            hint=f"give {public_path(path).name}, and keep the private one to yourself",
        )
    try:
        return PublicKey.from_pem(data.decode("ascii", errors="replace"))
    except KeyFileError as error:
        raise KeyFileError(f"{path}: {error}", hint=error.hint) from error


def read_passphrase_file(path: Path) -> bytes:
    """The first line of a small file that nobody but its owner may read; or of a pipe.

    Raises:
        KeyFileError: It is missing, too large, or others may read it.
    """
    data, status = _read(path, "passphrase file", pipe=True)
    _check_owner(path, status, "passphrase file")
    return data.split(b"\n")[0].removesuffix(b"\r")


def _read(path: Path, what: str, *, pipe: bool = False) -> tuple[bytes, os.stat_result]:
    """The bytes of a small file, and its status, taken from what was opened and not from the name."""
    # Without O_NONBLOCK, a pipe in the place of a key would make this wait for ever.
    extra = 0 if pipe else os.O_NONBLOCK
    try:
        with open(path, "rb", opener=lambda place, flags: os.open(place, flags | extra)) as stream:
            status = os.fstat(stream.fileno())
            if not pipe and not stat.S_ISREG(status.st_mode):
                raise KeyFileError(f"{path} is no file", hint="check the path")
            data = stream.read(LARGEST_BYTES + 1)
    except FileNotFoundError as error:
        hint = "check the path" if pipe else "make one with: edgekit keys new NAME"
        raise KeyFileError(f"there is no {what} {path}", hint=hint) from error
    except OSError as error:
        raise KeyFileError(f"{path} cannot be read: {error.strerror}", hint="check path and permissions") from error
    if len(data) > LARGEST_BYTES:
        raise KeyFileError(f"{path} is no {what}: it has more than {LARGEST_BYTES} bytes")
    return data, status


def _check_owner(path: Path, status: os.stat_result, what: str) -> None:
    """As ssh does: of our own file nobody else may see anything; of another's, at least not everybody."""
    mode = stat.S_IMODE(status.st_mode)
    forbidden = 0o077 if status.st_uid == os.geteuid() else 0o007
    if stat.S_ISREG(status.st_mode) and mode & forbidden:
        raise KeyFileError(
            f"{path} is a {what} that others may read or write (mode {mode:04o})", hint=f"chmod 600 {path}"
        )


def _write(path: Path, data: bytes, *, mode: int, replace: bool) -> None:
    """Whole or not at all, also when the power fails.

    A name that has to be new is taken first, by an empty file: unlike a hard link, that works on the FAT of a USB
    stick, where people keep such keys.
    """
    if not replace:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode))
    part = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        if not replace:
            path.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def _no_private_key(path: Path, labels: list[bytes]) -> KeyFileError:
    for label, (what, hint) in _OTHERS.items():
        if label in labels:
            return KeyFileError(f"{path} is {what}", hint=hint)
    if any(label.endswith(b"PUBLIC KEY") for label in labels):
        return KeyFileError(
            f"{path} is a public key where a private one is needed",
            hint=f"give {path.name.removesuffix(PUBLIC_SUFFIX)}{PRIVATE_SUFFIX}",
        )
    return KeyFileError(f"{path} is no private key in PEM", hint="make one with: edgekit keys new NAME")


def _unreadable(path: Path, *, encrypted: bool) -> KeyFileError:
    if encrypted:
        return KeyFileError(
            f"{path} cannot be opened: the passphrase is wrong, or the file is damaged",
            hint="the passphrase comes from --passphrase-file, else EDGEKIT_PASSPHRASE, else it is asked for",
        )
    return KeyFileError(f"{path} is damaged: it holds no key that can be read", hint="take it from your backup")
