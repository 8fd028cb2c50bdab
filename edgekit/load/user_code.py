"""Imports code the user names by place: `package.module`, or the path of a file."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType


def import_place(place: str) -> ModuleType:
    """Import a module by its dotted name or a file by its path, and whatever it imports beside it.

    Modules are looked for in the current folder too; a file may import its neighbours. What the code raises is passed
    on as it is.

    Args:
        place: "package.module" or "path/file.py".

    Raises:
        FileNotFoundError: There is no such file.
    """
    if not place.endswith(".py"):
        with _importable(Path.cwd()):
            return importlib.import_module(place)
    path = Path(place).resolve()
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {place}")
    with _importable(path.parent):
        return _run_file(path)


def public_callables(module: ModuleType) -> list[str]:
    """Names in the module that could have been meant."""
    return [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]


def _run_file(path: Path) -> ModuleType:
    """Run a file as a module of its own; it stays in `sys.modules`, where dataclasses, pickle and DataLoaders look."""
    name = f"edgekit_user_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Put `folder` first on the import path for the moment."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        if str(folder) in sys.path:
            sys.path.remove(str(folder))
