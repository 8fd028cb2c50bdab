import onnx
import pytest
from onnx import helper

from edgekit.errors import ModelLoadError
from edgekit.simplify.static_shapes import KnownShapes, Skeleton, infer_shapes, measure_shapes

X = helper.make_tensor_value_info("x", 1, [1, 4])
OPSETS = [helper.make_opsetid("", 20)]


def skeleton(*nodes):
    return Skeleton(nodes, {}, [X], OPSETS)


def known():
    found = KnownShapes()
    found.learn([X])
    return found


@pytest.mark.parametrize("find", [infer_shapes, measure_shapes])
def test_gaps_are_filled(find):
    nodes = [helper.make_node("Flatten", ["x"], ["f"], axis=0), helper.make_node("Shape", ["f"], ["s"])]
    found = known()
    assert found.gaps(nodes) == ["f", "s"]
    find(skeleton(*nodes), found)
    assert found.shapes == {"x": (1, 4), "f": (1, 4), "s": (2,)}
    assert found.dtypes == {"x": "float32", "f": "float32", "s": "int64"}
    assert found.gaps(nodes) == []


def test_symbolic_shapes_are_not_known():
    found = KnownShapes()
    found.learn([helper.make_tensor_value_info("a", 1, ["N", 3]), onnx.ValueInfoProto(name="b")])
    assert found.shapes == {}
    assert found.dtypes == {"a": "float32"}


def test_a_model_that_cannot_run_says_so():
    with pytest.raises(ModelLoadError, match="ONNX Runtime cannot run it"):
        measure_shapes(skeleton(helper.make_node("NoSuchOperator", ["x"], ["y"])), known())
