"""Keys in a token: softhsm2, with tokens of its own in a temporary folder."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgekit.errors import KeyFileError, SignatureError
from edgekit.seal.keys import generate
from edgekit.seal.oms import sign_files, verify_files
from edgekit.seal.opening import open_key
from edgekit.seal.tuf_signer import tuf_key, tuf_signer
from tests.seal.softhsm import PIN, Token, software_token


@pytest.fixture(scope="module")
def token(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Token]:
    with software_token(tmp_path_factory.mktemp("token")) as made:
        yield made


def test_a_wrong_pin_is_refused_and_not_repeated(token: Token) -> None:
    """In a process of its own, for a token that is open is open to all of a process."""
    command = (
        "from edgekit.seal.opening import open_key\n"
        "from edgekit.errors import KeyFileError\n"
        "import sys, traceback\n"
        "try: open_key(sys.argv[1], lambda: b'97531')\n"
        "except KeyFileError as error: print(error, error.hint, repr(error)); traceback.print_exc()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", command, token.uri("token=tests;object=model")],
        capture_output=True, text=True, timeout=60, check=True, env=dict(os.environ),
    )  # fmt: skip
    assert "the PIN is wrong a token locks itself" in done.stdout
    assert "97531" not in done.stdout + done.stderr


@pytest.mark.parametrize(("label", "kind"), [("model", "p256"), ("root", "ed25519")])
def test_a_token_signs_and_the_key_stays_in_it(token: Token, label: str, kind: str) -> None:
    key = open_key(token.uri(f"token=tests;object={label}"), lambda: PIN)
    assert key.public.kind == kind
    for data in (b"d", b"data", bytes(200_000)):
        key.public.verify(key.sign(data), data)
    with pytest.raises(SignatureError):
        key.public.verify(key.sign(b"data"), b"Data")
    assert repr(key) == f"<TokenKey {key.public}>"
    tuf_key(key.public).verify_signature(tuf_signer(key).sign(b"metadata"), b"metadata")


def test_a_token_signs_models(token: Token) -> None:
    key = open_key(token.uri("token=tests;object=model"), lambda: PIN)
    files = {"model.onnx": "ab" * 32}
    assert verify_files(sign_files(files, name="a/b", key=key), [key.public]).files == files


def test_the_pin_is_asked_for_once_while_a_key_is_open(token: Token) -> None:
    first = open_key(token.uri("token=tests;object=model"), lambda: PIN)

    def nobody() -> bytes:
        raise AssertionError("the PIN was asked for again")

    again = open_key(token.uri("token=tests;id=%01"), nobody)
    assert first.public == again.public == open_key(token.uri("object=model"), nobody).public


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ("token=tests;object=big", "no key of a kind that edgekit uses"),
        ("token=tests;object=none", "no private keys of that name"),
        ("token=tests;id=%09", "no private keys of that name"),
        ("token=tests;object=twice", "2 private keys of that name"),
        ("token=other;object=model", "no tokens fit"),
        ("serial=0;object=model", "no tokens fit"),
        ("slot-id=123456789;object=model", "no tokens fit"),
    ],
)
def test_what_the_token_does_not_have_is_named(token: Token, attributes: str, message: str) -> None:
    with pytest.raises(KeyFileError, match=message):
        open_key(token.uri(attributes), lambda: PIN)


def test_of_two_keys_of_one_name_the_id_tells(token: Token) -> None:
    one, two = (open_key(token.uri(f"token=tests;object=twice;id=%0{number}"), lambda: PIN) for number in (4, 5))
    assert one.public != two.public
    one.public.verify(one.sign(b"data"), b"data")


def test_a_signature_that_does_not_fit_is_not_handed_on(token: Token) -> None:
    key = open_key(token.uri("token=tests;object=model"), lambda: PIN)
    key.public = generate("p256").public
    with pytest.raises(SignatureError, match="does not fit its public key"):
        key.sign(b"data")


def test_a_file_that_is_no_library_is_refused(token: Token, tmp_path: Path) -> None:
    (tmp_path / "lib.so").write_bytes(b"no library")
    with pytest.raises(KeyFileError, match="the token answered"):
        open_key(f"pkcs11:object=model?module-path={tmp_path / 'lib.so'}", lambda: PIN)
