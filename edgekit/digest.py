"""sha256 digests and canonical JSON: the names that stored things give to one another."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def of_bytes(data: bytes) -> str:
    """sha256 of some bytes, lower-case hex.

    >>> of_bytes(b"")[:12]
    'e3b0c44298fc'
    """
    return hashlib.sha256(data).hexdigest()


def of_file(path: Path) -> str:
    """sha256 of a file, lower-case hex, read in pieces, so that its size does not matter.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def of_files(paths: Sequence[Path]) -> str:
    """Digest of one file, or of several that belong together: sha256 of their hex digests, joined in that order.

    Raises:
        OSError: A file cannot be read.
    """
    digests = [of_file(path) for path in paths]
    return digests[0] if len(digests) == 1 else of_bytes("".join(digests).encode())


def canonical_json(value: Any) -> str:
    """One text per value: keys sorted, no white space, no NaN.

    Raises:
        ValueError: The value holds a NaN or an infinity, which JSON cannot say.

    >>> canonical_json({"b": 1, "a": [True, None]})
    '{"a":[true,null],"b":1}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
