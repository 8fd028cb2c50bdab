"""Taking quantized files apart: what is read, what is put back, and what is refused by name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edgekit.errors import ModelLoadError
from edgekit.load.checkpoint import open_model
from edgekit.load.quantized_onnx import take_apart
from edgekit.runtime.ort import open_onnx
from edgekit.testing.qdq import pair, qdq_model
from edgekit.types.model import Model
from edgekit.types.qparams import Array

RNG = np.random.default_rng(7)
WEIGHT = RNG.integers(-127, 128, (4, 3, 3, 3)).astype(np.int8)
NODES = [
    *pair("x", "xd", "xs", "xz"),
    helper.make_node("DequantizeLinear", ["w", "ws", "wz"], ["wd"], axis=0),
    helper.make_node("Conv", ["xd", "wd"], ["c"]),
    *pair("c", "y", "ys", "yz"),
]
CONSTANTS: Mapping[str, Array] = {
    "xs": np.float32(0.02),
    "xz": np.uint8(128),
    "w": WEIGHT,
    "ws": np.float32([0.01, 0.02, 0.03, 0.04]),
    "wz": np.zeros(4, np.int8),
    "ys": np.float32(0.05),
    "yz": np.uint8(100),
}


def model(**changes: object) -> onnx.ModelProto:
    return qdq_model(NODES, {**CONSTANTS, **changes})  # type: ignore[dict-item]


def opened(made: onnx.ModelProto, folder: Path) -> Model:
    folder.mkdir(exist_ok=True)
    path = folder / "made.onnx"
    onnx.save(made, path)
    (folder / "work").mkdir()
    return open_model(path, workdir=folder / "work")


def test_a_file_becomes_a_float_file_and_numbers(tmp_path: Path) -> None:
    loaded = opened(model(), tmp_path)
    imported = loaded.imported
    assert imported is not None
    assert imported.source == "a tool"
    assert {node.op_type for node in onnx.load(loaded.path).graph.node} <= {"Conv", "Identity"}
    assert int(imported.activations["x"].zero_point) == 0  # 128 of uint8
    assert int(imported.activations["y"].zero_point) == -28
    assert imported.activations["y"].scale == np.float32(0.05)
    stored = imported.constants["wd"]
    np.testing.assert_array_equal(stored.integers, WEIGHT)
    assert stored.params.axis == 0
    assert [spec.name for spec in loaded.outputs] == ["y"]
    assert any(finding.code == "scales-imported" and "a tool" in finding.message for finding in loaded.findings)


def test_the_float_file_is_the_quantized_one_without_its_roundings(tmp_path: Path) -> None:
    loaded = opened(model(), tmp_path)
    x = RNG.uniform(-0.3, 0.3, (1, 3, 8, 8)).astype(np.float32)
    exact = open_onnx(loaded.path).run({"x": x})["y"]
    rounded = open_onnx(tmp_path / "made.onnx", optimize=False).run({"x": x})["y"]
    assert np.abs(exact - rounded).max() < 0.8 < 2.0 < np.abs(exact).max()


def test_uint8_weights_and_fake_quantized_ones_are_the_same(tmp_path: Path) -> None:
    """Weights stored unsigned, and as floats behind Q, Clip and DQ, as exported PT2E programs have them."""
    unsigned = model(w=(WEIGHT.astype(np.int16) + 128).astype(np.uint8), wz=np.full(4, 128, np.uint8))
    fake = [
        helper.make_node("QuantizeLinear", ["w", "ws", "wz"], ["wq"], axis=0),
        helper.make_node("Clip", ["wq", "low", "high"], ["wc"]),
        helper.make_node("DequantizeLinear", ["wc", "ws", "wz"], ["wd"], axis=0),
    ]
    floats = WEIGHT * np.float32([0.01, 0.02, 0.03, 0.04]).reshape(4, 1, 1, 1)
    nodes = [*NODES[:2], *fake, *NODES[3:]]
    bounds = {"low": np.int8(-127), "high": np.int8(127)}
    behind = qdq_model(nodes, {**CONSTANTS, "w": floats.astype(np.float32), **bounds}, opset=21)
    for index, made in enumerate((unsigned, behind)):
        imported = opened(made, tmp_path / str(index)).imported
        assert imported is not None
        np.testing.assert_array_equal(imported.constants["wd"].integers, WEIGHT)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"xs": np.float32(0.0)}, r"scale of 'x' is 0; no integer kernel"),
        ({"ys": np.float32(-0.5)}, r"scale of 'c' is -0.5; no integer kernel"),
        ({"ys": np.float32("nan")}, r"scale of 'c' is nan"),
        ({"ws": np.float32([0.1, np.inf, 0.1, 0.1])}, r"scale of 'w' is inf \(channel 1\)"),
        ({"ws": np.float32([0.1, 0.1])}, r"'w' has 2 scales and 4 zero points"),
        ({"ws": np.float32([0.1] * 3), "wz": np.zeros(3, np.int8)}, r"'w' has 3 scales along axis 0, which has 4"),
        ({"xz": np.int16(0)}, r"'x' is quantized to int16"),
        ({"xs": np.float32([0.1] * 3), "xz": np.zeros(3, np.int8)}, r"activation 'x' has 3 scales, one per channel"),
        ({"xs": np.float16(0.1)}, r"scale of 'x' is float16"),
    ],
)
def test_scales_no_kernel_can_run_are_named(changes: dict[str, Array], said: str, tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match=said):
        opened(model(**changes), tmp_path)


def test_a_missing_scale_is_named(tmp_path: Path) -> None:
    made = model()
    del made.graph.initializer[[tensor.name for tensor in made.graph.initializer].index("ys")]
    with pytest.raises(ModelLoadError, match=r"the scale of 'c' \('ys'\) is not stored in the file"):
        opened(made, tmp_path)


def test_a_tensor_with_fewer_bytes_than_it_claims_is_named(tmp_path: Path) -> None:
    made = model()
    made.graph.initializer[2].dims[0] = 400
    with pytest.raises(ModelLoadError, match=r"tensor 'w' does not hold what its shape says"):
        opened(made, tmp_path)


def test_a_cycle_ends_in_an_error(tmp_path: Path) -> None:
    made = model()
    made.graph.node[0].input[0] = "y"
    with pytest.raises(ModelLoadError):
        opened(made, tmp_path)


def test_reading_back_with_another_scale_is_refused(tmp_path: Path) -> None:
    made = model()
    made.graph.node[1].input[1] = "ys"
    with pytest.raises(ModelLoadError, match=r"'x' is quantized with scale 0.02, .* and read back with 0.05"):
        opened(made, tmp_path)


def test_integer_operators_are_refused_by_name(tmp_path: Path) -> None:
    nodes = [helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]), *NODES[2:3]]
    nodes += [helper.make_node("DequantizeLinear", ["q", "s", "z"], ["xd"]), *NODES[3:]]
    with pytest.raises(ModelLoadError, match=r"computes on integers \(1 DynamicQuantizeLinear\)"):
        opened(qdq_model(nodes, CONSTANTS), tmp_path)


def test_computing_on_integers_is_refused(tmp_path: Path) -> None:
    nodes = [NODES[0], helper.make_node("Cast", ["xd.i"], ["y"], to=TensorProto.FLOAT)]
    with pytest.raises(ModelLoadError, match=r"Cast '' computes on the integers of 'xd.i'"):
        opened(qdq_model(nodes, {name: CONSTANTS[name] for name in ("xs", "xz")}), tmp_path)


def test_integers_may_be_moved() -> None:
    nodes = [
        NODES[0],
        helper.make_node("MaxPool", ["xd.i"], ["p"], kernel_shape=[2, 2]),
        helper.make_node("DequantizeLinear", ["p", "xs", "xz"], ["y"]),
    ]
    _, imported = take_apart(qdq_model(nodes, {n: CONSTANTS[n] for n in ("xs", "xz")}), where="a file")
    assert set(imported.activations) == {"x"}


def test_a_relu_that_saturation_stood_for_is_put_back() -> None:
    for high, op in ((6.0, "Clip"), (4.0, "Relu")):
        made = model(ys=np.float32(high / 255), yz=np.uint8(0))
        floats, imported = take_apart(made, where="a file")
        assert op in {node.op_type for node in floats.graph.node}
        assert "y" in imported.activations


def test_a_value_read_with_and_without_rounding_becomes_two() -> None:
    nodes = [*NODES, helper.make_node("Relu", ["c"], ["plain"])]
    made = qdq_model(nodes, CONSTANTS)
    made.graph.output.append(helper.make_tensor_value_info("plain", TensorProto.FLOAT, None))
    floats, imported = take_apart(made, where="a file")
    assert imported.requantized == {"y"}
    assert [node.op_type for node in floats.graph.node if "c" in node.input] == ["Max", "Relu"]


def test_integer_inputs_become_floats(tmp_path: Path) -> None:
    nodes = [helper.make_node("DequantizeLinear", ["x", "xs", "xz"], ["xd"]), *NODES[2:]]
    made = qdq_model(nodes, CONSTANTS)
    made.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8
    loaded = opened(made, tmp_path)
    assert loaded.inputs[0].dtype == "float32"
    assert loaded.imported is not None
    assert loaded.imported.activations["x"].scale == np.float32(0.02)
    assert any("takes float32 now" in finding.message for finding in loaded.findings)
