"""How to load each file: code to paste, made from what the file really takes."""

from __future__ import annotations

from edgekit.types.artifact import Artifact
from edgekit.types.preprocessing import Preprocessing
from edgekit.types.spec import TensorSpec

_INTERPRETER = """\
try:
    from ai_edge_litert.interpreter import Interpreter
except ImportError:  # older boards
    from tflite_runtime.interpreter import Interpreter"""


def preprocessing_code(spec: Preprocessing, name: str) -> str:
    """Python that turns "photo.jpg" into the array `name`, exactly as calibration did."""
    height, width = spec.size
    mode = "L" if spec.color == "L" else "RGB"
    sampling = f"Image.Resampling.{spec.interpolation.upper()}"
    lines = [
        "import numpy as np",
        "from PIL import Image, ImageOps",
        "",
        f'photo = ImageOps.exif_transpose(Image.open("photo.jpg")).convert("{mode}")',
    ]
    if spec.resize is None:
        lines.append(f"photo = photo.resize(({width}, {height}), {sampling})")
    else:
        lines += [
            f"short = min(photo.size)  # the short side becomes {spec.resize}, then the centre is cut out",
            f"photo = photo.resize([side * {spec.resize} // short for side in photo.size], {sampling})",
            f"left, top = round((photo.width - {width}) / 2), round((photo.height - {height}) / 2)",
            f"photo = photo.crop((left, top, left + {width}, top + {height}))",
        ]
    reverse = "[..., ::-1]" if spec.color == "BGR" else ""
    lines.append(f"pixels = np.asarray(photo, np.float32).reshape({height}, {width}, -1){reverse}")
    lines.append(f"pixels = (pixels - np.float32({_numbers(spec.mean)})) / np.float32({_numbers(spec.std)})")
    axes = ".transpose(2, 0, 1)" if spec.layout == "NCHW" else ""
    lines.append(f"{name} = np.ascontiguousarray(pixels{axes}[None])")
    return "\n".join(lines)


def onnx_code(artifact: Artifact) -> str:
    """Python that runs an .onnx file on ONNX Runtime."""
    feeds = ", ".join(f'"{spec.name}": {_stored(spec)}' for spec in artifact.inputs)
    lines = [
        "import onnxruntime",
        "",
        f'session = onnxruntime.InferenceSession("{artifact.path.name}", providers=["CPUExecutionProvider"])',
        f"{_targets(artifact)} = session.run(None, {{{feeds}}})",
        *_reals(artifact),
    ]
    return "\n".join([*_with_numpy(artifact), *lines])


def tflite_code(artifact: Artifact) -> str:
    """Python that runs a .tflite file on LiteRT; arrays are in the model's axis order before and after."""
    lines = [
        *_with_numpy(artifact),
        _INTERPRETER,
        "",
        f'interpreter = Interpreter(model_path="{artifact.path.name}")',
        "interpreter.allocate_tensors()",
    ]
    for index, spec in enumerate(artifact.inputs):
        array = _stored(spec) + (f".transpose{spec.permutation}" if spec.permutation else "")
        lines.append(f'interpreter.set_tensor(interpreter.get_input_details()[{index}]["index"], {array})')
    lines.append("interpreter.invoke()")
    for index, spec in enumerate(artifact.outputs):
        back = f".transpose{_inverse(spec.permutation)}" if spec.permutation else ""
        target = identifier(spec.name)
        lines.append(f'{target} = interpreter.get_tensor(interpreter.get_output_details()[{index}]["index"]){back}')
    return "\n".join([*lines, *_reals(artifact)])


def identifier(name: str) -> str:
    """A Python variable for a tensor name.

    >>> identifier("input.1")
    'input_1'
    """
    cleaned = "".join(letter if letter.isalnum() else "_" for letter in name)
    return cleaned if cleaned.isidentifier() else f"x_{cleaned}"


def _stored(spec: TensorSpec) -> str:
    """Expression for an input as the file stores it."""
    variable = identifier(spec.name)
    if spec.scale is None or spec.zero_point is None:
        return variable
    low, high = (-128, 127) if spec.dtype == "int8" else (0, 255)
    return f"np.clip(np.rint({variable} / {spec.scale!r}) + {spec.zero_point}, {low}, {high}).astype(np.{spec.dtype})"


def _reals(artifact: Artifact) -> list[str]:
    """Lines that turn integer outputs into reals."""
    return [
        f"{identifier(spec.name)} = ({identifier(spec.name)}.astype(np.float32) - {spec.zero_point}) * {spec.scale!r}"
        for spec in artifact.outputs
        if spec.scale is not None
    ]


def _with_numpy(artifact: Artifact) -> list[str]:
    needs = any(spec.scale is not None for spec in (*artifact.inputs, *artifact.outputs))
    return ["import numpy as np"] if needs else []


def _targets(artifact: Artifact) -> str:
    names = [identifier(spec.name) for spec in artifact.outputs]
    return f"({names[0]},)" if len(names) == 1 else ", ".join(names)


def _inverse(permutation: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(permutation.index(axis) for axis in range(len(permutation)))


def _numbers(values: tuple[float, ...]) -> str:
    return repr(values[0]) if len(values) == 1 else repr(list(values))
