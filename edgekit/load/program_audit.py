"""torch.export programs (`.pt2`): what a program may say, checked before torch reads it.

`torch.export.load` was written for trusted files. A hostile one can make it unpickle (weights, constants and example
inputs fall back to `weights_only=False`), load machine code (AOTInductor), evaluate Python text (sizes go through
`sympy.sympify`, guards through `exec`), import modules by name (tree specs) and call any attribute of torch (node
targets). So the graph's JSON is walked here with a list of what is allowed, every pickle is loaded with
`weights_only=True` first, guards are dropped (they restate shapes), and torch is given a new archive with only these
members. Read against torch 2.13: export/pt2_archive/_package.py, _export/serde/serialize.py, utils/_pytree.py.
"""

from __future__ import annotations

import ast
import io
import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

import torch

from edgekit.errors import ModelLoadError
from edgekit.load.archive import Archive
from edgekit.load.quiet import silence

MEMBERS = (
    "models/model.json",
    "data/weights/",
    "data/constants/",
    "data/sample_inputs/model.pt",
    "archive_format",
    "archive_version",
    "byteorder",
    ".data/",
    "version",
    "serialized_",
)
_TARGET = re.compile(
    r"torch\.ops\.(aten|prims|torchvision|quantized_decomposed)\.[A-Za-z_]\w*\.[A-Za-z_]\w*"
    r"|torch\.ops\.higher_order\.(cond|map_impl|while_loop|scan|wrap_with_set_grad_enabled|wrap_with_autocast)"
    r"|_operator\.(getitem|add|sub|mul|truediv|floordiv|mod|neg|pow|eq|ne|lt|le|gt|ge|and_|or_|not_)"
    r"|torch\.(_sym_\w+|sym_\w+)|math\.(ceil|floor|trunc|sqrt)"
)
_FORBIDDEN_OPS = re.compile(r"torch\.ops\.aten\.(from_file|save|_print|_pin_memory)\b")
_SYMBOL = re.compile(r"[A-Za-z_]\w*")
_FUNCTION = re.compile(
    "Symbol|Integer|Float|Rational|Add|Mul|Pow|Max|Min|Mod|Eq|Ne|Lt|Le|Gt|Ge|StrictLessThan|LessThan|GreaterThan|"
    "StrictGreaterThan|Equality|Unequality|And|Or|Not|FloorDiv|ModularIndexing|Where|PythonMod|CleanDiv|CeilToInt|"
    "FloorToInt|CeilDiv|LShift|RShift|PowByNatural|FloatPow|FloatTrueDiv|IntTrueDiv|TruncToFloat|TruncToInt|RoundToInt|"
    "RoundDecimal|ToFloat|Identity|IsNonOverlappingAndDenseIndicator|floor|ceiling|true|false|oo"
)
_EXPRESSION_NODES = (
    ast.Expression, ast.Call, ast.Name, ast.Load, ast.Constant, ast.keyword, ast.BinOp, ast.UnaryOp, ast.Compare,
    ast.operator, ast.unaryop, ast.cmpop,
)  # fmt: skip
_TREE_TYPES = (None, "builtins.tuple", "builtins.list", "builtins.dict", "collections.OrderedDict")
_TREE_KEYS = re.compile(r'[\[\]{}\w\s,.:"\-]*')
_SMALL_TENSOR = 16 << 20


def audit(archive: Archive) -> dict[str, bytes]:
    """Check every graph, table and pickle of a program.

    Returns:
        Member name -> content as it may go into the archive that torch reads; with `MEMBERS`, all that it needs.

    Raises:
        ModelLoadError: Damaged, or something in it could run code.
    """
    found = {}
    for name in archive.sizes:
        if not name.startswith(MEMBERS):
            continue
        if name.endswith(".json"):
            value = _json(archive, name)
            _check_graph(archive, value)
            if name.endswith("_config.json"):
                _check_payloads(archive, value)
            if isinstance(value, dict) and "guards_code" in value:
                value["guards_code"] = []
            found[name] = json.dumps(value).encode()
        elif name.endswith(".pt"):
            found[name] = archive.read(name)
            _check_pickle(archive, name, found[name])
    if not any(name in ("models/model.json", "serialized_exported_program.json") for name in found):
        raise ModelLoadError(f"{archive.path.name} holds no program called 'model'; it holds {_models(archive)}")
    return found


def _check_pickle(archive: Archive, name: str, data: bytes) -> None:
    """Whether a pickle holds tensors and plain containers only; then torch's own loader needs no other mode either."""
    if not data:
        return
    try:
        with silence():
            torch.load(io.BytesIO(data), weights_only=True, map_location="cpu")
    except Exception as error:
        raise _refusal(archive, f"the pickle {name} holds more than tensors") from error


def _check_payloads(archive: Archive, config: Any) -> None:
    """Weights and constants: raw tensors, no larger than what is stored for them."""
    rows = config.get("config", {}) if isinstance(config, dict) else {}
    for key, row in rows.items():
        place = str(row.get("path_name", "")) if isinstance(row, dict) else ""
        if not re.fullmatch(r"(weight|tensor)_\d+", place) or row.get("use_pickle"):
            raise _refusal(archive, f"'{key}' is stored as a pickled object ({place})")
        sizes = [size.get("as_int", 1) for size in (row.get("tensor_meta") or {}).get("sizes", [])]
        stored = max(archive.sizes.get(f"data/{folder}/{place}", 0) for folder in ("weights", "constants"))
        if math.prod(sizes) > max(2 * stored, _SMALL_TENSOR):
            raise _refusal(archive, f"'{key}' declares {math.prod(sizes)} elements, but {stored} bytes are stored")


def _check_graph(archive: Archive, value: Any) -> None:
    """Refuse every text in the JSON that torch would look up, evaluate or import, unless it is on a list."""
    for key, item in _pairs(value):
        if key in ("target", "as_operator") and isinstance(item, str) and not _is_operator(item):
            raise _refusal(archive, f"a node calls '{item[:80]}'")
        if key == "expr_str" and not _is_size_expression(item):
            raise _refusal(archive, f"a size is the text {str(item)[:80]!r}")
        if key in ("in_spec", "out_spec") and not _is_plain_tree(item):
            raise _refusal(archive, f"inputs or outputs are packed as {str(item)[:120]}")
        if key in ("as_custom_obj", "custom_obj", "as_opaque_obj") and item is not None:
            raise _refusal(archive, "it holds a custom object")
        if key == "range_constraints" and not all(_is_size_expression(name) for name in item):
            raise _refusal(archive, f"it constrains sizes called {', '.join(item)[:80]!r}")


def _pairs(value: Any) -> Iterator[tuple[str, Any]]:
    """Every key with its value, at any depth."""
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            yield from item.items()
            stack += item.values()
        elif isinstance(item, list):
            stack += item


def _is_operator(target: str) -> bool:
    """An operator that computes and touches nothing outside."""
    return bool(_TARGET.fullmatch(target)) and not _FORBIDDEN_OPS.match(target)


def _is_size_expression(text: object) -> bool:
    """Numbers, symbols, arithmetic and sympy's own functions of sizes; strings only as names of symbols."""
    if not isinstance(text, str) or len(text) > 100_000:
        return False
    try:
        tree = ast.parse(text, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    named = {id(call.args[0]) for call in ast.walk(tree) if _is_symbol(call) and isinstance(call, ast.Call)}
    for node in ast.walk(tree):
        if not isinstance(node, _EXPRESSION_NODES):
            return False
        if isinstance(node, ast.Call) and not (isinstance(node.func, ast.Name) and _FUNCTION.fullmatch(node.func.id)):
            return False
        if isinstance(node, ast.Name) and not (_FUNCTION.fullmatch(node.id) or re.fullmatch(r"[suz]\w*\d+", node.id)):
            return False
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in named:
            return False
    return True


def _is_symbol(node: ast.AST) -> bool:
    """`Symbol('s77', ...)`."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Symbol" and node.args):
        return False
    name = node.args[0]
    return isinstance(name, ast.Constant) and isinstance(name.value, str) and bool(_SYMBOL.fullmatch(name.value))


def _is_plain_tree(text: object) -> bool:
    """Tuples, lists and dicts with text keys: no enum, factory or class that would be imported by name."""
    try:
        protocol, tree = json.loads(str(text))
    except (ValueError, TypeError, RecursionError):
        return False
    stack = [tree]
    while stack:
        item = stack.pop()
        if not isinstance(item, dict) or item.get("type") not in _TREE_TYPES:
            return False
        if "__enum__" in str(item.get("context")) or not _TREE_KEYS.fullmatch(str(item.get("context"))):
            return False
        stack += item.get("children_spec") or []
    return bool(protocol == 1)


def _json(archive: Archive, name: str) -> Any:
    try:
        return json.loads(archive.read(name), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise ModelLoadError(f"{name} in {archive.path.name} is damaged: {error}", hint="save it again") from error


def _unique(pairs: list[tuple[str, Any]]) -> Mapping[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object has the same key twice")
    return found


def _models(archive: Archive) -> str:
    return ", ".join(name for name in archive.sizes if name.startswith("models/")) or "none"


def _refusal(archive: Archive, why: str) -> ModelLoadError:
    return ModelLoadError(
        f"{archive.path.name} is refused: {why}, which could run code when it is loaded",
        hint="export it again from the module: torch.export.save(torch.export.export(module, args), path)",
    )
