import numpy as np
import pytest


@pytest.mark.parametrize(
    ("shape", "middle", "perm", "final", "expected"),
    [
        ("1,12,4,5", [1, 3, 2, 2, 4, 5], [0, 1, 4, 2, 5, 3], [1, 3, 8, 10], {"blocksize": 2, "mode": "CRD"}),
        ("1,12,4,5", [1, 2, 2, 3, 4, 5], [0, 3, 4, 1, 5, 2], [1, 3, 8, 10], {"blocksize": 2, "mode": "DCR"}),
        ("1,3,8,10", [1, 3, 4, 2, 5, 2], [0, 3, 5, 1, 2, 4], [1, 12, 4, 5], {"blocksize": 2}),
        ("1,1,8,10", [1, 1, 4, 2, 5, 2], [0, 1, 3, 5, 2, 4], [1, 4, 4, 5], {"blocksize": 2}),  # torch, one channel
    ],
)
def test_movement_that_shuffles_pixels(check, shape, middle, perm, final, expected):
    body = f"r = Reshape(x, m) \n t = Transpose <perm={perm}> (r) \n y = Reshape(t, f)"
    found = check(f"(float[{shape}] x) => (float y) {{ {body} }}", {"m": np.int64(middle), "f": np.int64(final)})
    assert found.ops == ("DepthToSpace" if "mode" in expected else "SpaceToDepth")
    assert found.graph.nodes[0].attributes == expected


def test_other_orders_stay(check):
    body = "r = Reshape(x, m) \n t = Transpose <perm=[0,1,3,5,2,4]> (r) \n y = Reshape(t, f)"
    weights = {"m": np.int64([1, 3, 4, 2, 5, 2]), "f": np.int64([1, 12, 4, 5])}
    assert check(f"(float[1,3,8,10] x) => (float y) {{ {body} }}", weights).ops == "Reshape Transpose Reshape"
