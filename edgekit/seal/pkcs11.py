"""Keys in a token: a smart card, a hardware security module, or softhsm2, all behind PKCS #11.

The private key never leaves the token: it is asked for signatures. ECDSA signatures of a token differ each time, so a
bundle that one signs has another release digest each time it is packed; its bundle digest stays the same.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import PyKCS11
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from edgekit.errors import KeyFileError, SignatureError
from edgekit.seal.keys import PrivateKey, PublicKey, of_cryptography
from edgekit.seal.pkcs11_uri import TokenUri, read_uri

_P256_PARAMS = bytes.fromhex("06082a8648ce3d030107")
"""CKA_EC_PARAMS of P-256: the curve's object identifier."""
_POINT_BYTES = {"p256": 65, "ed25519": 32}
_CKK_EC_EDWARDS = 0x40
_LOGGED_IN = (PyKCS11.CKS_RO_USER_FUNCTIONS, PyKCS11.CKS_RW_USER_FUNCTIONS)


class TokenKey(PrivateKey):
    """A private key in a token, of which this process holds a handle."""

    def __init__(self, session: Any, handle: Any, public: PublicKey, place: TokenUri) -> None:
        self.public = public
        self._session = session
        self._handle = handle
        self._place = place

    def sign(self, data: bytes) -> bytes:
        """As PrivateKey.

        Raises:
            KeyFileError: The token is gone, or refuses.
            SignatureError: What it gave is no signature by its public key.
        """
        with _translated(self._place):
            if self.public.kind == "ed25519":
                signature = bytes(self._session.sign(self._handle, data, PyKCS11.EDDSA_Mechanism()))
            else:
                mechanism = PyKCS11.Mechanism(PyKCS11.CKM_ECDSA, None)
                numbers = bytes(self._session.sign(self._handle, hashlib.sha256(data).digest(), mechanism))
                half = len(numbers) // 2
                signature = encode_dss_signature(int.from_bytes(numbers[:half]), int.from_bytes(numbers[half:]))
        try:
            self.public.verify(signature, data)
        except SignatureError as error:
            raise SignatureError(
                f"{self._place}: the token's signature does not fit its public key",
                hint="the token holds two keys of that name: add id=... to the URI",
            ) from error
        return signature


def open_pkcs11(uri: str, pin: Callable[[], bytes]) -> TokenKey:
    """A key in a token.

    Args:
        uri: After RFC 7512, see `edgekit.seal.pkcs11_uri`.
        pin: Asked once, and only where the token wants one and this process has not given it yet.

    Raises:
        KeyFileError: No such library, token or key; the PIN is wrong; or the key is neither P-256 nor ed25519.
    """
    place = read_uri(uri)
    with _translated(place):
        library = PyKCS11.PyKCS11Lib()
        library.load(str(place.module))
        slot = _slot(library, place)
        session = library.openSession(slot)
        wants_pin = library.getTokenInfo(slot).flags & PyKCS11.CKF_LOGIN_REQUIRED
        if wants_pin and session.getSessionInfo().state not in _LOGGED_IN:
            session.login(pin())
        private, key_id = _find(session, PyKCS11.CKO_PRIVATE_KEY, place.label, place.key_id, place)
        public, _ = _find(session, PyKCS11.CKO_PUBLIC_KEY, "" if key_id else place.label, key_id, place)
        return TokenKey(session, private, _public_key(session, public, place), place)


def _slot(library: Any, place: TokenUri) -> int:
    """The slot whose token is the one that was asked for.

    Raises:
        KeyFileError: There is none, or more than one.
    """
    fitting = []
    for slot in library.getSlotList(tokenPresent=True):
        info = library.getTokenInfo(slot)
        asked = {"label": place.token, "serialNumber": place.serial, "manufacturerID": place.manufacturer}
        asked["model"] = place.model
        if not info.flags & PyKCS11.CKF_TOKEN_INITIALIZED:
            continue
        same = all(not value or str(getattr(info, field)).strip(" \0") == value for field, value in asked.items())
        if same and place.slot in (None, slot):
            fitting.append(int(slot))
    if len(fitting) != 1:
        raise KeyFileError(
            f"{place}: {len(fitting) or 'no'} tokens fit", hint="pkcs11-tool --module LIBRARY -L lists what there is"
        )
    return fitting[0]


def _find(session: Any, kind: int, label: str, key_id: bytes, place: TokenUri) -> tuple[Any, bytes]:
    """Handle and id of the one key of that kind.

    Raises:
        KeyFileError: There is none, or more than one.
    """
    wanted: list[tuple[int, Any]] = [(PyKCS11.CKA_CLASS, kind)]
    if label:
        wanted.append((PyKCS11.CKA_LABEL, label))
    if key_id:
        wanted.append((PyKCS11.CKA_ID, tuple(key_id)))
    found = session.findObjects(wanted)
    what = "private" if kind == PyKCS11.CKO_PRIVATE_KEY else "public"
    if len(found) != 1:
        raise KeyFileError(
            f"{place}: the token has {len(found) or 'no'} {what} keys of that name",
            hint="pkcs11-tool --module LIBRARY -O lists what there is",
        )
    return found[0], bytes(session.getAttributeValue(found[0], [PyKCS11.CKA_ID], True)[0] or b"")


def _public_key(session: Any, handle: Any, place: TokenUri) -> PublicKey:
    """The public half, as the token tells it.

    Raises:
        KeyFileError: It is neither P-256 nor ed25519.
    """
    fields = [PyKCS11.CKA_EC_PARAMS, PyKCS11.CKA_EC_POINT]
    kind = session.getAttributeValue(handle, [PyKCS11.CKA_KEY_TYPE])[0]
    params, point = (bytes(value or b"") for value in session.getAttributeValue(handle, fields, True))
    # CKA_EC_POINT is the point in an OCTET STRING; some tokens leave that out.
    with contextlib.suppress(ValueError):
        if kind == PyKCS11.CKK_EC and params == _P256_PARAMS:
            return of_cryptography(
                EllipticCurvePublicKey.from_encoded_point(SECP256R1(), point[-_POINT_BYTES["p256"] :])
            )
        if kind == _CKK_EC_EDWARDS and len(point) <= _POINT_BYTES["ed25519"] + 2:
            return of_cryptography(Ed25519PublicKey.from_public_bytes(point[-_POINT_BYTES["ed25519"] :]))
    raise KeyFileError(f"{place} is no key of a kind that edgekit uses", hint="make one of P-256, or of ed25519")


@contextlib.contextmanager
def _translated(place: TokenUri) -> Iterator[None]:
    """What the library raises, in our words; it knows no PIN, only codes."""
    try:
        yield
    except PyKCS11.PyKCS11Error as error:
        if error.value in (PyKCS11.CKR_PIN_INCORRECT, PyKCS11.CKR_PIN_LEN_RANGE, PyKCS11.CKR_PIN_INVALID):
            raise KeyFileError(
                f"{place}: the PIN is wrong", hint="a token locks itself after a few wrong ones; then ask who set it up"
            ) from error
        if error.value == PyKCS11.CKR_PIN_LOCKED:
            raise KeyFileError(f"{place}: the token is locked after too many wrong PINs") from error
        raise KeyFileError(
            f"{place}: the token answered {error}", hint="is it plugged in, and is the library its own?"
        ) from error
