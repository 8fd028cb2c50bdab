import numpy as np

RNG = np.random.default_rng(0)


def test_a_slice_of_one_operand_is_the_operand(check):
    body = (
        "e = Exp(x) \n s = Sin(x) \n j = Concat <axis=1> (e, s) \n r = Reshape(j, n) \n y = Gather <axis=1> (r, last)"
    )
    weights = {"n": np.int64([1, 2, 6]), "last": np.int64(-1)}
    assert check(f"(float[1,6] x) => (float y) {{ {body} }}", weights).ops == "Sin"


def test_a_slice_across_operands_stays(check):
    body = "e = Exp(x) \n s = Sin(x) \n j = Concat <axis=1> (e, s) \n y = Slice(j, a, b, one)"
    weights = {"a": np.int64([3]), "b": np.int64([9]), "one": np.int64([1])}
    assert check(f"(float[1,6] x) => (float y) {{ {body} }}", weights).ops == "Exp Sin Concat Slice"


def test_a_slice_inside_rows_stays(check):
    body = "e = Exp(x) \n s = Sin(x) \n j = Concat <axis=1> (e, s) \n r = Flatten(j) \n y = Slice(r, a, b, one)"
    weights = {"a": np.int64([2]), "b": np.int64([8]), "one": np.int64([1])}
    assert check(f"(float[1,2,3] x) => (float y) {{ {body} }}", weights).ops == "Exp Sin Concat Reshape Slice"


def packed(parts):
    """Query, key and value in one projection, reshaped and transposed before they are cut."""
    body = "g = MatMul(x, w) \n h = Add(g, b) \n r = Reshape(h, n) \n t = Transpose <perm=[2,0,3,1,4]> (r) \n" + parts
    weights = {
        "w": RNG.normal(size=(8, 24)).astype(np.float32),
        "b": RNG.normal(size=24).astype(np.float32),
        "n": np.int64([1, 5, 3, 2, 4]),
        **{f"i{index}": np.int64(index) for index in range(3)},
    }
    return f"(float[1,5,8] x) => (float y) {{ {body} }}", weights


def test_packed_projections_are_unpacked(check):
    cuts = "\n".join(f"p{index} = Gather <axis=0> (t, i{index})" for index in range(3))
    text, weights = packed(f"{cuts} \n k = Transpose <perm=[0,1,3,2]> (p1) \n s = MatMul(p0, k) \n y = MatMul(s, p2)")
    found = check(text, weights)
    assert found.ops.count("Gemm") == 3
    assert found.ops.count("Transpose") == 3
    assert "Slice" not in found.ops
    assert {node.op for node in found.graph.nodes} == {"Gemm", "Reshape", "Transpose", "MatMul"}


def test_a_projection_that_is_also_read_whole_stays(check):
    text, weights = packed("p = Gather <axis=0> (t, i0) \n q = ReduceSum <keepdims=0> (t, axis) \n y = Mul(p, q)")
    assert check(text, {**weights, "axis": np.int64([0])}).ops.count("Gemm") == 1


def test_gates_of_a_flat_product_stay_together(check):
    body = "g = MatMul(x, w) \n a, b = Split <axis=1, num_outputs=2> (g) \n y = Mul(a, b)"
    text = f"(float[1,8] x) => (float y) {{ {body} }}"
    assert check(text, {"w": RNG.normal(size=(8, 6)).astype(np.float32)}).ops == "Gemm Split Mul"
