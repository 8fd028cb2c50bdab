"""Which operator of the file an event belongs to: the rule of the partitions, the side-by-side, the names."""

from __future__ import annotations

from pathlib import Path

import pytest
from ai_edge_litert.interpreter import Interpreter
from ai_edge_litert.schema_py_generated import BuiltinOperator

from edgekit.agent.litert_library import DELEGATED, OPERATOR, Event, Node
from edgekit.agent.litert_profiler import profile_tflite
from edgekit.agent.xnnpack_nodes import MADE_OF, certain_pairs, node_names, partitions
from edgekit.emit.tflite import export
from tests.agent.profiled import net
from tests.emit.tflite.sketch import read

ADD, CONV, PAD, LOGISTIC, MUL = 0, 3, 34, 14, 18


def test_numbers_of_the_table_are_those_of_the_schema() -> None:
    names = {code: name for name, code in vars(BuiltinOperator).items() if isinstance(code, int)}
    words = {
        "Add": {"ADD"},
        "Constant Pad": {"PAD", "PADV2"},
        "Convert": {"QUANTIZE", "DEQUANTIZE", "CAST"},
        "Convolution": {"CONV_2D", "DEPTHWISE_CONV_2D"},
        "Deconvolution": {"TRANSPOSE_CONV"},
        "Fully Connected": {"CONV_2D", "FULLY_CONNECTED", "BATCH_MATMUL"},
        "Mean": {"MEAN"},
        "PReLU": {"PRELU"},
        "Reciprocal Square Root": {"RSQRT"},
        "Reduce Min": {"REDUCE_MIN"},
        "Resize Bilinear": {"RESIZE_BILINEAR"},
        "Sigmoid": {"LOGISTIC"},
        "Slice": {"SLICE", "STRIDED_SLICE", "SPLIT", "SPLIT_V"},
        "Softmax": {"SOFTMAX"},
        "Static Reshape": {"RESHAPE", "SQUEEZE", "EXPAND_DIMS"},
        "Subtract": {"SUB"},
        "Transpose": {"TRANSPOSE"},
    }
    for head, expected in words.items():
        assert {names[code] for code in MADE_OF[head]} == expected
    assert all(code in names for codes in MADE_OF.values() for code in codes)


def test_what_was_merged_away_gets_no_event() -> None:
    pairs = certain_pairs(["Convert", "Convolution", "Add", "Fully Connected"], [114, PAD, CONV, ADD, PAD, CONV])
    assert pairs == [(0, 0), (1, 2), (2, 3), (3, 5)]


@pytest.mark.parametrize(
    ("heads", "codes", "pairs"),
    [
        (["Add"], [ADD, ADD], []),  # one of two
        (["Convolution", "Add", "Convolution"], [CONV, ADD, ADD, CONV], [(0, 0), (2, 3)]),
        (["Convert", "Convolution"], [CONV], [(1, 0)]),  # XNNPACK's own
        (["Never Heard Of"], [CONV], []),
        ([], [], []),
    ],
)
def test_only_what_fits_in_one_way_is_a_pair(heads: list[str], codes: list[int], pairs: list[tuple[int, int]]) -> None:
    assert certain_pairs(heads, codes) == pairs


def chain(*codes: int) -> list[Node]:
    return [Node(code, {number: f"t{number}"}, {number + 1: f"t{number + 1}"}) for number, code in enumerate(codes)]


def test_delegates_are_told_apart_by_their_numbers() -> None:
    events = [
        Event("Convolution (NHWC, QC8) IGEMM", DELEGATED, 0, 5),
        Event("LOGISTIC", OPERATOR, 1, 1),
        Event("Convolution (NHWC, QC8) IGEMM", DELEGATED, 0, 5),
        Event("Clamp (NC)", DELEGATED, 1, 5),
    ]
    assert node_names(events, chain(CONV, LOGISTIC, CONV)) == ["t1", "t2", "t3", "Clamp (NC) 1"]


def test_nothing_is_named_when_the_delegates_do_not_add_up() -> None:
    events = [Event("Add (ND)", DELEGATED, 0, 5), Event("Add (ND)", DELEGATED, 0, 5)]
    assert node_names(events, chain(ADD, ADD)) == ["Add (ND) 0", "Add (ND) 0"]


def test_a_tensor_of_the_emitter_lends_the_name_of_its_weight() -> None:
    given = {1: "stem/Conv", 2: "head/Gemm.weight", 3: "head/Gemm.bias"}
    events = [Event("CONV_2D", OPERATOR, 0, 5)]
    assert node_names(events, [Node(CONV, given, {4: "edgekit/18"})]) == ["head/Gemm"]
    assert node_names(events, [Node(CONV, given, {4: "tail/Conv"})]) == ["tail/Conv"]


def test_a_file_that_goes_round_in_circles_has_no_partitions() -> None:
    assert partitions([Node(ADD, {1: "a"}, {2: "b"}), Node(ADD, {2: "b"}, {1: "a"})], set()) == []


def test_partitions_are_those_of_the_runtime(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    export.write(net(side=8, channels=4), path)
    model = read(path)
    graph = model.subgraphs[0]
    names = [tensor.name.decode() for tensor in graph.tensors]
    nodes = [
        Node(0, {int(at): names[at] for at in made.inputs if at >= 0}, {int(at): names[at] for at in made.outputs})
        for made in graph.operators
    ]
    builtin = {cost["name"] for cost in profile_tflite(str(path), 1, 2) if cost["operator"].isupper()}
    outside = {number for number, node in enumerate(nodes) if builtin & set(node.outputs.values())}
    found = partitions(nodes, outside)
    interpreter = Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    delegates = [made for made in interpreter._get_ops_details() if made["op_name"] == "DELEGATE"]
    assert len(found) == len(delegates) == 2
    for partition, delegate in zip(found, delegates, strict=True):
        made = {tensor for number in partition for tensor in nodes[number].outputs}
        read_there = {tensor for number in partition for tensor in nodes[number].inputs}
        assert set(map(int, delegate["outputs"])) <= made
        assert {int(tensor) for tensor in delegate["inputs"] if tensor >= 0} <= read_there
