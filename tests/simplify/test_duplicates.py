import numpy as np


def test_equal_nodes_and_constants_are_one(check):
    body = "a = Mul(x, k) \n b = Mul(x, l) \n c = Exp(a) \n d = Exp(b) \n y = Add(c, d)"
    weights = {"k": np.float32([3, 4]), "l": np.float32([3, 4])}
    found = check(f"(float[1,2] x) => (float y) {{ {body} }}", weights)
    assert found.ops == "Mul Exp Add"
    assert len(found.graph.constants) == 1


def test_results_keep_their_own_names(check):
    found = check("(float[1,2] x) => (float y, float z) { y = Exp(x) \n z = Exp(x) }")
    assert found.ops == "Exp Exp"
    assert found.graph.outputs == ("y", "z")


def test_weights_belong_to_their_node(check):
    w = np.ones((3, 2), np.float32)
    body = "a = MatMul(x, w) \n b = MatMul(a, v) \n y = Relu(b)"
    found = check(f"(float[1,3] x) => (float y) {{ {body} }}", {"w": w, "v": w.T.copy()})
    assert len(found.graph.constants) == 4
