"""Imports go down only. Read from the source with `ast`, so nothing is imported and nothing can hide."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "edgekit"

FLOORS = (
    ("errors", "units", "digest", "durable", "version", "agent"),
    ("types",),
    ("wire",),
    ("plugins", "runtime", "stages", "workspace", "portable", "seal", "oci", "addressing"),
    ("devices", "transport"),
    ("bundle", "channel", "transparency", "delta", "gateway"),
    ("load", "simplify", "shrink", "emit", "check", "report", "bench", "pack", "publish", "share", "confirm", "node"),
    ("backends", "budget", "metadata", "targets"),
    ("ladder",),
    ("calibration", "request"),
    ("run",),
    ("training",),
    ("pipeline",),
    ("callbacks",),
    ("demo",),
    ("cli",),
    ("__main__",),
)
PUSHED = ("agent",)
"""Runs on devices, by itself: it imports only itself, and runtimes inside its functions."""
FREE = ("testing",)
"""May import anything; nothing but tests may import it."""
LIGHT = {"click", "rich", "tomli_w", "numpy", "cryptography", "httpcore2", "rfc8785", "tuf", "securesystemslib"}
"""What the base installation has."""
HEAVY = {
    "torch",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "onnx_ir",
    "ai_edge_litert",
    "tflite_runtime",
    "neural_compressor",
    "torchao",
    "skimage",
    "sklearn",
    "torch_pruning",
    "accelerate",
    "lightning",
    "pytorch_lightning",
    "transformers",
    "mlxtend",
    "asyncssh",
    "ruptures",
    "scipy",
    "cyclonedx",
    "PyKCS11",
    "libtorrent",
    "zstandard",
    "bsdiff4",
}


@dataclass(frozen=True)
class Import:
    """One import statement: the file it is in, what it names, and whether it runs when the file is imported."""

    file: Path
    line: int
    target: str
    at_top: bool

    @property
    def package(self) -> str:
        return self.file.relative_to(ROOT).parts[0].removesuffix(".py")

    def __str__(self) -> str:
        return f"{self.file.relative_to(ROOT.parent)}:{self.line} imports {self.target}"


def imports() -> Iterator[Import]:
    for file in sorted(ROOT.rglob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        deferred = {
            inner
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or is_type_checking(node)
            for inner in ast.walk(node)
        }
        for node in ast.walk(tree):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module == "edgekit":
                names = [root_import(alias.name) for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"relative import in {file}"
                names = [node.module or ""]
            for name in names:
                yield Import(file, node.lineno, name, node not in deferred)


def root_import(name: str) -> str:
    """`from edgekit import digest` names a module; any other name is taken from the root itself."""
    is_module = (ROOT / f"{name}.py").is_file() or (ROOT / name).is_dir()
    return f"edgekit.{name}" if is_module else f"edgekit:{name}"


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


IMPORTS = tuple(imports())


def floor(package: str) -> int:
    for level, packages in enumerate(FLOORS):
        if package in packages:
            return level
    raise AssertionError(f"edgekit/{package} stands on no floor: add it to FLOORS")


def own(found: Import) -> str | None:
    """The package of edgekit that is imported, or None for a foreign one."""
    parts = found.target.replace(":", ".").split(".")
    return parts[1] if parts[0] == "edgekit" and len(parts) > 1 else None


def test_the_source_was_found() -> None:
    assert len(IMPORTS) > 100
    assert {found.package for found in IMPORTS} >= {"types", "cli", "errors"}


def test_every_package_stands_on_a_floor() -> None:
    for path in ROOT.iterdir():
        if path.suffix == ".py" or (path / "__init__.py").exists():
            assert path.stem in FREE or path.stem == "__init__" or floor(path.stem) >= 0


def test_imports_go_down_only() -> None:
    wrong = []
    for found in IMPORTS:
        target = own(found)
        if target is None or found.package in (*FREE, "__init__") or target == found.package:
            continue
        if target in FREE or floor(target) >= floor(found.package):
            wrong.append(str(found))
    assert not wrong, "\n".join(wrong)


def test_what_is_pushed_to_devices_imports_nothing_else() -> None:
    wrong = [
        str(found)
        for found in IMPORTS
        if found.package in PUSHED
        and (own(found) not in (None, found.package) or (found.at_top and found.target.split(".")[0] in LIGHT | HEAVY))
    ]
    assert not wrong, "\n".join(wrong)


def test_nobody_inside_imports_the_root() -> None:
    wrong = [
        str(found)
        for found in IMPORTS
        if found.package not in (*FREE, "__init__")
        and (found.target == "edgekit" or found.target.startswith("edgekit:"))
    ]
    assert not wrong, "\n".join(wrong)


def test_the_light_floors_import_nothing_heavy() -> None:
    """Floors 0 and 1 not at all; plugins, packages' `__init__` and the command line not when they are imported."""
    wrong = []
    for found in IMPORTS:
        heavy = found.target.split(".")[0] in HEAVY
        low = found.package not in (*FREE, *PUSHED, "__init__") and floor(found.package) <= 1
        eager = found.at_top and (found.package in ("plugins", "cli", "__main__") or found.file.name == "__init__.py")
        if heavy and (low or eager):
            wrong.append(str(found))
    assert not wrong, "\n".join(wrong)


def test_the_command_line_starts_on_types_alone() -> None:
    """What `edgekit --help` imports is below floor 2, so that no verb's work is loaded to print a help text."""
    wrong = [
        str(found)
        for found in IMPORTS
        if found.package == "cli" and found.at_top and (target := own(found)) and target != "cli" and floor(target) > 1
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("package", ["errors", "units", "digest", "durable", "version"])
def test_floor_zero_needs_the_standard_library_only(package: str) -> None:
    foreign = [
        str(found) for found in IMPORTS if found.package == package and found.target.split(".")[0] in LIGHT | HEAVY
    ]
    assert not foreign, "\n".join(foreign)


def test_an_upward_import_would_be_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check itself can fail: a types module that imports a stage, and a stage that imports its sibling."""
    for name, text in (("types/a.py", "from edgekit.emit.x import y"), ("emit/b.py", "import edgekit.check.z")):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(text)
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    monkeypatch.setitem(globals(), "IMPORTS", tuple(imports()))
    with pytest.raises(AssertionError) as caught:
        test_imports_go_down_only()
    assert "a.py:1 imports edgekit.emit.x" in str(caught.value)
    assert "b.py:1 imports edgekit.check.z" in str(caught.value)
