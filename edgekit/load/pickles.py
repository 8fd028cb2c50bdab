"""What a pickle would import, found by reading its opcodes; nothing in it is executed.

A pickle runs code by naming an importable object and calling it, so the names are what tells a file of tensors from a
pickled module, and both from an attack.
"""

from __future__ import annotations

import io
import pickletools
from collections.abc import Iterator
from typing import IO

_STRINGS = {"SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "UNICODE", "STRING", "BINSTRING", "SHORT_BINSTRING"}
_PUTS = {"PUT", "BINPUT", "LONG_BINPUT"}
_GETS = {"GET", "BINGET", "LONG_BINGET"}
_EXTENSIONS = {"EXT1", "EXT2", "EXT4"}
UNKNOWN = "(computed name)"

_PLAIN_MODULES = (
    "torch",
    "torch._utils",
    "torch._tensor",
    "torch.storage",
    "torch.serialization",
    "torch.nn.parameter",
    "torch.torch_version",
    "torch.distributed.tensor",
    "collections",
    "numpy",
    "numpy.dtypes",
    "numpy.core.multiarray",
    "numpy._core.multiarray",
    "_codecs",
)
_BUILTINS = "set frozenset bytes bytearray complex slice range int float str list dict tuple"
_PLAIN_NAMES = frozenset(
    [f"{module}.{name}" for module in ("builtins", "__builtin__") for name in _BUILTINS.split()]
    + [f"pathlib.{name}" for name in ("PosixPath", "WindowsPath", "PurePosixPath", "Path")]
    + ["argparse.Namespace"]
)


def globals_of(stream: IO[bytes]) -> list[str]:
    """Importable names in one pickle, dotted, each once, in order; the stream is left after its STOP.

    Raises:
        ValueError: The bytes are no pickle, or end before its STOP.
    """
    found: list[str] = []
    pushed: list[str | None] = []
    memo: dict[int, str | None] = {}
    for opcode, argument, _ in _opcodes(stream):
        name = opcode.name
        if name in ("GLOBAL", "INST"):
            found.append(str(argument).replace(" ", "."))
            pushed.append(None)
        elif name == "STACK_GLOBAL":
            module, attribute = ([None, None, *pushed])[-2:]
            found.append(f"{module}.{attribute}" if module and attribute else UNKNOWN)
            pushed[-2:] = [None]
        elif name in _EXTENSIONS:
            found.append(f"copyreg extension {argument}")
        elif name in _STRINGS:
            pushed.append(str(argument))
        elif name == "MEMOIZE":
            memo[len(memo)] = pushed[-1] if pushed else None
        elif name in _PUTS:
            memo[int(str(argument or 0))] = pushed[-1] if pushed else None
        elif name in _GETS:
            pushed.append(memo.get(int(str(argument or 0))))
        elif opcode.stack_after:
            pushed.append(None)
    return list(dict.fromkeys(found))


def foreign(names: list[str]) -> list[str]:
    """Those names that a file of tensors has no use for.

    >>> foreign(["collections.OrderedDict", "torch.nn.modules.conv.Conv2d", "posix.system"])
    ['torch.nn.modules.conv.Conv2d', 'posix.system']
    """
    return [name for name in names if name.rpartition(".")[0] not in _PLAIN_MODULES and name not in _PLAIN_NAMES]


def is_pickle(head: bytes) -> bool:
    """Whether some bytes are a complete pickle of any protocol."""
    try:
        globals_of(io.BytesIO(head))
    except ValueError:
        return False
    return True


def _opcodes(stream: IO[bytes]) -> Iterator[tuple[pickletools.OpcodeInfo, object, int | None]]:
    try:
        yield from pickletools.genops(stream)
    except (ValueError, IndexError, OverflowError, UnicodeDecodeError, MemoryError) as error:
        raise ValueError(f"not a pickle: {error}") from error
