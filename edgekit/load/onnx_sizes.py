"""Open dimensions of an ONNX graph's inputs, made static: the batch to 1, others to what the user says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx

from edgekit.errors import ModelLoadError
from edgekit.types.finding import Finding, Severity
from edgekit.types.spec import TensorSpec

_DTYPES: Mapping[int, str] = {
    onnx.TensorProto.FLOAT: "float32",
    onnx.TensorProto.DOUBLE: "float64",
    onnx.TensorProto.INT8: "int8",
    onnx.TensorProto.UINT8: "uint8",
    onnx.TensorProto.INT32: "int32",
    onnx.TensorProto.INT64: "int64",
    onnx.TensorProto.BOOL: "bool",
}


def freeze_sizes(
    model: onnx.ModelProto, inputs: Sequence[TensorSpec], *, where: str
) -> tuple[tuple[TensorSpec, ...], tuple[Finding, ...]]:
    """Give every input a static shape, in place; inner shapes that may now be wrong are removed.

    Args:
        model: Changed: graph inputs, and outputs whose open dimension has the same name as a frozen one.
        inputs: What the user says about some inputs, by name.
        where: File name, for messages.

    Returns:
        The inputs (`batch_axis` 0 where the batch was open), and a note for each frozen dimension but the batch.

    Raises:
        ModelLoadError: An input is no tensor, a name is unknown, sizes contradict, or one stays open.
    """
    values = list(model.graph.input)
    if not values:
        raise ModelLoadError(f"{where} takes no input, so there is nothing to compress")
    given = {spec.name: spec for spec in inputs}
    unknown = [name for name in given if name not in {value.name for value in values}]
    if unknown:
        known = ", ".join(value.name for value in values)
        raise ModelLoadError(f"{where} has no input {', '.join(unknown)}; it takes {known}")
    for value in values:
        _check_given(value, given.get(value.name), where)
    named = _by_dimension_name(values, given, where)
    open_axes = [axis for value in values for axis in _open_axes(value, given.get(value.name), named)]
    if open_axes:
        example = ":".join((values[0].name, "x".join(_sizes(values[0])))).replace("?", "N")
        raise ModelLoadError(
            f"{where} has {len(open_axes)} open dimension(s): {', '.join(open_axes)}",
            hint=f"give every size: --input NAME:SIZES, for example --input {example} with numbers",
        )
    specs, findings = [], []
    for value in values:
        spec, notes = _freeze(value, given.get(value.name), named)
        specs.append(spec)
        findings += notes
    if named or any(spec.batch_axis is not None for spec in specs):
        _forget_inner_shapes(model, named)
    return tuple(specs), tuple(findings)


def _check_given(value: onnx.ValueInfoProto, spec: TensorSpec | None, where: str) -> None:
    """The input's own type, and whether what the user says agrees with what the file fixes."""
    tensor = value.type.tensor_type
    if not value.type.HasField("tensor_type") or tensor.elem_type not in _DTYPES:
        kind = value.type.WhichOneof("value")
        found = onnx.TensorProto.DataType.Name(tensor.elem_type) if kind == "tensor_type" else kind
        raise ModelLoadError(
            f"input '{value.name}' of {where} is of type {found}; known are {', '.join(_DTYPES.values())}",
            hint="export the model in float32",
        )
    if not tensor.HasField("shape") and spec is None:
        raise ModelLoadError(
            f"input '{value.name}' of {where} has no shape, not even a number of axes",
            hint=f"say it with --input {value.name}:1x3x224x224",
        )
    if spec is None or not tensor.HasField("shape"):
        return
    said = _sizes(value)
    fixed = zip(said, spec.shape, strict=False)
    if len(said) != len(spec.shape) or any(own.isdigit() and int(own) != size for own, size in fixed):
        raise ModelLoadError(f"--input {spec} does not fit {where}, which takes {value.name}:{'x'.join(said)}")
    if spec.dtype not in ("float32", _DTYPES[tensor.elem_type]):  # float32 is what one gets without saying it
        raise ModelLoadError(f"--input {spec} is {spec.dtype}; {where} takes {_DTYPES[tensor.elem_type]}")


def _sizes(value: onnx.ValueInfoProto) -> list[str]:
    """Each size as text: a number, the dimension's name, or "?"."""
    found = []
    for dim in value.type.tensor_type.shape.dim:
        is_fixed = dim.HasField("dim_value") and dim.dim_value > 0
        found.append(str(dim.dim_value) if is_fixed else dim.dim_param or "?")
    return found


def _by_dimension_name(
    values: Sequence[onnx.ValueInfoProto], given: Mapping[str, TensorSpec], where: str
) -> dict[str, int]:
    """Dimension name -> size: as the user says for any input that has it, else 1 for a batch."""
    said: dict[str, int] = {}
    batch: dict[str, int] = {}
    for value in values:
        spec = given.get(value.name)
        for axis, size in enumerate(_sizes(value)):
            if size.isdigit() or size == "?":
                continue
            if spec is not None and said.setdefault(size, spec.shape[axis]) != spec.shape[axis]:
                raise ModelLoadError(
                    f"dimension '{size}' of {where} is {said[size]} in one --input and {spec.shape[axis]} in another"
                )
            if axis == 0:
                batch[size] = 1
    return {**batch, **said}


def _open_axes(value: onnx.ValueInfoProto, spec: TensorSpec | None, named: Mapping[str, int]) -> list[str]:
    if spec is not None:
        return []
    sizes = enumerate(_sizes(value))
    stay = [axis_size for axis_size in sizes if not axis_size[1].isdigit() and axis_size[1] not in named]
    return [f"axis {axis} of '{value.name}' ('{size}')" for axis, size in stay if axis > 0]


def _freeze(
    value: onnx.ValueInfoProto, spec: TensorSpec | None, named: Mapping[str, int]
) -> tuple[TensorSpec, list[Finding]]:
    sizes = _sizes(value)
    shape, notes = [], []
    for axis, size in enumerate(sizes if sizes or spec is None else ["?"] * len(spec.shape)):
        frozen = spec.shape[axis] if spec is not None else int(size) if size.isdigit() else named.get(size, 1)
        shape.append(frozen)
        if not size.isdigit() and (axis > 0 or frozen != 1):
            message = f"axis {axis} of '{value.name}' ('{size}') is open in the file; every written file has {frozen}"
            notes.append(Finding("dimension-frozen", message, Severity.NOTE, value.name))
    is_batch_open = bool(sizes) and not sizes[0].isdigit()
    tensor = value.type.tensor_type
    del tensor.shape.dim[:]
    for frozen in shape:
        tensor.shape.dim.add().dim_value = frozen
    if not shape:
        tensor.shape.SetInParent()
    return TensorSpec(value.name, tuple(shape), _DTYPES[tensor.elem_type], 0 if is_batch_open else None), notes


def _forget_inner_shapes(model: onnx.ModelProto, named: Mapping[str, int]) -> None:
    """Drop recorded inner shapes, and put frozen sizes into the outputs' shapes."""
    del model.graph.value_info[:]
    for output in model.graph.output:
        for dim in output.type.tensor_type.shape.dim:
            if dim.dim_param in named:
                dim.dim_value = named[dim.dim_param]
