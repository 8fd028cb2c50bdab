"""A PKCS #11 token in software (softhsm2), with keys made by OpenSC's tool: nothing of it is edgekit's own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.interop.parts import lack, program, softhsm_library

PIN = b"86420"
KEYS = (
    ("model", "prime256v1", "01"),
    ("root", "edwards25519", "02"),
    ("big", "secp384r1", "03"),
    ("twice", "prime256v1", "04"),
    ("twice", "prime256v1", "05"),
)
"""Label, curve and id."""


@dataclass(frozen=True)
class Token:
    """A token called "tests", opened by PIN, that holds KEYS."""

    library: Path

    def uri(self, attributes: str, query: str = "") -> str:
        return f"pkcs11:{attributes}?module-path={self.library}{query}"


@contextmanager
def software_token(folder: Path) -> Iterator[Token]:
    """A token whose files are in that folder; the environment points at it as long as the block is open."""
    library, util, tool = softhsm_library(), program("softhsm2-util"), program("pkcs11-tool")
    try:
        import PyKCS11  # noqa: F401  # only to see that it is there
    except ImportError:
        lack("PyKCS11", "pip install 'edgekit-ml[hsm]'")
    (folder / "tokens").mkdir()
    (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder}/tokens\nlog.level = ERROR\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOFTHSM2_CONF", str(folder / "softhsm2.conf"))

        def do(*words: str | Path) -> None:
            subprocess.run([*map(str, words)], check=True, capture_output=True, timeout=60, env=dict(os.environ))

        pin = PIN.decode()
        do(util, "--init-token", "--free", "--label", "tests", "--pin", pin, "--so-pin", "13579")
        for label, curve, number in KEYS:
            login = ("--module", library, "--token-label", "tests", "--login", "--pin", pin)
            do(tool, *login, "--keypairgen", "--key-type", f"EC:{curve}", "--label", label, "--id", number)
        yield Token(library)
