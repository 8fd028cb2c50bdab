from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import KeyFileError
from edgekit.seal.pkcs11_uri import MODULE_VARIABLE, TokenUri, read_uri

MODULE = Path(__file__).absolute()
"""Any file: the library is loaded later."""


def test_an_uri_says_which_key_of_which_token() -> None:
    which = "token=My%20token;serial=ab1;slot-id=7;manufacturer=SoftHSM%20project;object=model;id=%01%fF;type=private"
    found = read_uri(f"pkcs11:{which}?module-path={MODULE}")
    assert found == TokenUri(MODULE, "My token", "ab1", "SoftHSM project", slot=7, label="model", key_id=b"\x01\xff")
    assert str(found) == "pkcs11:token=My token;serial=ab1;object=model;id=01ff"


def test_the_library_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MODULE_VARIABLE, str(MODULE))
    assert read_uri("pkcs11:id=%01") == TokenUri(MODULE, key_id=b"\1")
    monkeypatch.delenv(MODULE_VARIABLE)
    with pytest.raises(KeyFileError, match="library is not known") as caught:
        read_uri("pkcs11:id=%01")
    assert MODULE_VARIABLE in caught.value.hint


@pytest.mark.parametrize(
    "uri", ["pkcs11:object=a?pin-value=98765", "pkcs11:object=a;pin-value=98765", "98765?pin-value=98765"]
)
def test_a_pin_in_it_is_refused_and_not_repeated(uri: str) -> None:
    with pytest.raises(KeyFileError, match="must not hold the PIN") as caught:
        read_uri(uri)
    assert "98765" not in str(caught.value) + caught.value.hint + repr(caught.value)
    assert "--passphrase-file" in caught.value.hint


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("pkcs:object=a", "no PKCS #11 URI"),
        ("pkcs11:object=" + "a" * 3000, "no PKCS #11 URI"),
        ("pkcs11:", "names no key"),
        (f"pkcs11:token=a?module-path={MODULE}", "names no key"),
        ("pkcs11:object=a;type=public", "names no private key"),
        ("pkcs11:object=a;object=b", "says object twice"),
        ("pkcs11:object=a;slot-id=x", "slot-id"),
        ("pkcs11:object=a;slot-id=99999999999", "slot-id"),
        ("pkcs11:object=a;colour=blue", "cannot hold 'colour'"),
        ("pkcs11:object=a b", "cannot hold 'object'"),
        ("pkcs11:object=%zz", "cannot hold 'object'"),
        ("pkcs11:object=a?module-name=softhsm2", "cannot hold 'module-name'"),
        ("pkcs11:object=a?module-path=/none/lib.so", "no library of the token at '/none/lib.so'"),
        ("pkcs11:object=a?module-path=relative.so", "no library of the token"),
        ("pkcs11:object=a?module-path=/", "no library of the token"),
    ],
)
def test_what_names_no_key_is_refused(uri: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(MODULE_VARIABLE, raising=False)
    with pytest.raises(KeyFileError, match=message):
        read_uri(uri)


@given(st.text(max_size=60))
def test_any_text_is_an_uri_or_refused(text: str) -> None:
    for uri in (text, f"pkcs11:{text}", f"pkcs11:object=a?module-path={MODULE}&{text}"):
        try:
            read_uri(uri)
        except KeyFileError:
            continue
