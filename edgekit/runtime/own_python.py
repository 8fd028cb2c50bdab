"""How this program starts itself again, as a child that knows nothing of its environment but what it needs."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

PACKAGE_PLACE = str(Path(__file__).parents[2])
"""Folder that `edgekit` is imported from: a child that is started with `-P` appends it to its path."""
_INHERITED = (
    "PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "EDGEKIT_RUNTIME",
    "LD_LIBRARY_PATH", "LD_PRELOAD", "CUDA_VISIBLE_DEVICES",
)  # fmt: skip
"""All that a child gets to know of the environment: passphrases may be in it."""


def python_words() -> tuple[str, ...]:
    """What starts the Python that runs this: of a portable runtime its launcher, which knows its libraries."""
    runtime = Path(os.environ.get("EDGEKIT_RUNTIME", ""))
    with suppress(OSError):
        if runtime.is_absolute() and (runtime / "lib").samefile(Path(sys.prefix, "lib")):
            return "sh", str(runtime / "python")
    return (sys.executable,)


def child_environment() -> dict[str, str]:
    """Variables of a child; what it computes with takes one thread."""
    kept = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    return {**kept, **one_thread, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUTF8": "1"}
