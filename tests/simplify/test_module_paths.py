import pytest
from onnx import helper

from edgekit.simplify.module_paths import EDGEKIT_KEY, NAMESPACE_KEY, SCOPES_KEY, module_path


@pytest.mark.parametrize(
    ("name", "metadata", "expected"),
    [
        ("node_conv2d", {SCOPES_KEY: "['', 'layer1', 'layer1.0', 'layer1.0.conv1', 'conv2d']"}, "layer1.0.conv1"),
        ("node_mul", {SCOPES_KEY: "['', 'mul']"}, ""),
        ("node_mul", {SCOPES_KEY: "not a list"}, ""),
        ("node_x", {NAMESPACE_KEY: ": pkg.Net/head: torch.nn.Linear/linear: aten.linear.default"}, "head"),
        ("/layer1/layer1.0/conv1/Conv", {}, "layer1.0.conv1"),
        ("/Relu_3", {}, ""),
        ("block_2/conv", {}, "block_2/conv"),
        ("anything", {EDGEKIT_KEY: "features.3"}, "features.3"),
    ],
)
def test_paths(name, metadata, expected):
    node = helper.make_node("Conv", ["x"], ["y"], name=name)
    for key, value in metadata.items():
        node.metadata_props.add(key=key, value=value)
    assert module_path(node) == expected
