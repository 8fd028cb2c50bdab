"""PKCS #11 URI: which key of which token (RFC 7512), as far as edgekit needs it.

    pkcs11:token=publisher;object=model;id=%01?module-path=/usr/lib/softhsm/libsofthsm2.so

A PIN in it is refused: every program of the machine can read another one's command line.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote_to_bytes

from edgekit.errors import KeyFileError

SCHEME = "pkcs11:"
MODULE_VARIABLE = "EDGEKIT_PKCS11_MODULE"
_LONGEST = 2048
_ATTRIBUTE = re.compile(r"([a-z-]{1,32})=((?:[A-Za-z0-9\-._~:\[\]@!$'()*+,=&/?|]|%[0-9A-Fa-f]{2})*)")
_PATH_ATTRIBUTES = {"token", "serial", "manufacturer", "model", "slot-id", "object", "id", "type"}
_EXAMPLE = "it looks like pkcs11:token=NAME;object=LABEL?module-path=/usr/lib/softhsm/libsofthsm2.so"


@dataclass(frozen=True)
class TokenUri:
    """Which key of which token; what is empty or None leaves it open.

    Attributes:
        module: The token's library.
        token: Label of the token.
        serial: Its serial number.
        manufacturer: Who made it.
        model: What it is.
        slot: Number of the slot it is in.
        label: Of the key (CKA_LABEL).
        key_id: Of the key (CKA_ID).
    """

    module: Path
    token: str = ""
    serial: str = ""
    manufacturer: str = ""
    model: str = ""
    slot: int | None = None
    label: str = ""
    key_id: bytes = b""

    def __str__(self) -> str:
        """For messages: which key of which token."""
        named = {"token": self.token, "serial": self.serial, "object": self.label, "id": self.key_id.hex()}
        return SCHEME + ";".join(f"{field}={value}" for field, value in named.items() if value)


def read_uri(uri: str) -> TokenUri:
    """Read a PKCS #11 URI.

    Raises:
        KeyFileError: It is none, holds a PIN, names no key, or no library of the token is known.
    """
    path, _, query = uri.removeprefix(SCHEME).partition("?")
    # A PIN is looked for first, so that no message about something else shows it.
    if "pin-value" in query or "pin-value" in path:
        raise KeyFileError(
            "a PKCS #11 URI must not hold the PIN: every program of this machine could read it",
            hint="take pin-value out; the PIN comes from --passphrase-file, else EDGEKIT_PASSPHRASE, else a prompt",
        )
    if not uri.startswith(SCHEME) or len(uri) > _LONGEST:
        raise KeyFileError("this is no PKCS #11 URI", hint=_EXAMPLE)
    found, asked = _attributes(path, ";", _PATH_ATTRIBUTES), _attributes(query, "&", {"module-path"})
    if found.get("type", b"private") != b"private":
        raise KeyFileError("this PKCS #11 URI names no private key", hint="leave `type` out")
    if not found.get("object") and not found.get("id"):
        raise KeyFileError(
            "this PKCS #11 URI names no key", hint="add object=LABEL, or id=%01: pkcs11-tool -O shows them"
        )
    slot = _text(found.get("slot-id", b""))
    if slot and not re.fullmatch(r"[0-9]{1,10}", slot):
        raise KeyFileError("slot-id of this PKCS #11 URI is no number")
    return TokenUri(
        module=_module(_text(asked.get("module-path", b""))),
        token=_text(found.get("token", b"")),
        serial=_text(found.get("serial", b"")),
        manufacturer=_text(found.get("manufacturer", b"")),
        model=_text(found.get("model", b"")),
        slot=int(slot) if slot else None,
        label=_text(found.get("object", b"")),
        key_id=found.get("id", b""),
    )


def _attributes(text: str, separator: str, known: set[str]) -> dict[str, bytes]:
    """name -> value, percent signs resolved."""
    found: dict[str, bytes] = {}
    for part in filter(None, text.split(separator)):
        matched = _ATTRIBUTE.fullmatch(part)
        if not matched or matched[1] not in known:
            name = part.partition("=")[0][:40]
            raise KeyFileError(f"a PKCS #11 URI cannot hold {name!r} here", hint=f"known: {', '.join(sorted(known))}")
        if matched[1] in found:
            raise KeyFileError(f"this PKCS #11 URI says {matched[1]} twice", hint=_EXAMPLE)
        found[matched[1]] = unquote_to_bytes(matched[2])
    return found


def _module(path: str) -> Path:
    module = Path(path or os.environ.get(MODULE_VARIABLE, ""))
    if not module.is_absolute() or not module.is_file():
        raise KeyFileError(
            f"there is no library of the token at {str(module)!r}" if path else "the token's library is not known",
            hint=f"add ?module-path=/usr/lib/.../libNAME.so to the URI, or set {MODULE_VARIABLE}",
        )
    return module


def _text(value: bytes) -> str:
    return value.decode("utf-8", errors="replace")
