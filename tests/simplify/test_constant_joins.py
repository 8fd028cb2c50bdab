import numpy as np

RNG = np.random.default_rng(0)
TOKEN = RNG.normal(size=(1, 1, 6)).astype(np.float32)


def test_a_class_token_and_positions_are_one_pad_and_one_add(check):
    body = "j = Concat <axis=1> (t, x) \n y = Add(j, p)"
    positions = RNG.normal(size=(1, 5, 6)).astype(np.float32)
    found = check(f"(float[1,4,6] x) => (float y) {{ {body} }}", {"t": TOKEN, "p": positions})
    assert found.ops == "Pad Add"
    assert found.graph.batch_axes["x"] == 0


def test_zeros_are_only_room(check):
    text = "(float[1,4,6] x) => (float y) { y = Concat <axis=1> (z, x, z) }"
    assert check(text, {"z": np.zeros((1, 2, 6), np.float32)}).ops == "Pad"


def test_constants_on_both_sides_of_several_values(check):
    text = "(float[1,4,6] x) => (float y) { e = Exp(x) \n y = Concat <axis=1> (t, x, e, t) }"
    assert check(text, {"t": TOKEN}).ops == "Exp Concat Pad Add"


def test_constants_between_values_stay(check):
    text = "(float[1,4,6] x) => (float y) { e = Exp(x) \n y = Concat <axis=1> (x, t, e) }"
    found = check(text, {"t": TOKEN})
    assert found.ops == "Exp Concat"
    assert [finding.code for finding in found.simplified.findings] == ["batch-fixed"]
