"""The short texts people type for an input, and that recipes keep.

x:1x3x224x224:float32                  one input; N as a size is a batch that stays free
size=224x224,mean=127,std=128,...      one preprocessing, as `--preprocess` reads it
"""

from __future__ import annotations

import re

from edgekit.errors import RecipeError
from edgekit.types.preprocessing import Preprocessing
from edgekit.types.spec import TensorSpec
from edgekit.types.strict_table import one_of

DTYPES = ("float32", "float16", "float64", "int8", "uint8", "int16", "int32", "int64", "bool")

_INPUT = re.compile(r"(?P<name>\S+?):(?P<sizes>scalar|(?:\d+|N)(?:x(?:\d+|N))*)(?::(?P<dtype>\w+))?")
_EXAMPLE = "write NAME:SIZES[:DTYPE], for example x:1x3x224x224 or tokens:1x128:int64"


def read_input(text: str) -> TensorSpec:
    """An input as `NAME:SIZES[:DTYPE]`; float32 when no dtype is given.

    Law: `read_input(str(spec)) == spec` for a spec without permutation and scale.

    Raises:
        RecipeError: It is not of that form, a size is 0, N stands twice, or the dtype is unknown.

    >>> read_input("x:Nx3x8x8").batch_axis
    0
    """
    found = _INPUT.fullmatch(text.strip())
    if found is None:
        raise RecipeError(f"'{text}' is not an input", hint=_EXAMPLE)
    sizes = [] if found["sizes"] == "scalar" else found["sizes"].split("x")
    shape = tuple(1 if size == "N" else int(size) for size in sizes)
    if 0 in shape or sizes.count("N") > 1:
        raise RecipeError(f"input '{text}' has a size of 0 or more than one N; every size is at least 1", hint=_EXAMPLE)
    dtype = found["dtype"] or "float32"
    one_of(f"the dtype of input '{found['name']}'", dtype, DTYPES)
    return TensorSpec(found["name"], shape, dtype, sizes.index("N") if "N" in sizes else None)


def write_preprocessing(spec: Preprocessing) -> str:
    """Every field of a preprocessing on one line, as `--preprocess` and a recipe take it.

    >>> write_preprocessing(Preprocessing((96, 96), mean=(127.0,), std=(128.0,)))
    'size=96x96,resize=none,mean=127.0,std=128.0,layout=NCHW,color=RGB,interpolation=bilinear'
    """
    fields = {
        "size": f"{spec.size[0]}x{spec.size[1]}",
        "resize": "none" if spec.resize is None else str(spec.resize),
        "mean": "/".join(repr(value) for value in spec.mean),
        "std": "/".join(repr(value) for value in spec.std),
        "layout": spec.layout,
        "color": spec.color,
        "interpolation": spec.interpolation,
    }
    return ",".join(f"{key}={value}" for key, value in fields.items())
