import numpy as np

from edgekit.simplify.editor import Editor
from edgekit.types.graph import Graph, Node, Value


def chain(*ops):
    """x -> op1 -> op2 ... -> y, all of shape (1, 2)."""
    names = ["x", *(f"v{index}" for index in range(1, len(ops))), "y"]
    nodes = tuple(Node(f"n{index}", op, (names[index],), (names[index + 1],)) for index, op in enumerate(ops))
    return Graph("net", ("x",), ("y",), nodes, {name: Value(name, (1, 2)) for name in names}, {})


def test_closing_an_untouched_editor_gives_the_same_graph():
    graph = chain("Exp", "Log")
    again = Editor(graph).graph()
    assert [node.name for node in again.nodes] == ["n0", "n1"]
    assert again.values == graph.values


def test_dead_nodes_values_and_constants_go():
    editor = Editor(chain("Exp", "Log"))
    editor.add("Add", ["x", editor.add_constant(np.float32([[1, 2]]), "c")], like=editor.nodes["n0"])
    graph = editor.graph()
    assert [node.op for node in graph.nodes] == ["Exp", "Log"]
    assert not graph.constants


def test_new_nodes_land_before_their_readers_and_inherit_the_module():
    editor = Editor(chain("Exp", "Log"))
    like = editor.replace(editor.nodes["n0"], attributes={"k": 1})
    added = editor.add("Abs", ["x"], like=like)
    editor.replace(editor.nodes["n1"], inputs=[added])
    assert [node.op for node in editor.graph().nodes] == ["Abs", "Log"]


def test_results_keep_their_public_names_when_redirected():
    editor = Editor(chain("Exp", "Log"))
    editor.substitute(editor.nodes["n1"], "v1")
    graph = editor.graph()
    assert graph.outputs == ("y",)
    assert graph.nodes[-1].outputs == ("y",)
    assert [node.op for node in graph.nodes] == ["Exp"]


def test_an_input_that_becomes_a_result_is_copied_by_a_reshape():
    editor = Editor(chain("Exp"))
    editor.substitute(editor.nodes["n0"], "x")
    (node,) = editor.graph().nodes
    assert (node.op, node.inputs, node.outputs, dict(node.attributes)) == ("Reshape", ("x",), ("y",), {"shape": (1, 2)})


def test_one_value_returned_twice_is_copied():
    graph = chain("Exp", "Log")
    both = Graph("net", ("x",), ("v1", "y"), graph.nodes, graph.values, {})
    editor = Editor(both)
    editor.substitute(editor.nodes["n1"], "v1")
    closed = editor.graph()
    assert closed.outputs == ("v1", "y")
    assert [(node.op, node.outputs) for node in closed.nodes] == [("Exp", ("v1",)), ("Reshape", ("y",))]


def test_an_inner_value_returned_under_two_new_names_is_named_once_and_copied_once():
    graph = chain("Exp", "Log", "Abs")
    editor = Editor(Graph("net", ("x",), ("v2", "y"), graph.nodes, graph.values, {}))
    editor.substitute(editor.nodes["n2"], "v1")
    editor.substitute(editor.nodes["n1"], "v1")
    closed = editor.graph()
    assert closed.outputs == ("v2", "y")
    assert [(node.op, node.inputs, node.outputs) for node in closed.nodes] == [
        ("Exp", ("x",), ("v2",)),
        ("Reshape", ("v2",), ("y",)),
    ]


def test_sole_user_counts_results_as_readers():
    graph = chain("Exp", "Log")
    editor = Editor(Graph("net", ("x",), ("v1", "y"), graph.nodes, graph.values, {}))
    assert editor.sole_user("v1") is None
    assert editor.sole_user("x").name == "n0"
    assert editor.sole_producer("x") is None


def test_long_chains_do_not_recurse():
    graph = Editor(chain(*["Exp"] * 5000)).graph()
    assert len(graph.nodes) == 5000
