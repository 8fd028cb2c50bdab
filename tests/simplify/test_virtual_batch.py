from edgekit.simplify.virtual_batch import PRIMES, with_virtual_batch
from edgekit.types.graph import Graph, Node, Value


def graph(*nodes, shapes, outputs):
    return Graph("net", ("x",), outputs, nodes, {name: Value(name, shape) for name, shape in shapes.items()}, {})


def test_passes_see_a_prime_batch_and_the_graph_comes_back_as_it_was():
    nodes = (
        Node("t", "Transpose", ("x",), ("a",), {"perm": (1, 0, 2)}),
        Node("r", "Reshape", ("a",), ("b",), {"shape": (5, 2, 4)}),
        Node("s", "Reshape", ("b",), ("y",), {"shape": (5, 1, 8)}),
    )
    shapes = {"x": (1, 5, 8), "a": (5, 1, 8), "b": (5, 2, 4), "y": (5, 1, 8)}
    original = graph(*nodes, shapes=shapes, outputs=("y",))
    seen = []

    def look(inner):
        seen.append({name: value.shape for name, value in inner.values.items()})
        return inner

    result = with_virtual_batch(original, [look])
    prime = PRIMES[0]
    assert seen == [{"x": (prime, 5, 8), "a": (5, prime, 8), "b": (5, 2 * prime, 4), "y": (5, prime, 8)}]
    assert result.values == original.values
    assert [dict(node.attributes) for node in result.nodes] == [dict(node.attributes) for node in nodes]


def test_a_size_that_is_a_multiple_of_the_prime_takes_the_next_one():
    size = PRIMES[0] * 2
    original = graph(Node("e", "Exp", ("x",), ("y",)), shapes={"x": (1, size), "y": (1, size)}, outputs=("y",))
    seen = []

    def look(inner):
        seen.append(inner.values["y"].shape)
        return inner

    assert with_virtual_batch(original, [look]).values["y"].shape == (1, size)
    assert seen == [(PRIMES[1], size)]


def test_a_graph_whose_batch_is_stuck_is_passed_as_it_is():
    nodes = (Node("s", "Softmax", ("x",), ("y",), {"axis": 0}),)
    original = graph(*nodes, shapes={"x": (1, 3), "y": (1, 3)}, outputs=("y",))
    assert with_virtual_batch(original, [lambda inner: inner]) is original
