import numpy as np

from edgekit.simplify.module_paths import SCOPES_KEY


def test_names_come_from_modules_and_are_unique(check, parsed):
    body = "a = Conv(x, w) \n b = Conv(a, v) \n c, d = Split <axis=1, num_outputs=2> (b) \n y = Concat <axis=1> (d, c)"
    weights = {"w": np.ones((4, 3, 1, 1), np.float32), "v": np.ones((4, 4, 1, 1), np.float32)}
    model = parsed(f"(float[1,3,4,4] x) => (float y) {{ {body} }}", weights)
    for node in list(model.graph.node)[:2]:
        node.metadata_props.add(key=SCOPES_KEY, value="['', 'features', 'features.3', 'conv2d']")
    graph = check(model).graph
    assert [node.name for node in graph.nodes[:2]] == ["features.3/Conv", "features.3/Conv_2"]
    assert [node.module for node in graph.nodes[:2]] == ["features.3", "features.3"]
    assert graph.nodes[0].inputs == ("x", "features.3/Conv.weight", "features.3/Conv.bias")
    split = graph.nodes[2]
    assert split.outputs == (split.name, f"{split.name}:1")
    assert graph.outputs == ("y",)
    names = [node.name for node in graph.nodes]
    assert len(set(names)) == len(names)


def test_results_and_inputs_win_over_derived_names(check):
    found = check("(float[1,3] Exp) => (float Sin) { a = Exp(Exp) \n Sin = Sin(a) }")
    assert [node.name for node in found.graph.nodes] == ["Exp_2", "Sin_2"]
    assert found.graph.inputs == ("Exp",)
    assert found.graph.outputs == ("Sin",)
