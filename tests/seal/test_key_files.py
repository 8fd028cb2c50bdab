from __future__ import annotations

import logging
import os
import traceback
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgekit.errors import EdgekitError, KeyFileError, StorageError
from edgekit.seal import key_files
from edgekit.seal.key_files import public_path, read_passphrase_file, read_private, read_public, write_key
from edgekit.seal.keys import KINDS, KeyKind, MemoryKey, generate

SECRET = b"a passphrase nobody may ever see"


def nobody() -> bytes:
    raise AssertionError("the passphrase was asked for")


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    path.chmod(0o600)
    return path


def pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, form: PrivateFormat = PrivateFormat.PKCS8) -> bytes:
    return key.private_bytes(Encoding.PEM, form, NoEncryption())


@pytest.mark.parametrize("passphrase", [None, SECRET])
@pytest.mark.parametrize("kind", KINDS)
def test_a_key_comes_back_from_its_file(kind: KeyKind, passphrase: bytes | None, tmp_path: Path) -> None:
    key = generate(kind)
    path = tmp_path / "new folder" / "it.key"
    public = write_key(key, path, passphrase)
    assert public == path.with_name("it.pub") == public_path(path)
    assert read_private(path, nobody if passphrase is None else lambda: SECRET).public == key.public
    assert read_public(public) == key.public
    assert path.stat().st_mode & 0o777 == 0o600
    assert sorted(item.name for item in path.parent.iterdir()) == ["it.key", "it.pub"]


def test_the_file_is_private_also_under_a_loose_umask(tmp_path: Path, publisher: MemoryKey) -> None:
    before = os.umask(0)
    try:
        write_key(publisher, tmp_path / "it.key", None)
    finally:
        os.umask(before)
    assert (tmp_path / "it.key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "it.pub").stat().st_mode & 0o777 == 0o644


def test_an_encrypted_file_does_not_hold_the_key(tmp_path: Path, publisher: MemoryKey) -> None:
    write_key(publisher, tmp_path / "it.key", SECRET)
    text = (tmp_path / "it.key").read_bytes()
    assert text.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    write_key(publisher, tmp_path / "open.key", None)
    assert (tmp_path / "open.key").read_bytes().split(b"\n")[2] not in text


@pytest.mark.parametrize("taken", ["it.key", "it.pub"])
def test_no_key_is_written_over(taken: str, tmp_path: Path, publisher: MemoryKey) -> None:
    (tmp_path / taken).write_text("precious")
    with pytest.raises(KeyFileError, match=f"{taken} is there already"):
        write_key(publisher, tmp_path / "it.key", None)
    assert [(tmp_path / taken).read_text()] == [item.read_text() for item in tmp_path.iterdir()]
    write_key(publisher, tmp_path / "it.key", None, replace=True)
    assert read_public(tmp_path / "it.pub") == publisher.public


def test_a_link_that_leads_nowhere_is_not_written_through(tmp_path: Path, publisher: MemoryKey) -> None:
    (tmp_path / "it.key").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(KeyFileError, match="is there already"):
        write_key(publisher, tmp_path / "it.key", None)
    assert not (tmp_path / "elsewhere").exists()


def test_a_name_that_is_taken_meanwhile_stays_as_it_is(
    tmp_path: Path, publisher: MemoryKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_files, "check_new", lambda path: path.write_text("somebody was faster"))
    with pytest.raises(KeyFileError, match="is there already"):
        write_key(publisher, tmp_path / "it.key", None)
    assert (tmp_path / "it.key").read_text() == "somebody was faster"


def test_a_write_that_fails_leaves_nothing(
    tmp_path: Path, publisher: MemoryKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        write_key(publisher, tmp_path / "it.key", SECRET)
    assert list(tmp_path.iterdir()) == []


def test_half_a_key_is_not_left_behind(tmp_path: Path, publisher: MemoryKey, monkeypatch: pytest.MonkeyPatch) -> None:
    replace = os.replace

    def full(source: Path, target: Path) -> None:
        if target.suffix == ".pub":
            raise OSError(28, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(StorageError, match="No space left"):
        write_key(publisher, tmp_path / "it.key", None)
    assert list(tmp_path.iterdir()) == []


def test_a_new_passphrase_is_written_where_a_link_leads(tmp_path: Path, publisher: MemoryKey) -> None:
    """Else the old file would stay, open to whoever knows the old passphrase."""
    write_key(publisher, tmp_path / "safe" / "it.key", None)
    (tmp_path / "it.key").symlink_to(tmp_path / "safe" / "it.key")
    write_key(publisher, tmp_path / "it.key", SECRET, replace=True)
    assert (tmp_path / "it.key").is_symlink()
    assert read_private(tmp_path / "safe" / "it.key", lambda: SECRET).public == publisher.public


def test_an_old_key_survives_a_failed_change_of_its_passphrase(
    tmp_path: Path, publisher: MemoryKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_key(publisher, tmp_path / "it.key", SECRET)

    def broken(source: object, target: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "replace", broken)
    with pytest.raises(StorageError):
        write_key(publisher, tmp_path / "it.key", b"new", replace=True)
    assert read_private(tmp_path / "it.key", lambda: SECRET).public == publisher.public
    assert len(list(tmp_path.iterdir())) == 2


def test_an_empty_passphrase_is_no_passphrase(tmp_path: Path, publisher: MemoryKey) -> None:
    with pytest.raises(KeyFileError, match="empty"):
        write_key(publisher, tmp_path / "it.key", b"")


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o601, 0o620])
def test_a_private_key_that_others_may_read_or_write_is_refused(
    mode: int, tmp_path: Path, publisher: MemoryKey
) -> None:
    write_key(publisher, tmp_path / "it.key", SECRET)
    (tmp_path / "it.key").chmod(mode)
    with pytest.raises(KeyFileError, match=f"others may read or write .mode {mode:04o}") as caught:
        read_private(tmp_path / "it.key", nobody)
    assert caught.value.hint == f"chmod 600 {tmp_path / 'it.key'}"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give a file away")
def test_of_a_file_of_somebody_else_his_group_may_read(tmp_path: Path, publisher: MemoryKey) -> None:
    """As a container's orchestrator mounts secrets."""
    write_key(publisher, tmp_path / "it.key", None)
    os.chown(tmp_path / "it.key", 12345, 0)
    (tmp_path / "it.key").chmod(0o640)
    assert read_private(tmp_path / "it.key", nobody).public == publisher.public
    (tmp_path / "it.key").chmod(0o644)
    with pytest.raises(KeyFileError, match="others may read"):
        read_private(tmp_path / "it.key", nobody)


def refusals(folder: Path) -> dict[str, tuple[Path, str, str]]:
    """What -> a file, part of the message, part of the hint."""
    key = generate("p256")
    der = key.to_pkcs8()
    write_key(key, folder / "it.key", SECRET)
    whole = (folder / "it.key").read_bytes()
    lines = pem(ec.generate_private_key(ec.SECP256R1())).split(b"\n")
    curve, numbers = ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048)
    ssh = ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    return {
        "missing": (folder / "none.key", "there is no private key", "edgekit keys new"),
        "a folder": (folder, "Is a directory", "check path"),
        "empty": (write(folder / "a.key", b""), "no private key in PEM", "edgekit keys new"),
        "rubbish": (write(folder / "b.key", os.urandom(300)), "no private key in PEM", "edgekit keys new"),
        "too large": (write(folder / "c.key", bytes(20_000)), "more than 16384 bytes", ""),
        "public": (folder / "it.pub", "is a public key where a private one is needed", "give it.key"),
        "certificate": (
            write(folder / "d.key", b"-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"),
            "is a certificate",
            "private key that belongs to it",
        ),
        "of ssh": (write(folder / "e.key", ssh), "OpenSSH's own format", "ssh-keygen -p -m PKCS8"),
        "of another curve": (write(folder / "f.key", pem(curve)), "of the kind secp384r1", "edgekit keys new"),
        "of RSA": (write(folder / "g.key", pem(numbers)), "of the kind RSA", "edgekit keys new"),
        "cut off": (write(folder / "h.key", whole[:200]), "the file is damaged", "passphrase"),
        "damaged": (write(folder / "i.key", b"\n".join([lines[0], lines[2], *lines[2:]])), "is damaged", "backup"),
        "in DER": (write(folder / "j.key", der), "no private key in PEM", "edgekit keys new"),
    }


@pytest.mark.parametrize("what", [
    "missing", "a folder", "empty", "rubbish", "too large", "public", "certificate", "of ssh", "of another curve",
    "of RSA", "cut off", "damaged", "in DER",
])  # fmt: skip
def test_what_is_no_private_key_is_named_with_a_way_out(what: str, tmp_path: Path) -> None:
    path, message, hint = refusals(tmp_path)[what]
    with pytest.raises(KeyFileError) as caught:
        read_private(path, lambda: SECRET)
    assert message in str(caught.value)
    assert hint in caught.value.hint
    assert str(path) in str(caught.value)


def test_a_private_key_is_not_taken_for_a_public_one(tmp_path: Path, publisher: MemoryKey) -> None:
    write_key(publisher, tmp_path / "it.key", None)
    with pytest.raises(KeyFileError, match="private key where a public one is wanted") as caught:
        read_public(tmp_path / "it.key")
    assert "it.pub" in caught.value.hint
    with pytest.raises(KeyFileError, match="there is no public key"):
        read_public(tmp_path / "none.pub")
    with pytest.raises(KeyFileError, match="no public key in PEM"):
        read_public(write(tmp_path / "rubbish.pub", os.urandom(100)))


def test_older_forms_of_openssl_are_read(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    older = write(tmp_path / "older.key", pem(key, PrivateFormat.TraditionalOpenSSL))
    hidden = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, BestAvailableEncryption(SECRET))
    assert b"BEGIN EC PRIVATE KEY" in older.read_bytes()
    expected = MemoryKey(key).public
    assert read_private(older, nobody).public == expected
    assert read_private(write(tmp_path / "hidden.key", hidden), lambda: SECRET).public == expected


def test_a_pipe_in_the_place_of_a_key_is_answered_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "it.key", 0o600)
    with pytest.raises(KeyFileError, match="is no file"):
        read_private(tmp_path / "it.key", nobody)


def test_a_passphrase_file_is_read_up_to_its_first_line(tmp_path: Path) -> None:
    assert read_passphrase_file(write(tmp_path / "unix", b"one two \nthree")) == b"one two "
    assert read_passphrase_file(write(tmp_path / "windows", b"one\r\n")) == b"one"
    (tmp_path / "unix").chmod(0o644)
    with pytest.raises(KeyFileError, match="passphrase file that others may read") as caught:
        read_passphrase_file(tmp_path / "unix")
    assert "one" not in str(caught.value)
    with pytest.raises(KeyFileError, match="there is no passphrase file"):
        read_passphrase_file(tmp_path / "none")


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(wrong=st.text(min_size=8, max_size=60).map(lambda text: text.encode()), cut=st.integers(0, 400))
def test_no_error_tells_a_secret(wrong: bytes, cut: int, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Message, hint, repr, attributes, chained errors, traceback and logs: neither key nor passphrase."""
    caplog.set_level(logging.DEBUG)
    key = generate("p256")
    path = tmp_path / "it.key"
    write_key(key, path, SECRET, replace=True)
    write_key(key, tmp_path / "open.key", None, replace=True)
    plain = (tmp_path / "open.key").read_bytes()
    write(tmp_path / "cut.key", plain[:cut] + plain[cut + 1 :])
    for place, passphrase in ((path, wrong), (tmp_path / "cut.key", SECRET), (tmp_path / "open.key", wrong)):
        error = failure(place, passphrase)
        if error is None:
            continue
        told = "".join(traceback.format_exception(error)) + repr(error) + error.hint + repr(vars(error)) + caplog.text
        assert error.__context__ is None or error.__suppress_context__
        for secret in (SECRET, wrong):
            assert secret.decode() not in told
            assert repr(secret) not in told
        for line in plain.split(b"\n")[1:-2]:
            assert line.decode() not in told


def failure(path: Path, passphrase: bytes) -> EdgekitError | None:
    try:
        read_private(path, lambda: passphrase)
    except EdgekitError as error:
        return error
    return None


def test_what_is_read_is_what_openssl_would_read(tmp_path: Path, publisher: MemoryKey) -> None:
    write_key(publisher, tmp_path / "it.key", None)
    read = read_private(tmp_path / "it.key", nobody)
    assert (
        load_der_private_key(read.to_pkcs8(), None).public_key()
        == load_der_private_key(publisher.to_pkcs8(), None).public_key()
    )


def test_a_key_that_openssl_has_no_word_for(tmp_path: Path) -> None:
    """The identifier of Ed448 before 32 bytes: `cryptography` raises its InternalError, which is no ValueError."""
    der = b"MC4CAQAwBQYDK2VxBCIEIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAABj"
    path = write(tmp_path / "odd.key", b"-----BEGIN PRIVATE KEY-----\n" + der + b"\n-----END PRIVATE KEY-----\n")
    with pytest.raises(KeyFileError, match="is damaged"):
        read_private(path, nobody)
