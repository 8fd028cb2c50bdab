"""How each operator is said: which kernels, and the attribute sets that kernels do not know by themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgekit.emit.tflite import export
from edgekit.emit.tflite.resizing import nearest_rows
from edgekit.emit.tflite.rows import ROWS
from edgekit.runtime.litert import open_tflite
from edgekit.runtime.reference import ReferenceSession
from edgekit.testing.exporter_check import LSB_BOUNDS, check_case
from edgekit.testing.single_op import catalogue
from edgekit.types.graph import Graph, Node, QuantizedGraph, Value
from edgekit.types.operators import OPERATORS
from edgekit.types.qparams import QParams
from tests.emit.tflite.sketch import Sketch, operators, read

INF = float("inf")
WINDOW = {"strides": (2, 2), "pads": (1, 1, 1, 1)}


@pytest.mark.parametrize("delegate", [True, False])
@pytest.mark.parametrize("case", catalogue(), ids=repr)
def test_every_case_of_the_catalogue_equals_the_reference(case, delegate) -> None:
    check_case(
        case,
        export.write,
        lambda path: open_tflite(path, delegate=delegate),
        suffix=".tflite",
        limit=LSB_BOUNDS[case.op],
    )


def test_the_table_is_the_dialect() -> None:
    assert set(ROWS) == set(OPERATORS)


def _steps(quantized: QuantizedGraph, sketch: Sketch, path: Path) -> int:
    """Largest difference from the reference of any output, in steps, with XNNPACK and without."""
    export.write(quantized, path)
    expected = ReferenceSession(quantized).run(sketch.feeds())
    apart = 0.0
    for delegate in (True, False):
        for name, result in open_tflite(path, delegate=delegate).run(sketch.feeds()).items():
            assert result.shape == expected[name].shape
            apart = max(apart, float(np.abs(result - expected[name]).max() / quantized.qparams[name].scale))
    return round(apart)


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "pads", "explicit"),
    [
        (8, 3, 1, (1, 1), False),
        (8, 3, 2, (1, 1), True),  # SAME would put its only zero at the end
        (9, 3, 2, (1, 1), False),
        (8, 3, 2, (0, 1), False),
        (8, 4, 1, (1, 2), False),
        (8, 4, 1, (2, 1), True),
        (8, 3, 1, (0, 0), False),
        (8, 3, 3, (1, 1), True),
        (8, 2, 3, (0, 1), False),  # no window reaches the zero at the end
    ],
)
def test_pad_is_written_only_where_same_and_valid_do_not_fit(tmp_path, size, kernel, stride, pads, explicit) -> None:
    sketch = Sketch()
    name = sketch.input(1, 2, size, size)
    both = (pads[0], pads[0], pads[1], pads[1])
    result = sketch.conv(name, 3, kernel=(kernel, kernel), strides=(stride, stride), pads=both)
    assert _steps(sketch.int8(result), sketch, tmp_path / "conv.tflite") <= 1
    assert ("PAD" in operators(tmp_path / "conv.tflite")) is explicit


@pytest.mark.parametrize(("group", "code"), [(1, "CONV_2D"), (2, "CONV_2D"), (4, "DEPTHWISE_CONV_2D")])
def test_groups_are_one_kernel(tmp_path, group, code) -> None:
    sketch = Sketch()
    result = sketch.conv(sketch.input(1, 4, 6, 6), 8, kernel=(3, 3), group=group)
    assert _steps(sketch.int8(result), sketch, tmp_path / "conv.tflite") <= 1
    assert operators(tmp_path / "conv.tflite")[code] == 1


@pytest.mark.parametrize("io", ["float", "int8"])
@pytest.mark.parametrize(("clamp", "extra"), [((0.0, INF), 0), ((0.0, 6.0), 0), ((-1.0, 1.0), 0), ((-0.5, 2.0), 2)])
def test_a_clamp_is_fused_where_kernels_have_it(tmp_path, io, clamp, extra) -> None:
    """The output's range is wider than the clamp here, so saturation does not do it."""
    sketch = Sketch()
    result = sketch.conv(sketch.input(1, 3, 6, 6), 5, kernel=(3, 3), clamp=clamp)
    quantized = sketch.int8(result)
    wide = QuantizedGraph(
        quantized.graph,
        {**quantized.qparams, result: QParams(np.array(0.1), np.array(3))},
        quantized.integers,
        quantized.islands,
    )
    assert _steps(wide, sketch, tmp_path / "conv.tflite") <= 1
    found = operators(tmp_path / "conv.tflite")
    assert found["MAXIMUM"] + found["MINIMUM"] == extra
    export.write(sketch.float(result), tmp_path / "float.tflite", io=io)
    output = open_tflite(tmp_path / "float.tflite").run(sketch.feeds())[result]
    np.testing.assert_allclose(output, sketch.arrays[result], atol=1e-5)


@pytest.mark.parametrize(
    ("size", "attributes"),
    [
        (6, {"kernel_shape": (3, 3), "count_include_pad": 0, **WINDOW}),  # SAME at stride 1, every second result
        (6, {"kernel_shape": (3, 3), "count_include_pad": 1, **WINDOW}),
        (7, {"kernel_shape": (3, 3), "count_include_pad": 1, **WINDOW}),  # SAME by shape, but its pads do not count
        (7, {"kernel_shape": (3, 3), "count_include_pad": 0, **WINDOW}),
        (6, {"kernel_shape": (2, 2), "count_include_pad": 0, **WINDOW}),  # in float
        (6, {"kernel_shape": (4, 3), "count_include_pad": 0, "strides": (1, 2), "pads": (0, 1, 2, 0)}),
    ],
)
def test_average_pools_divide_by_the_right_count(tmp_path, size, attributes) -> None:
    sketch = Sketch(3)
    result = sketch.node("AveragePool", sketch.conv(sketch.input(1, 2, size, size), 3), **attributes)
    quantized = sketch.int8(result)
    assert _steps(quantized, sketch, tmp_path / "pool.tflite") <= 1
    assert operators(tmp_path / "pool.tflite")["AVERAGE_POOL_2D"] == 1


@pytest.mark.parametrize("group", [1, 2, 4])
@pytest.mark.parametrize(
    ("kernel", "strides", "pads", "dilation", "extra"),
    [
        (4, (2, 2), (1, 1, 1, 1), 1, (0, 0)),
        (3, (2, 2), (1, 1, 1, 1), 1, (1, 1)),
        (3, (1, 2), (0, 1, 2, 0), 2, (0, 1)),
        (2, (3, 3), (0, 0, 0, 0), 1, (2, 2)),
        (1, (2, 2), (0, 0, 0, 0), 1, (1, 0)),
    ],
)
def test_transposed_convolutions_of_every_geometry(tmp_path, group, kernel, strides, pads, dilation, extra) -> None:
    sketch = Sketch()
    result = sketch.node(
        "ConvTranspose",
        sketch.input(1, 4, 4, 5),
        sketch.weight(4, 8 // group, kernel, kernel),
        sketch.weight(8),
        strides=strides,
        pads=pads,
        dilations=(dilation, dilation),
        group=group,
        output_padding=extra,
    )
    assert _steps(sketch.int8(result), sketch, tmp_path / "up.tflite") <= 1


def test_many_groups_of_a_large_transposed_convolution_run_one_by_one(tmp_path: Path) -> None:
    sketch = Sketch()
    attributes = {"strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1), "group": 2, "output_padding": (0, 0)}
    weight, bias = sketch.weight(128, 64, 4, 4), sketch.weight(128)
    result = sketch.node("ConvTranspose", sketch.input(1, 128, 3, 3), weight, bias, **attributes)
    assert _steps(sketch.int8(result), sketch, tmp_path / "up.tflite") <= 1
    assert operators(tmp_path / "up.tflite")["TRANSPOSE_CONV"] == 2


@pytest.mark.parametrize("coordinates", ["half_pixel", "align_corners", "asymmetric"])
@pytest.mark.parametrize("rounding", ["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"])
@pytest.mark.parametrize("sizes", [(8, 10), (3, 13), (4, 5), (1, 2)])
def test_every_nearest_mode_is_exact(tmp_path, coordinates, rounding, sizes) -> None:
    sketch = Sketch()
    attributes = {"mode": "nearest", "coordinates": coordinates, "nearest_mode": rounding, "sizes": sizes}
    source = sketch.input(1, 2, 4, 5)
    picked = [
        nearest_rows(n, m, coordinates=coordinates, rounding=rounding) for n, m in zip((4, 5), sizes, strict=True)
    ]
    result = "y"
    sketch.nodes.append(Node("resize", "Resize", (source,), (result,), attributes))
    sketch.arrays[result] = sketch.arrays[source][:, :, picked[0]][:, :, :, picked[1]]
    export.write(sketch.float(result), tmp_path / "resize.tflite")
    output = open_tflite(tmp_path / "resize.tflite").run(sketch.feeds())[result]
    np.testing.assert_array_equal(output, sketch.arrays[result])


def test_plain_upsampling_is_one_operator(tmp_path: Path) -> None:
    sketch = Sketch()
    attributes = {"mode": "nearest", "coordinates": "asymmetric", "nearest_mode": "floor", "sizes": (8, 10)}
    write = sketch.float(sketch.node("Resize", sketch.conv(sketch.input(1, 2, 4, 5), 2), **attributes))
    export.write(write, tmp_path / "resize.tflite")
    assert operators(tmp_path / "resize.tflite") == {"CONV_2D": 1, "RESIZE_NEAREST_NEIGHBOR": 1}


def test_islands_dequantize_once_and_keep_int8_weights(tmp_path: Path) -> None:
    sketch = Sketch()
    stem = sketch.conv(sketch.input(1, 3, 6, 6), 4)
    first = sketch.conv(stem, 4, clamp=(0.0, INF))
    second = sketch.node("Exp", stem)
    result = sketch.conv(sketch.node("Add", first, second), 3)
    quantized = sketch.int8(result)
    island = next(node for node in quantized.graph.nodes if first in node.outputs)
    quantized = QuantizedGraph(
        quantized.graph, quantized.qparams, quantized.integers, {**quantized.islands, island.name: "asked for"}
    )
    assert _steps(quantized, sketch, tmp_path / "island.tflite") <= 1
    # stem for both float readers, the int8 weight of the island, and the output
    assert operators(tmp_path / "island.tflite")["DEQUANTIZE"] == 3


def test_a_softmax_over_channels_needs_no_transpose(tmp_path: Path) -> None:
    sketch = Sketch()
    result = sketch.node("Softmax", sketch.conv(sketch.input(1, 3, 6, 6), 5), axis=1)
    assert _steps(sketch.int8(result), sketch, tmp_path / "softmax.tflite") <= 1
    assert operators(tmp_path / "softmax.tflite")["TRANSPOSE"] == 0


@pytest.mark.parametrize(
    ("op", "scales"), [("Add", (1.0, 1.0, 1e-3)), ("Mul", (1.0, 1.0, 1e-3)), ("Sub", (2, 2, 1e-4))]
)
def test_scales_that_kernels_cannot_take_are_right_all_the_same(tmp_path, op, scales) -> None:
    """The builtin int8 ADD is off by the whole range there."""
    names = ("a", "b", "y")
    values = {name: Value(name, (1, 2, 3, 4)) for name in names}
    graph = Graph("wild", names[:2], names[2:], (Node("n", op, names[:2], names[2:]),), values, {})
    qparams = {name: QParams(np.array(scale), np.array(3)) for name, scale in zip(names, scales, strict=True)}
    rng = np.random.default_rng(0)
    feeds = {name: rng.integers(-128, 128, (1, 2, 3, 4)).astype(np.int8) for name in names[:2]}
    quantized = QuantizedGraph(graph, qparams, {})
    export.write(quantized, tmp_path / "wild.tflite", io="int8")
    expected = ReferenceSession(quantized, io="int8").run(feeds)["y"].astype(int)
    for delegate in (True, False):
        result = open_tflite(tmp_path / "wild.tflite", delegate=delegate).run(feeds)["y"]
        assert np.abs(result - expected).max() <= 1


def test_a_convolution_whose_output_is_dead_still_loads(tmp_path: Path) -> None:
    """XNNPACK refuses the whole file when s_in * s_w / s_out reaches 256."""
    sketch = Sketch()
    result = sketch.conv(sketch.input(1, 3, 4, 4), 4)
    quantized = sketch.int8(result)
    dead = {**quantized.qparams, result: QParams(np.array(1e-8), np.array(-128))}
    quantized = QuantizedGraph(quantized.graph, dead, quantized.integers)
    export.write(quantized, tmp_path / "dead.tflite")
    output = open_tflite(tmp_path / "dead.tflite").run(sketch.feeds())[result]
    np.testing.assert_allclose(output, ReferenceSession(quantized).run(sketch.feeds())[result])


def test_parts_of_a_concat_are_brought_to_its_scale(tmp_path: Path) -> None:
    """The kernel copies integers whatever scale their tensors have."""
    names = ("a", "b", "y")
    values = {name: Value(name, (1, 2 + 2 * (name == "y"))) for name in names}
    graph = Graph("parts", names[:2], names[2:], (Node("n", "Concat", names[:2], names[2:], {"axis": 1}),), values, {})
    scales = {"a": 0.1, "b": 0.2, "y": 0.4}
    quantized = QuantizedGraph(graph, {name: QParams(np.array(s), np.array(1)) for name, s in scales.items()}, {})
    export.write(quantized, tmp_path / "parts.tflite")
    feeds = {"a": np.array([[0.8, -1.2]], np.float32), "b": np.array([[4.0, 8.0]], np.float32)}
    result = open_tflite(tmp_path / "parts.tflite").run(feeds)["y"]
    np.testing.assert_allclose(result, [[0.8, -1.2, 4.0, 8.0]], rtol=1e-6)


def test_a_shared_slope_spans_the_channels(tmp_path: Path) -> None:
    """XNNPACK of tflite-runtime 2.14 reads one slope per channel past the end of a single one."""
    sketch = Sketch()
    slope = sketch.constant(np.array([[[0.25]]], np.float32))
    result = sketch.node("PRelu", sketch.conv(sketch.input(1, 3, 4, 4), 5), slope)
    export.write(sketch.float(result), tmp_path / "prelu.tflite")
    tensors = read(tmp_path / "prelu.tflite").subgraphs[0].tensors
    assert [list(tensor.shape) for tensor in tensors if tensor.name.decode() == slope] == [[5]]
    assert operators(tmp_path / "prelu.tflite")["PRELU"] == 1


def test_index_arithmetic_stays_integer(tmp_path: Path) -> None:
    sketch = Sketch()
    table = sketch.weight(11, 6)
    ids = sketch.indices(np.array([[3, 10, 0, 7]]))
    rows = sketch.node("Gather", table, ids, axis=0)
    result = sketch.node("ArgMax", rows, axis=2, keepdims=0)
    quantized = sketch.int8(rows, result)
    border = export.write(quantized, tmp_path / "ids.tflite", io="int8")
    assert [spec.dtype for spec in (*border.inputs, *border.outputs)] == ["int64", "int8", "int64"]
    results = open_tflite(tmp_path / "ids.tflite").run(sketch.feeds())
    np.testing.assert_array_equal(results[result], ReferenceSession(quantized).run(sketch.feeds())[result])


def test_negative_constant_indices_count_from_the_end(tmp_path: Path) -> None:
    sketch = Sketch()
    result = sketch.node("Gather", sketch.input(1, 5, 3), sketch.constant(np.array([-1, 0, -5])), axis=1)
    export.write(sketch.float(result), tmp_path / "last.tflite")
    output = open_tflite(tmp_path / "last.tflite").run(sketch.feeds())[result]
    np.testing.assert_array_equal(output, sketch.arrays[result])
