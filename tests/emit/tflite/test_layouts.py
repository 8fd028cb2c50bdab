"""Layouts: what is stored where never changes what a file says, and no byte is moved without need."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from edgekit.emit.tflite.export import write
from edgekit.emit.tflite.layout import channels_last, merge_transpose, plan_reshape, stored_shape, through_transpose
from edgekit.emit.tflite.support import unsupported
from edgekit.runtime.litert import open_tflite
from edgekit.runtime.reference import ReferenceSession
from tests.emit.tflite.random_graphs import draw
from tests.emit.tflite.sketch import Sketch, operators, read


def _file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.getbasetemp() / "layout.tflite"


@given(seed=st.integers(0, 2**32), steps=st.integers(1, 8))
def test_a_float_file_of_any_graph_says_what_the_graph_says(tmp_path_factory, seed, steps) -> None:
    sketch, name = draw(seed, steps)
    quantized = sketch.float(name)
    assume(not unsupported(quantized.graph))
    path = _file(tmp_path_factory)
    write(quantized, path)
    result, expected = open_tflite(path).run(sketch.feeds())[name], sketch.arrays[name]
    assert result.shape == expected.shape
    np.testing.assert_allclose(result, expected, rtol=1e-3, atol=1e-4 * max(float(np.abs(expected).max()), 1e-3))


@given(seed=st.integers(0, 2**32), steps=st.integers(1, 8), delegate=st.booleans())
def test_moved_integers_are_the_same_integers(tmp_path_factory, seed, steps, delegate) -> None:
    sketch, name = draw(seed, steps, moves_only=True)
    quantized = sketch.int8(name)
    assume(not unsupported(quantized.graph))
    path = _file(tmp_path_factory)
    write(quantized, path, io="int8")
    feeds = {key: quantized.qparams[key].quantize(array) for key, array in sketch.feeds().items()}
    expected = ReferenceSession(quantized, io="int8").run(feeds)[name]
    np.testing.assert_array_equal(open_tflite(path, delegate=delegate).run(feeds)[name], expected)


@given(seed=st.integers(0, 2**32), steps=st.integers(2, 6))
def test_inner_values_are_given_in_the_models_axis_order(tmp_path_factory, seed, steps) -> None:
    sketch, name = draw(seed, steps)
    quantized = sketch.float(name)
    assume(not unsupported(quantized.graph))
    path = _file(tmp_path_factory)
    write(quantized, path)
    session = open_tflite(path, taps=list(quantized.graph.values))
    results = session.run(sketch.feeds())
    assert {spec.name for spec in session.taps} < set(results)
    for tap, result in results.items():
        scale = max(float(np.abs(sketch.arrays[tap]).max()), 1e-3)
        np.testing.assert_allclose(result, sketch.arrays[tap], rtol=1e-3, atol=1e-4 * scale, err_msg=tap)


def test_a_conv_net_has_no_transpose(tmp_path: Path) -> None:
    sketch = Sketch()
    stem = sketch.conv(sketch.input(1, 3, 16, 16), 8, kernel=(3, 3), pads=(1, 1, 1, 1), clamp=(0.0, np.inf))
    side = sketch.conv(stem, 8, kernel=(3, 3), pads=(1, 1, 1, 1), group=8)
    joined = sketch.node("Concat", sketch.node("Add", stem, side), stem, axis=1)
    gate = sketch.node("Sigmoid", sketch.conv(sketch.node("GlobalAveragePool", joined), 16))
    gated = sketch.node("Mul", joined, gate)
    flat = sketch.node("Reshape", sketch.node("GlobalAveragePool", gated), shape=(1, 16))
    path = tmp_path / "net.tflite"
    write(sketch.int8(sketch.gemm(flat, 5)), path)
    found = operators(path)
    assert found["TRANSPOSE"] == 0
    assert found["RESHAPE"] <= 1  # the result back to rank 2
    assert found["QUANTIZE"] == 2  # the border, and the sum at the scale of the Concat
    assert found["DEQUANTIZE"] == 1


def test_a_channel_shuffle_is_one_transpose(tmp_path: Path) -> None:
    sketch = Sketch()
    grouped = sketch.conv(sketch.input(1, 4, 6, 5), 12, group=2)
    split = sketch.node("Reshape", grouped, shape=(1, 3, 4, 6, 5))
    mixed = sketch.node("Reshape", sketch.node("Transpose", split, perm=(0, 2, 1, 3, 4)), shape=(1, 12, 6, 5))
    result = sketch.conv(mixed, 4)
    path = tmp_path / "shuffle.tflite"
    write(sketch.float(result), path)
    assert operators(path)["TRANSPOSE"] == 1
    np.testing.assert_allclose(open_tflite(path).run(sketch.feeds())[result], sketch.arrays[result], atol=1e-5)


@pytest.mark.parametrize("gemm_only", [True, False])
def test_a_flattened_map_is_right(tmp_path: Path, gemm_only: bool) -> None:
    """For Gemm alone the weight is permuted; for any other reader the map goes back to the model's order."""
    sketch = Sketch()
    flat = sketch.node("Reshape", sketch.conv(sketch.input(1, 3, 4, 5), 6), shape=(1, 120))
    results = [sketch.gemm(flat, 7)]
    if not gemm_only:
        results.append(sketch.node("Sigmoid", flat))
    path = tmp_path / "flat.tflite"
    for quantized, tolerance in ((sketch.float(*results), 1e-5), (sketch.int8(*results), None)):
        write(quantized, path)
        assert operators(path)["TRANSPOSE"] == (0 if gemm_only else 1)
        expected = ReferenceSession(quantized).run(sketch.feeds())
        for name, result in open_tflite(path).run(sketch.feeds()).items():
            step = tolerance or 1.001 * float(quantized.qparams[name].scale)
            np.testing.assert_allclose(result, expected[name], atol=step)


def test_a_channels_last_model_stays_as_it_is(tmp_path: Path) -> None:
    """A model that takes (N,H,W,C) and transposes first gives a file without TRANSPOSE or permutation."""
    sketch = Sketch()
    map_ = sketch.node("Transpose", sketch.input(1, 6, 5, 3), perm=(0, 3, 1, 2))
    result = sketch.node("Transpose", sketch.conv(map_, 4), perm=(0, 2, 3, 1))
    border = write(sketch.float(result), tmp_path / "nhwc.tflite")
    assert operators(tmp_path / "nhwc.tflite") == {"CONV_2D": 1}
    assert border.inputs[0].permutation is border.outputs[0].permutation is None


def test_an_input_is_stored_as_its_reader_behind_a_transpose_wants_it(tmp_path: Path) -> None:
    sketch = Sketch()
    result = sketch.conv(sketch.node("Transpose", sketch.input(1, 6, 3, 5), perm=(0, 2, 1, 3)), 4)
    border = write(sketch.float(result), tmp_path / "rows.tflite")
    assert operators(tmp_path / "rows.tflite") == {"CONV_2D": 1}
    assert border.inputs[0].permutation == (0, 1, 3, 2)
    output = open_tflite(tmp_path / "rows.tflite").run(sketch.feeds())[result]
    np.testing.assert_allclose(output, sketch.arrays[result], atol=1e-5)


def test_convolutions_in_a_row_over_one_axis_stay_in_rank_4(tmp_path: Path) -> None:
    sketch = Sketch()
    first = sketch.conv(sketch.input(1, 4, 20), 6, kernel=(3,), pads=(1, 1))
    second = sketch.conv(first, 6, kernel=(5,), strides=(2,), pads=(2, 2))
    result = sketch.gemm(sketch.node("Reshape", sketch.node("GlobalAveragePool", second), shape=(1, 6)), 3)
    border = write(sketch.float(result), tmp_path / "sound.tflite")
    found = operators(tmp_path / "sound.tflite")
    assert found["TRANSPOSE"] == 0
    assert found["RESHAPE"] == 3  # into rank 4, out of it for the mean, out of rank 3
    assert border.inputs[0].permutation == (0, 2, 1)
    np.testing.assert_allclose(
        open_tflite(tmp_path / "sound.tflite").run(sketch.feeds())[result], sketch.arrays[result], atol=1e-5
    )


def test_a_matrix_stored_transposed_is_read_transposed(tmp_path: Path) -> None:
    sketch = Sketch()
    first, second = sketch.input(1, 5, 4), sketch.input(1, 6, 4)
    result = sketch.node("MatMul", first, sketch.node("Transpose", second, perm=(0, 2, 1)))
    write(sketch.float(result), tmp_path / "scores.tflite")
    assert operators(tmp_path / "scores.tflite") == {"BATCH_MATMUL": 1}


shapes = st.lists(st.integers(1, 4), min_size=1, max_size=5).map(tuple)


@given(shape=shapes, data=st.data())
def test_a_planned_reshape_of_stored_bytes_is_the_reshape(shape, data) -> None:
    target = tuple(data.draw(st.permutations(shape)))
    permutation = tuple(data.draw(st.permutations(range(len(shape)))))
    value = np.arange(np.prod(shape)).reshape(shape)
    plan = plan_reshape(shape, target, permutation)
    stored = value.transpose(plan.source).reshape(stored_shape(target, plan.result))
    np.testing.assert_array_equal(stored, value.reshape(target).transpose(plan.result))
    if plan.features is not None:
        as_is = value.transpose(permutation).reshape(stored_shape(target, plan.result))
        put_back = np.empty_like(as_is)
        put_back[..., plan.features] = as_is
        np.testing.assert_array_equal(put_back, value.reshape(target).transpose(plan.result))


@given(shape=shapes, data=st.data())
def test_a_merged_transpose_moves_the_same_numbers(shape, data) -> None:
    axes = tuple(data.draw(st.permutations(range(len(shape)))))
    value = np.arange(np.prod(shape)).reshape(shape)
    sizes, merged = merge_transpose(shape, axes)
    expected = value.transpose(axes)
    np.testing.assert_array_equal(value.reshape(sizes).transpose(merged).reshape(expected.shape), expected)


def test_permutations_compose() -> None:
    value = np.arange(24).reshape(1, 2, 3, 4)
    stored = value.transpose(channels_last(4))
    permutation = through_transpose(channels_last(4), (0, 3, 1, 2))
    np.testing.assert_array_equal(value.transpose(0, 3, 1, 2).transpose(permutation), stored)


def test_an_output_that_is_an_input_or_another_output_has_a_tensor_of_its_own(tmp_path: Path) -> None:
    sketch = Sketch()
    name = sketch.input(1, 3, 4, 5)
    moved = sketch.node("Transpose", name, perm=(0, 2, 3, 1))
    clipped = sketch.node("Clip", name, low=-1.0, high=1.0)
    same = sketch.node("Reshape", clipped, shape=(1, 3, 4, 5))
    quantized = sketch.float(name, moved, clipped, same)
    write(quantized, tmp_path / "same.tflite")
    results = open_tflite(tmp_path / "same.tflite").run(sketch.feeds())
    border = read(tmp_path / "same.tflite").subgraphs[0]
    assert len({*border.inputs, *border.outputs}) == 5
    for output in quantized.graph.outputs:
        np.testing.assert_array_equal(results[output], sketch.arrays[output])
