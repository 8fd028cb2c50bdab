"""Where an unfinished training run keeps what it has: a folder beside the output, named after what was asked.

Training takes hours, so a run that was killed must go on where it was. It may do so only as the same run: the folder's
name is a digest of everything that decides the weights, so another model or other settings never meet old weights.
"""

from __future__ import annotations

import dataclasses
import shutil
from contextlib import suppress
from pathlib import Path

from edgekit.digest import canonical_json, of_bytes
from edgekit.errors import StorageError
from edgekit.types.recipe import Recipe

SUFFIX = ".training"


class StepFolder:
    """The folder of one run.

    Attributes:
        path: It exists.
    """

    def __init__(self, out: Path, *, model: str, recipe: Recipe) -> None:
        """Open it, or make it.

        Args:
            out: Output folder of the run; this one lies beside it.
            model: Digest of the weights the run starts from.
            recipe: Its tables about training decide the name.

        Raises:
            StorageError: It cannot be made.
        """
        tables = {name: dataclasses.asdict(getattr(recipe, name)) for name in ("train", "prune", "distill", "qat")}
        key = of_bytes(canonical_json({"model": model, **tables}).encode())[:12]
        self._parent = out.parent / f"{out.name}{SUFFIX}"
        self.path = self._parent / key
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"cannot make the folder {self.path}: {error.strerror or error}") from error

    def file(self, name: str) -> Path:
        """Path of a file or folder in it, there or not."""
        return self.path / name

    def remove(self) -> None:
        """Remove it once the run is done, and the folder above it when no other run has left anything there."""
        shutil.rmtree(self.path, ignore_errors=True)
        with suppress(OSError):
            self._parent.rmdir()
