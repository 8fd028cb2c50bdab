"""The program in `sumdb/`, built by Go: what golang.org/x/mod/sumdb says of notes, logs and proofs."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from pathlib import Path
from typing import Any

from edgekit.seal.keys import MemoryKey
from edgekit.transparency.note import VerifierKey
from tests.interop.parts import ROOT, go_folder, program


class SumDB:
    """The program, ready to run."""

    def __init__(self, folder: Path) -> None:
        """Build it, in about a second; skips where Go is missing.

        Args:
            folder: For the program and Go's cache.
        """
        self._program = folder / "sumdb"
        environment = os.environ | {
            "GO111MODULE": "off",
            "GOPATH": str(go_folder()),
            "GOCACHE": str(folder / "go-cache"),
            "GOFLAGS": "",
        }
        words = [str(program("go")), "build", "-o", str(self._program), "."]
        subprocess.run(words, cwd=ROOT / "tests" / "interop" / "sumdb", env=environment, check=True, timeout=300)

    def says(self, *words: object, stdin: bytes = b"") -> Any:
        """Its answer.

        Raises:
            AssertionError: It refuses; the message is its reason.
        """
        done = subprocess.run([str(self._program), *map(str, words)], input=stdin, capture_output=True, timeout=300)
        assert done.returncode == 0, done.stderr.decode()
        return json.loads(done.stdout)

    def refuses(self, *words: object, stdin: bytes = b"") -> str:
        """Why it refuses."""
        done = subprocess.run([str(self._program), *map(str, words)], input=stdin, capture_output=True, timeout=300)
        assert done.returncode == 1, done.stdout.decode()
        return done.stderr.decode()


def signer_key(name: str, key: MemoryKey) -> str:
    """A private key as Go's note.NewSigner reads it; for keys of tests alone."""
    key_id = VerifierKey(name, key.public).key_id.hex()
    seed = base64.b64encode(b"\x01" + key.to_pkcs8()[-32:]).decode()
    return f"PRIVATE+KEY+{name}+{key_id}+{seed}"
