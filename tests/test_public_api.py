"""The public names: complete, sorted, real, documented."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import edgekit


def test_all_is_sorted_and_resolves() -> None:
    assert edgekit.__all__ == sorted(edgekit.__all__)
    for name in edgekit.__all__:
        assert inspect.getdoc(getattr(edgekit, name)), f"edgekit.{name} has no docstring"


def test_all_is_complete() -> None:
    """What the type checker sees, what is loaded lazily, and what `__all__` says are the same names."""
    tree = ast.parse(Path(edgekit.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.name for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert seen == set(edgekit.__all__)
    assert set(dir(edgekit)) == {*edgekit.__all__, "__version__"}


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'edgekit' has no attribute 'compres'"):
        edgekit.compres  # noqa: B018


def test_every_module_has_a_docstring() -> None:
    bare = []
    for info in pkgutil.walk_packages(edgekit.__path__, "edgekit."):
        spec = importlib.util.find_spec(info.name)
        assert spec is not None
        assert spec.origin is not None
        source = Path(spec.origin).read_text(encoding="utf-8")
        if source.strip() and not ast.get_docstring(ast.parse(source)):
            bare.append(info.name)
    assert not bare


def test_module_runs_as_a_program() -> None:
    done = subprocess.run([sys.executable, "-m", "edgekit", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"edgekit, version {edgekit.__version__}\n"
